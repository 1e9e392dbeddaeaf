"""Checkpoint files that are none, are damaged, or were made to do harm: through every door by which one is read."""

import collections
import functools
import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fulgurite import Trainer
from fulgurite.anomaly import AnomalyDetector
from fulgurite.base.errors import CheckpointError, MisconfigurationException
from fulgurite.base.format import read
from fulgurite.callbacks import EarlyStopping, Timer
from fulgurite.testing import QUIET, TinyModule, batches
from fuzz.targets import archive, checkpoint, nothing_runs, pickled
from support.depth import examples

pytestmark = pytest.mark.filterwarnings("ignore")


class Keeps(TinyModule):
    """A module with hyperparameters."""

    def __init__(self, width: int = 1, more: object = None) -> None:
        super().__init__()
        self.save_hyperparameters()


def trainer(max_epochs: int = 2) -> Trainer:
    callbacks = [EarlyStopping("train_loss", strict=False), Timer("00:01:00:00")]
    return Trainer(**{**QUIET, "max_epochs": max_epochs, "callbacks": callbacks, "enable_progress_bar": False})


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The contents of a checkpoint from the middle of a training."""
    path = tmp_path_factory.mktemp("sound") / "a.ckpt"
    fitted = Trainer(
        **{**QUIET, "max_epochs": 1, "callbacks": [EarlyStopping("x", strict=False), Timer("00:01:00:00")]}
    )
    fitted.fit(Keeps(), batches(2))
    fitted.save_checkpoint(path)
    return torch.load(path, weights_only=False), path.read_bytes()


DOORS = {
    "load_from_checkpoint": lambda path: Keeps.load_from_checkpoint(path),
    "fit": lambda path: trainer().fit(Keeps(), batches(2), ckpt_path=path),
    "validate": lambda path: trainer().validate(Keeps(), batches(1), ckpt_path=path, verbose=False),
    "anomaly": AnomalyDetector.load,
}


def check(door: str, path: object, error: Exception) -> None:
    """Fail unless the error is a clear one that names the file, or what of it does not fit."""
    text = "".join([str(error), *getattr(error, "__notes__", [])])
    of_weights_alone = isinstance(error, KeyError) and "weights_only" in text
    clear = isinstance(error, CheckpointError | FileNotFoundError | MisconfigurationException) or of_weights_alone
    assert clear, f"{door}: {type(error).__name__}: {text}"
    assert str(path) in text or "checkpoint" in text, f"{door}: {text}"


# -- bytes ----------------------------------------------------------------------------------------------------------


@examples()
@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(data):
    """As a file, and as the pickle of a sound archive."""
    checkpoint(data)
    pickled(data)


@examples()
@given(data=st.data())
def test_a_cut_or_changed_file_never_comes_as_another(sound, data):
    """Cut at any byte, or with any byte changed: refused, or the same as before."""
    _, whole = sound
    place = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:place] if data.draw(st.booleans()) else bytearray(whole)
    if isinstance(broken, bytearray):
        broken[place] ^= data.draw(st.integers(1, 255))

    try:
        found = read(io.BytesIO(bytes(broken)))
    except CheckpointError:
        return

    expected = read(io.BytesIO(whole))
    for name, weight in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], weight)


@pytest.mark.parametrize("door", sorted(DOORS))
@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"<html>", b"\x1f\x8b", bytes(1000)], ids=repr
)
def test_every_door_names_a_file_that_is_no_checkpoint(tmp_path, door, data):
    """Whatever is read with it."""
    path = tmp_path / "none.ckpt"
    path.write_bytes(data[:1000])

    with pytest.raises(CheckpointError, match="none.ckpt"):
        DOORS[door](path)


def test_a_declared_size_takes_no_memory(tmp_path):
    """A few bytes that say they are terabytes: as a compressed record, as a storage, as a pickle's length."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as whole:
        whole.writestr("archive/data.pkl", pickle.dumps({}, 2))
        whole.writestr("archive/data/0", bytes(64 << 20))
        whole.writestr("archive/version", "3\n")
    for data in (
        file.getvalue(),
        archive(b"\x80\x02X\xff\xff\xff\x7fabc."),
        archive(b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b"."),
        archive(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
                b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpu\x8a\x06\xff\xff\xff\xff\xff\x7ftQK\x00\x8a\x06\xff\xff\xff"
                b"\xff\xff\x7f\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR.", **{"data/0": bytes(8)}),
    ):  # fmt: skip
        checkpoint(data)


# -- hostile code ---------------------------------------------------------------------------------------------------


class Call:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.what = function, arguments

    def __reduce__(self):
        return self.what


class BuildsWith:
    """Pickles as an ordinary object whose state holds the call."""

    def __init__(self, inner: object) -> None:
        self.inner = inner


