"""Checkpoints on disk: whole or not there, readable by anybody, and never run."""

import argparse
import collections
import datetime
import io
import os
import pathlib
import resource
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from fulgurite.base import rank
from fulgurite.base.attributes import AttributeDict
from fulgurite.base.errors import CheckpointError, UntrustedCheckpoint
from fulgurite.base.format import read, write

CHECKPOINT = {
    "epoch": 1,
    "state_dict": collections.OrderedDict(weight=torch.arange(6.0).reshape(2, 3)),
    "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": np.float64(0.1)}]}],
    "callbacks": {"Timer": {"elapsed": datetime.timedelta(seconds=1)}},
    "hyper_parameters": {
        "folder": pathlib.Path("a"),
        "more": argparse.Namespace(x=np.int64(3)),
        "d": AttributeDict(a=1),
    },
}


class Bomb:
    """Pickles as a call of ``os.mkdir``: harmless, but seen if it runs."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Unpicklable:
    def __reduce__(self):
        raise ValueError("not me")


class Mine:
    pass


@pytest.fixture(autouse=True)
def forget_warnings():
    rank._warned.clear()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sub" / "a.ckpt"


def test_what_is_written_comes_back(path):
    """Tensors bit by bit, ordinary types exactly."""
    write(CHECKPOINT, path)

    back = read(path)

    assert torch.equal(back["state_dict"]["weight"], CHECKPOINT["state_dict"]["weight"])
    assert back["hyper_parameters"] == CHECKPOINT["hyper_parameters"]
    assert back["callbacks"] == CHECKPOINT["callbacks"]
    assert type(back["optimizer_states"][0]["param_groups"][0]["lr"]) is np.float64
    assert type(back["hyper_parameters"]["d"]) is AttributeDict


def test_bare_torch_loads_the_file(path):
    """Without any of this package: plain values under Lightning's keys."""
    write(CHECKPOINT, path)

    bare = torch.load(path, weights_only=True)

    assert bare["hyper_parameters"] == {"folder": "a", "more": {"x": 3}, "d": {"a": 1}}
    assert [key for key in bare if key not in CHECKPOINT] == ["fulgurite"]


def test_random_states_may_be_saved_as_they_are(path):
    """NumPy's state holds an array, Python's a long tuple."""
    from fulgurite.base.seed import collect_rng_states, set_rng_states

    write({"rng": collect_rng_states()}, path)
    expected = (np.random.rand(), torch.rand(1).item())

    set_rng_states(read(path)["rng"])

    assert (np.random.rand(), torch.rand(1).item()) == expected


def test_a_file_object_can_be_read():
    """From its position on."""
    file = io.BytesIO()
    torch.save({"a": torch.ones(1)}, file)
    file.seek(0)

    assert read(file)["a"].item() == 1


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_a_malicious_file_is_refused_without_being_run(tmp_path, zipped):
    """The error names what the file would call and the two ways to trust it."""
    path, mark = tmp_path / "bad.ckpt", tmp_path / "ran"
    torch.save({"state_dict": {}, "x": Bomb(mark)}, path, _use_new_zipfile_serialization=zipped)

    with pytest.raises(UntrustedCheckpoint, match=r"posix\.mkdir.*weights_only=False.*add_safe_globals"):
        read(path)

    assert not mark.exists()


def test_a_foreign_class_is_named_and_can_be_trusted(tmp_path):
    """Either the whole file, or the class alone."""
    path = tmp_path / "foreign.ckpt"
    torch.save({"x": Mine()}, path)

    with pytest.raises(UntrustedCheckpoint, match=rf"{Mine.__module__}\.Mine"):
        read(path)

    assert isinstance(read(path, weights_only=False)["x"], Mine)
    with torch.serialization.safe_globals([Mine]):
        assert isinstance(read(path)["x"], Mine)


def test_harmless_classes_of_foreign_files_are_read(tmp_path):
    """What Lightning pickles for common hyperparameters needs no word of trust."""
    values = {
        "path": pathlib.Path("a"),
        "space": argparse.Namespace(a=np.float32(2)),
        "scalar": np.float64(1.5),
        "big endian": np.array([1, 2], ">i4"),
        "array": np.arange(6.0).reshape(2, 3).T,
        "text": np.array(["ab", "c"]),
        "dtype": np.dtype("<i4"),
        "day": datetime.date(2020, 1, 2),
        "time": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
        "wait": datetime.timedelta(3),
        "lists": collections.defaultdict(list, a=[np.int64(1)]),
        "queue": collections.deque([1, 2], maxlen=2),
        "range": range(3),
        "frozen": frozenset([1]),
        "kind": int,
    }
    path = tmp_path / "foreign.ckpt"
    torch.save({"all": values, "again": (values["array"], values["lists"])}, path)

    back = read(path)

    for name, value in values.items():
        assert type(back["all"][name]) is type(value)
        np.testing.assert_array_equal(back["all"][name], value)
    assert back["all"]["big endian"].dtype == ">i4"
    assert back["again"][0] is back["all"]["array"]


