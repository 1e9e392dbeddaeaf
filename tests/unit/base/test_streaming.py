"""How a checkpoint reaches the disk: piece by piece, and under its name only when it is safely there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fulgurite.base.errors import CheckpointError
from fulgurite.base.format import read, write

MEGABYTE = 1 << 20

SAVES_MUCH = """
import resource, sys, torch
from fulgurite.base.format import write

def peak():
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024

folder = sys.argv[1]
# What the first file of all loads is not what this one costs.
write({"state_dict": {"weight": torch.ones(8)}}, f"{folder}/small.ckpt")
weight = torch.ones(50 * 2**20)
before = peak()
write({"state_dict": {"weight": weight}}, f"{folder}/large.ckpt")
print(peak() - before)
"""


def test_a_file_is_not_built_in_memory(tmp_path):
    """Saving 200 MB of weights takes less than 40 MB beside them."""
    code = [sys.executable, "-c", SAVES_MUCH, str(tmp_path)]

    done = subprocess.run(code, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "large.ckpt").stat().st_size > 200 * MEGABYTE
    assert int(done.stdout) < 40 * MEGABYTE


@pytest.fixture
def calls(monkeypatch):
    """What is asked of the system, in order; everything is really done."""
    seen, fsync, replace = [], os.fsync, os.replace

    def noted_fsync(descriptor):
        status = os.fstat(descriptor)
        seen.append(("fsync", status.st_ino))
        return fsync(descriptor)

    def noted_replace(source, target):
        seen.append(("replace", os.stat(source).st_ino, Path(target).name))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    return seen


@pytest.mark.skipif(os.name != "posix", reason="only POSIX lets a folder be flushed")
def test_a_file_is_flushed_before_it_takes_its_name(tmp_path, calls):
    """First the bytes go to disk, then the file is renamed, then the folder that holds the name is flushed."""
    path = tmp_path / "a.ckpt"

    write({"epoch": 1}, path)

    file, folder = path.stat().st_ino, tmp_path.stat().st_ino
    assert calls == [("fsync", file), ("replace", file, "a.ckpt"), ("fsync", folder)]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, failing):
    """Where the disk refuses, the earlier file is whole and nothing lies beside it."""
    path = tmp_path / "a.ckpt"
    write({"epoch": 1}, path)

    def refuse(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(CheckpointError, match="No space left"):
        patched.setattr(os, failing, refuse)
        write({"epoch": 2, "weight": torch.ones(1000)}, path)

    assert read(path)["epoch"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ckpt"]
