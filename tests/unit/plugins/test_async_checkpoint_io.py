"""AsyncCheckpointIO: training does not wait, nothing is torn or lost, and failures are told."""

import subprocess
import sys
import threading
import time
from collections import OrderedDict, namedtuple

import pytest
import torch

from fulgurite import Trainer
from fulgurite.base.errors import CheckpointError, MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.core.logger import DummyLogger
from fulgurite.plugins import AsyncCheckpointIO, TorchCheckpointIO
from fulgurite.testing import QUIET, TinyModule, batches

pytestmark = pytest.mark.filterwarnings("ignore:There is a .validation_step.")
KEEPS = {**QUIET, "enable_checkpointing": True}


class Gated(TorchCheckpointIO):
    """Writes only while its gate is open, and notes what it did."""

    def __init__(self, is_open=True):
        self.gate, self.done = threading.Event(), []
        if is_open:
            self.gate.set()

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        assert self.gate.wait(30)
        super().save_checkpoint(checkpoint, path, storage_options)
        self.done.append(("saved", str(path).rpartition("/")[2]))

    def remove_checkpoint(self, path):
        super().remove_checkpoint(path)
        self.done.append(("removed", str(path).rpartition("/")[2]))


class Full(TorchCheckpointIO):
    """A disk on which there is no room from the save number ``at`` on."""

    def __init__(self, at, until=100):
        self.at, self.until, self.saves = at, until, 0

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        self.saves += 1
        if self.at <= self.saves < self.until:
            time.sleep(0.3)  # as a disk does that finds out late
            raise CheckpointError(f"no room for {path}")
        super().save_checkpoint(checkpoint, path, storage_options)


def fit(io, callback, epochs=3, module=None, **arguments):
    trainer = Trainer(plugins=[io], max_epochs=epochs, callbacks=[callback], **{**KEEPS, **arguments})
    trainer.fit(module or TinyModule(), batches(2))
    return trainer


def test_a_save_returns_before_it_is_written(tmp_path):
    """The caller goes on; the file has what was there at the call, and appears whole."""
    inner = Gated(is_open=False)
    io, weight = AsyncCheckpointIO(inner), torch.zeros(10)

    io.save_checkpoint({"state_dict": {"w": weight}}, tmp_path / "one.ckpt")
    weight.fill_(1)

    assert io.busy and io.exists(tmp_path / "one.ckpt") and list(tmp_path.iterdir()) == []
    inner.gate.set()
    io.wait()
    assert torch.load(tmp_path / "one.ckpt")["state_dict"]["w"].sum() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["one.ckpt"] and not io.busy


def test_memory_holds_two_checkpoints_at_most(tmp_path):
    """A third save waits for the first."""
    inner = Gated(is_open=False)
    io = AsyncCheckpointIO(inner)
    io.save_checkpoint({}, tmp_path / "0.ckpt")
    io.save_checkpoint({}, tmp_path / "1.ckpt")
    third = threading.Thread(target=io.save_checkpoint, args=({}, tmp_path / "2.ckpt"))
    third.start()
    third.join(0.2)

    assert third.is_alive()
    inner.gate.set()
    third.join(30)
    io.wait()
    assert [name for _, name in inner.done] == ["0.ckpt", "1.ckpt", "2.ckpt"]


def test_the_copy_keeps_what_is_shared_and_what_is_said(tmp_path):
    """Tied weights are stored once, views stay views, and a state's versions stay with it."""
    tied = torch.zeros(100_000)
    state = OrderedDict(a=tied, b=tied.view(10, -1).T, half=torch.ones(2, dtype=torch.float16))
    state._metadata = {"": {"version": 2}}
    pair = namedtuple("pair", "x y")(torch.ones(1), "y")
    for io, name in ((AsyncCheckpointIO(), "copied.ckpt"), (TorchCheckpointIO(), "direct.ckpt")):
        io.save_checkpoint({"state_dict": state, "others": [{"pair": tuple(pair)}, {1, 2}]}, tmp_path / name)
        io.teardown()

    copied, direct = (torch.load(tmp_path / f"{name}.ckpt") for name in ("copied", "direct"))
    assert (tmp_path / "copied.ckpt").stat().st_size == pytest.approx((tmp_path / "direct.ckpt").stat().st_size, 200)
    assert copied["state_dict"]["b"].stride() == direct["state_dict"]["b"].stride() == (1, 10_000)
    assert copied["state_dict"]["a"].data_ptr() == copied["state_dict"]["b"].data_ptr()
    assert copied["state_dict"]["half"].dtype is torch.float16
    assert str(copied["others"]) == str(direct["others"])


