"""Files that are whole or not there."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fulgurite.base import paths
from fulgurite.base.paths import atomic_write

WRITER = """
import sys, time
from fulgurite.base.paths import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half of it")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of a write."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "a.ckpt")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.wait()


def aged(folder):
    """The temporary files, made a minute older."""
    found = list(folder.glob(".*.tmp"))
    for each in found:
        os.utime(each, (time.time() - 60,) * 2)
    return found


def write(path, monkeypatch):
    monkeypatch.setattr(paths, "_cleaned", set())
    with atomic_write(path) as file:
        file.write(b"whole")


@pytest.mark.skipif(paths.fcntl is None, reason="no locks on files")
def test_what_a_killed_process_left_is_removed(tmp_path, writer, monkeypatch):
    """By the next write to that folder; its target was never touched."""
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(aged(tmp_path)) == 1 and not (tmp_path / "a.ckpt").exists()

    write(tmp_path / "b.ckpt", monkeypatch)

    assert os.listdir(tmp_path) == ["b.ckpt"]


def test_what_is_being_written_stays(tmp_path, writer, monkeypatch):
    """And so do files that only look alike."""
    (tmp_path / ".mine.tmp").write_text("")
    assert len(aged(tmp_path)) == 2

    write(tmp_path / "b.ckpt", monkeypatch)

    assert len(list(tmp_path.glob(".*.tmp"))) == 2