#: How a file of a few bytes may ask for all the memory or an hour.
BOMBS = {
    "fraction": "Call(fractions.Fraction, '1e30000000')",
    "integer": "Call(int, decimal.Decimal('1e999999999'))",
    "list": "Call(list, range(10**12))",
    "tuple": "Call(tuple, range(10**12))",
    "frozen set": "Call(frozenset, range(10**12))",
    "set": "Call(set, range(10**12))",
    "queue": "Call(collections.deque, range(10**12))",
    "bytes as items": "Call(collections.deque, Call(bytearray, 10**8))",
    "counter": "Call(collections.Counter, range(10**12))",
    "text": "Call(str, functools.reduce(lambda inner, _: [inner, inner], range(60), []))",
    "shape": "Array(('a', 10**11))",
    "type": "Call(numpy._core.multiarray.scalar, Call(numpy.dtype, [('a', 'i4', (10**9,))], False, True), b'')",
    "scalar": "Call(numpy._core.multiarray.scalar, numpy.dtype('S100000000'), Call(bytearray, 10**8))",
}

READ_BOMBS = """
import collections, decimal, fractions, functools, io, resource
import numpy, torch
from fulgurite.base.errors import CheckpointError
from fulgurite.base.format import read

class Call:
    def __init__(self, *what): self.what = what
    def __reduce__(self): return self.what[0], self.what[1:]

class Array:
    def __init__(self, shape): self.state = 1, shape, numpy.dtype("f4"), False, b""
    def __reduce__(self): return numpy._core.multiarray._reconstruct, (numpy.ndarray, (0,), b"b"), self.state

resource.setrlimit(resource.RLIMIT_AS, (32 << 30, 32 << 30))
for name, bomb in {bombs}.items():
    file = io.BytesIO()
    torch.save(dict(state_dict=dict(), hyper_parameters=dict(a=bomb)), file)
    assert len(file.getvalue()) < 20_000
    file.seek(0)
    try:
        read(file)
    except CheckpointError as error:
        assert "memory" not in str(error), (name, error)
        print(name, flush=True)
"""


def test_a_small_file_cannot_ask_for_much():
    """Whatever a safe read may call costs no more than what the file holds; the rest is refused at once."""
    bombs = ", ".join(f"{name!r}: {bomb}" for name, bomb in BOMBS.items())
    script = READ_BOMBS.replace("{bombs}", f"{{{bombs}}}")

    # In a process of its own: where the reading falls for one, no signal stops it.
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert done.stdout.splitlines() == list(BOMBS), done.stderr


def test_numpy_objects_are_not_harmless(tmp_path):
    """An array of objects can hold anything."""
    path = tmp_path / "objects.ckpt"
    torch.save({"x": np.array([1, "a"], dtype=object)}, path)

    with pytest.raises(CheckpointError):
        read(path)


def test_a_path_of_another_system_is_read_as_a_pure_path(tmp_path):
    """A Windows path keeps its parts on POSIX."""

    class WindowsPath:
        def __reduce__(self):
            return pathlib.PureWindowsPath, ("a\\b",)

    path = tmp_path / "windows.ckpt"
    torch.save({"x": WindowsPath()}, path)

    assert read(path)["x"] == pathlib.PureWindowsPath("a\\b")


def test_hyperparameters_that_are_no_plain_data_are_left_out(path):
    """The warning names the key, the class and the ways out; the file loads safely."""
    with pytest.warns(UserWarning, match=r"hyper_parameters\['net'\] is a .*Linear.*pickle=\['net'\]"):
        write({"hyper_parameters": {"net": torch.nn.Linear(1, 1), "lr": 0.1}}, path)

    assert read(path)["hyper_parameters"] == {"lr": 0.1}