def test_a_fit_leaves_the_files_of_a_plain_one(tmp_path):
    """Name by name and weight by weight; no temporary file stays."""
    for io, folder in ((AsyncCheckpointIO(), "async"), (None, "plain")):
        callback = ModelCheckpoint(
            tmp_path / folder, monitor="loss", save_top_k=2, save_last=True, every_n_train_steps=1
        )
        Trainer(plugins=io, max_epochs=3, callbacks=[callback], **KEEPS).fit(TinyModule(), batches(2))

    names = [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in ("async", "plain")]
    assert names[0] == names[1] and len(names[0]) == 3
    for name in names[0]:
        ours, plain = (torch.load(tmp_path / folder / name, "cpu", weights_only=False) for folder in ("async", "plain"))
        assert torch.equal(ours["state_dict"]["layer.weight"], plain["state_dict"]["layer.weight"])
        assert ours.keys() == plain.keys() and ours["global_step"] == plain["global_step"]


def test_an_old_file_goes_after_the_new_one_is_there(tmp_path):
    """In the order of their calls."""
    inner = Gated()
    fit(AsyncCheckpointIO(inner), ModelCheckpoint(tmp_path), epochs=2)

    assert inner.done == [
        ("saved", "epoch=0-step=2.ckpt"), ("saved", "epoch=1-step=4.ckpt"), ("removed", "epoch=0-step=2.ckpt"),
    ]  # fmt: skip


def test_a_failed_write_is_raised_at_the_next_save_and_costs_no_file(tmp_path):
    """What the new file was to replace stays."""
    with pytest.raises(CheckpointError, match="no room for .*epoch=1") as raised:
        fit(AsyncCheckpointIO(Full(at=2)), ModelCheckpoint(tmp_path))

    assert [path.name for path in tmp_path.iterdir()] == ["epoch=0-step=2.ckpt"]
    assert "while training went on" in raised.value.__notes__[0]


def test_a_failed_last_write_is_raised_when_fit_ends(tmp_path):
    """A training whose last weights are not on the disk does not end in silence."""
    io = AsyncCheckpointIO(Full(at=3))
    callback = ModelCheckpoint(tmp_path, save_top_k=-1)
    with pytest.raises(CheckpointError, match="no room for .*epoch=2"):
        fit(io, callback)

    assert len(list(tmp_path.iterdir())) == 2
    io.checkpoint_io.at = 100
    fit(io, ModelCheckpoint(tmp_path / "again"), epochs=1)


@pytest.mark.parametrize("logger", [False, True])
def test_the_save_that_tells_of_a_failure_is_done_all_the_same(tmp_path, logger):
    """Its weights are the newest; loggers, which wait for files, do not stand before them."""
    io = AsyncCheckpointIO(Full(at=2, until=3))
    with pytest.raises(CheckpointError, match="no room for .*epoch=1"):
        fit(io, ModelCheckpoint(tmp_path, save_top_k=-1), logger=DummyLogger() if logger else False)

    assert [path.name for path in sorted(tmp_path.iterdir())] == ["epoch=0-step=2.ckpt", "epoch=2-step=6.ckpt"]


def test_an_interrupted_run_saves_although_a_write_had_failed(tmp_path):
    """`save_on_exception` comes first, then what went wrong before."""

    class Breaks(TinyModule):
        def on_train_batch_start(self, batch, batch_idx):
            if self.current_epoch == 1 and batch_idx == 1:
                raise KeyboardInterrupt

    io = AsyncCheckpointIO(Full(at=1, until=2))
    with pytest.raises(KeyboardInterrupt):
        fit(io, ModelCheckpoint(tmp_path, save_on_exception=True), module=Breaks(), logger=DummyLogger())

    assert [path.name for path in tmp_path.iterdir()] == ["epoch=1-step=3.ckpt"]