def hostile(mark: str) -> dict[str, object]:
    """Objects that would make the folder ``mark`` if they were unpickled as Python does it."""
    call = Call(os.mkdir, mark)
    return {
        "mkdir": call,
        "system": Call(os.system, f"mkdir {mark}"),
        "eval": Call(eval, f"__import__('os').mkdir({mark!r})"),
        "exec": Call(exec, f"import os; os.mkdir({mark!r})"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "nested": [{"a": (call,)}],
        "key": {Call(str, mark): 1, "b": call},
        "ordered": collections.OrderedDict(a=call),
        "array": np.array([call], dtype=object),
        "state": BuildsWith(call),
        "partial": Call(functools.partial, os.mkdir, mark),
        "import": Call(__import__, "this"),
        "module": torch.nn.Sequential(torch.nn.Linear(1, 1)),
    }


PLACES = {
    "hyper_parameters": lambda whole, bad: whole["hyper_parameters"].__setitem__("more", bad),
    "callbacks": lambda whole, bad: whole["callbacks"].__setitem__(next(iter(whole["callbacks"])), bad),
    "loops": lambda whole, bad: whole["loops"].__setitem__("fit_loop", bad),
    "state_dict": lambda whole, bad: whole["state_dict"].__setitem__("x", bad),
    "optimizer_states": lambda whole, bad: whole["optimizer_states"].append(bad),
    "fulgurite": lambda whole, bad: whole["fulgurite"].__setitem__("types", bad),
    "new key": lambda whole, bad: whole.__setitem__("x", bad),
}


def in_a_tar(value: object) -> bytes:
    """As torch wrote files long ago."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as whole:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(value, 2)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            whole.addfile(info, io.BytesIO(data))
    return file.getvalue()


def written(value: object, kind: str) -> bytes:
    if kind == "tar":
        return in_a_tar(value)
    if kind == "pickle":
        return pickle.dumps(value)
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=kind == "zip")
    return file.getvalue()


@pytest.mark.parametrize("kind", ["zip", "legacy", "tar", "pickle"])
@pytest.mark.parametrize("place", sorted(PLACES))
def test_hostile_code_never_runs(sound, tmp_path, place, kind, drawn):
    """Wherever it is in a file, however the file is written, and whatever reads it."""
    mark = tmp_path / "ran"
    path = tmp_path / "hostile.ckpt"
    for name, bad in hostile(str(mark)).items():
        whole = pickle.loads(pickle.dumps(sound[0]))
        PLACES[place](whole, bad)
        path.write_bytes(written(whole, kind))
        for door, through in DOORS.items():
            if drawn == "few" and name != "mkdir" and door != "anomaly":
                continue  # the same function reads it; `-m deep` goes through all
            try:
                with nothing_runs():
                    through(path)
            except Exception as error:
                assert isinstance(error, CheckpointError), f"{name}, {door}: {error!r}"
                assert "hostile.ckpt" in str(error), f"{name}, {door}: {error}"
            else:
                raise AssertionError(f"{name} went through {door}")
            assert not mark.exists(), f"{name} ran in {door}"


# -- what a file says -------------------------------------------------------------------------------------------------


def paths_of(tree: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """All places in a nested structure."""
    found = [path] if path else []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return found + [each for key, item in items for each in paths_of(item, (*path, key))]


PLAIN = [
    None, True, 0, -1, 10**30, 1.5, float("nan"), "", "x", b"x", [], [1], [[["x"], ["int"]]], (), {}, {"a": 1}, {1: 2},
    torch.ones(2), torch.ones(7, 7), torch.tensor(1),
]  # fmt: skip
plain = st.sampled_from(PLAIN)


@examples(2)
@given(data=st.data())
@pytest.mark.parametrize("door", ["fit", "load_from_checkpoint", "validate"])
def test_a_key_may_be_missing_or_hold_anything(sound, tmp_path_factory, door, data):
    """At any depth: what reads the file goes on without it, or says what does not fit."""
    whole = pickle.loads(pickle.dumps(sound[0]))
    place = data.draw(st.sampled_from(paths_of(whole)), label="place")
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    if data.draw(st.booleans(), label="missing"):
        del inner[place[-1]]
    else:
        inner[place[-1]] = data.draw(plain, label="value")
    path = tmp_path_factory.mktemp("odd") / "odd.ckpt"
    torch.save(whole, path)

    try:
        DOORS[door](path)
    except Exception as error:
        check(door, path, error)


def test_the_watch_sees_what_runs(tmp_path):
    """The same file, trusted: so the tests above can fail."""
    mark = tmp_path / "ran"
    path = tmp_path / "hostile.ckpt"
    torch.save(hostile(str(mark))["mkdir"], path)

    with pytest.raises(AssertionError, match="os.mkdir"), nothing_runs():
        read(path, weights_only=False)

    assert mark.exists()