def test_hyperparameters_may_be_pickled_when_asked_for(path):
    """Then loading needs its own word."""
    notes = {"hyper_parameters": {"pickle": ["net"]}}

    write({"hyper_parameters": {"net": Mine(), "lr": pathlib.Path("a")}, "fulgurite": notes}, path)

    with pytest.raises(UntrustedCheckpoint, match="Mine"):
        read(path)
    back = read(path, weights_only=False)["hyper_parameters"]
    assert isinstance(back["net"], Mine) and back["lr"] == pathlib.Path("a")


def test_what_users_add_is_never_dropped(path):
    """It is pickled, with a warning that the file now needs trust."""
    with pytest.warns(UserWarning, match=r"mine\['x'\] is a .*Mine.*weights_only=False"):
        write({"mine": {"x": Mine()}}, path)

    assert isinstance(read(path, weights_only=False)["mine"]["x"], Mine)


def test_an_unpicklable_value_is_named_and_the_old_file_stays(path):
    """Nothing half-written is left either."""
    write({"a": 1}, path)

    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match=r"a\.ckpt.*mine\['x'\]\[1\].*not me"):
        write({"a": 2, "mine": {"x": [1, Unpicklable()]}}, path)

    assert read(path)["a"] == 1
    assert os.listdir(path.parent) == ["a.ckpt"]


@contextmanager
def room_for(size):
    """Let no file of this process grow beyond ``size`` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_old_file(path):
    """The write fails in the middle of a tensor; the error names the path and the reason."""
    write({"a": 1}, path)

    with (
        room_for(1_000_000),
        pytest.raises(CheckpointError, match=r"a\.ckpt.*File too large.*needs about 4\.0 MB.*MB are free"),
    ):
        write({"a": 2, "w": torch.zeros(1_000_000)}, path)

    assert read(path)["a"] == 1
    assert os.listdir(path.parent) == ["a.ckpt"]


def test_a_missing_file_is_answered_with_what_is_near(tmp_path):
    """A typo in an epoch's number, most often."""
    write({"a": 1}, tmp_path / "epoch=3.ckpt")

    with pytest.raises(FileNotFoundError, match=r"epoch=4\.ckpt.*epoch=3\.ckpt"):
        read(tmp_path / "epoch=4.ckpt")


@pytest.mark.parametrize("keep", [0, 10, 2000, -100])
def test_a_cut_file_is_called_damaged(path, keep):
    """The error names the file, whether trusted or not."""
    write({"w": torch.zeros(10_000)}, path)
    path.write_bytes(path.read_bytes()[:keep])

    for weights_only in (None, False):
        with pytest.raises(CheckpointError, match=r"a\.ckpt.*damaged"):
            read(path, weights_only=weights_only)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_noticed(path, place):
    """torch does not look; the error names the file, the record, and a whole one beside it."""
    write({"w": torch.arange(10_000)}, path)
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 4
    path.write_bytes(content)
    assert torch.load(path, weights_only=False) is not None

    for weights_only in (None, False):
        with pytest.raises(CheckpointError, match=r"a\.ckpt.*damaged.*checksum that it was written with"):
            read(path, weights_only=weights_only)

    write({"w": 1}, path.with_name("b.ckpt"))
    with pytest.raises(CheckpointError, match=r"newest whole one beside it is .*b\.ckpt"):
        read(path)


def test_a_text_file_is_called_damaged(tmp_path):
    """And a folder is called a folder."""
    (tmp_path / "a.txt").write_text("hello world")

    with pytest.raises(CheckpointError, match="damaged, or none at all"):
        read(tmp_path / "a.txt")
    with pytest.raises(CheckpointError, match="folder"):
        read(tmp_path)


def test_a_missing_device_means_the_cpu(tmp_path, monkeypatch):
    """A file from a machine with a GPU is read where there is none."""
    from fulgurite.base.format import _where_it_was

    storage = torch.UntypedStorage(4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert _where_it_was(storage, "cuda:0") is storage
    assert _where_it_was(storage, "cpu") is None


def test_urls_go_through_fsspec(path):
    """A file in fsspec's memory, whole or not there."""
    pytest.importorskip("fsspec")

    write(CHECKPOINT, "memory://runs/a.ckpt")

    assert read("memory://runs/a.ckpt")["hyper_parameters"] == CHECKPOINT["hyper_parameters"]


def test_a_newer_format_is_said(path):
    """Values this version does not know stay plain."""
    path.parent.mkdir()
    torch.save({"fulgurite": {"format": 99, "types": []}, "a": 1}, path)

    with pytest.warns(UserWarning, match="format 99"):
        assert read(path)["a"] == 1