def test_a_failure_that_nobody_heard_of_is_a_note_on_the_error_that_ends_the_run(tmp_path):
    """The user's error is what the user sees."""

    class Breaks(TinyModule):
        def on_train_epoch_start(self):
            if self.current_epoch == 1:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        fit(AsyncCheckpointIO(Full(at=1)), ModelCheckpoint(tmp_path), module=Breaks())

    assert any("no room" in note for note in raised.value.__notes__)


def test_an_interrupted_run_saves_what_it_was_asked_to(tmp_path):
    """`save_on_exception` has its file, whole."""

    class Breaks(TinyModule):
        def on_train_batch_start(self, batch, batch_idx):
            if batch_idx == 1:
                raise KeyboardInterrupt

    callback = ModelCheckpoint(tmp_path, save_on_exception=True)
    with pytest.raises(KeyboardInterrupt):
        fit(AsyncCheckpointIO(), callback, module=Breaks())

    assert torch.load(callback._last_checkpoint_saved, weights_only=False)["global_step"] == 1


def test_a_link_is_made_when_its_file_is_there(tmp_path):
    """It never points at nothing."""
    inner = Gated()
    callback = ModelCheckpoint(tmp_path, save_last="link", monitor="loss")
    fit(AsyncCheckpointIO(inner), callback)

    assert (tmp_path / "last.ckpt").is_symlink()
    assert torch.load(tmp_path / "last.ckpt", weights_only=False)["global_step"] == 6


def test_loggers_hear_of_files_that_are_there(tmp_path):
    """Of each save once, in their order, and of the last one before the loggers are closed."""
    seen = []

    class Uploading(DummyLogger):
        def after_save_checkpoint(self, checkpoint_callback):
            best = checkpoint_callback.best_model_path
            seen.append((best.rpartition("/")[2], torch.load(best, weights_only=False)["epoch"]))

    fit(AsyncCheckpointIO(), ModelCheckpoint(tmp_path, save_top_k=-1), logger=Uploading())

    assert seen == [("epoch=0-step=2.ckpt", 0), ("epoch=1-step=4.ckpt", 1), ("epoch=2-step=6.ckpt", 2)]


def test_names_of_files_that_are_being_written_are_taken(tmp_path):
    """Two saves under one name get two files."""
    inner = Gated(is_open=False)
    callback = ModelCheckpoint(tmp_path, filename="same", monitor="loss", save_top_k=-1, every_n_train_steps=1)

    class Opens(TinyModule):
        def on_train_epoch_end(self):
            inner.gate.set()

    fit(AsyncCheckpointIO(inner), callback, epochs=1, module=Opens())

    assert sorted(path.name for path in tmp_path.iterdir()) == ["same-v1.ckpt", "same.ckpt"]


def test_a_save_outside_of_a_run_is_done_when_it_returns(tmp_path):
    """Nobody would come by later to be told of a failure."""
    trainer = fit(AsyncCheckpointIO(), ModelCheckpoint(tmp_path / "kept"), epochs=1)
    trainer.save_checkpoint(tmp_path / "by_hand.ckpt")
    assert torch.load(tmp_path / "by_hand.ckpt", weights_only=False)["global_step"] == 2

    trainer.strategy.checkpoint_io.checkpoint_io = Full(at=1)
    with pytest.raises(CheckpointError, match="no room"):
        trainer.save_checkpoint(tmp_path / "another.ckpt")


def test_an_interpreter_that_ends_finishes_its_files(tmp_path):
    """A script whose last line is a save leaves a whole file."""
    script = (
        "import torch\n"
        "from fulgurite.plugins import AsyncCheckpointIO\n"
        "AsyncCheckpointIO().save_checkpoint({'state_dict': {'w': torch.zeros(3_000_000)}}, 'late.ckpt')\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)

    assert [path.name for path in tmp_path.iterdir()] == ["late.ckpt"]
    assert torch.load(tmp_path / "late.ckpt")["state_dict"]["w"].numel() == 3_000_000


@pytest.mark.parametrize("wrong", [AsyncCheckpointIO(), TorchCheckpointIO, "torch"])
def test_it_needs_something_that_writes(wrong):
    """Another asynchronous one would gain nothing."""
    with pytest.raises(MisconfigurationException, match="CheckpointIO"):
        AsyncCheckpointIO(wrong)
