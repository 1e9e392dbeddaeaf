"""ModelCheckpoint where the disk is full."""

import resource
import subprocess
from pathlib import Path

import pytest
import torch

from fulgurite import Callback, Trainer
from fulgurite.base.errors import CheckpointError, MisconfigurationException
from fulgurite.base.format import is_intact
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.testing import QUIET, TinyModule, batches


class FullDisk(Callback):
    """In one epoch there is room for small files only."""

    def __init__(self, epoch):
        self.epoch, self.before = epoch, resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_train_epoch_start(self, trainer, pl_module):
        full = trainer.current_epoch == self.epoch
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, self.before[1]) if full else self.before)

    def teardown(self, trainer, pl_module, stage):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


class Big(TinyModule):
    def __init__(self):
        super().__init__()
        self.register_buffer("ballast", torch.zeros(250_000))


@pytest.mark.parametrize("options", [{"monitor": "val_loss", "save_top_k": 3}, {"save_last": True}, {"save_top_k": -1}])
def test_a_full_disk_ends_the_run_or_is_put_up_with(tmp_path, options):
    """The files before are whole, no part of a new one stays, and the error says how much room is needed."""

    def fit(folder, on_save_error):
        saving = ModelCheckpoint(folder, filename="{epoch}", on_save_error=on_save_error, **options)
        trainer = Trainer(max_epochs=3, callbacks=[FullDisk(1), saving], **{**QUIET, "enable_checkpointing": True})
        trainer.fit(Big(), batches(2), batches(1))
        return trainer, saving

    with pytest.raises(CheckpointError, match="File too large.*needs about 1.0 MB"):
        fit(tmp_path / "raise", "raise")
    names = sorted(path.name for path in (tmp_path / "raise").iterdir())
    assert names == (["epoch=0.ckpt", "last.ckpt"] if "save_last" in options else ["epoch=0.ckpt"])
    assert all(is_intact(tmp_path / "raise" / name) for name in names)

    with pytest.warns(UserWarning, match="File too large.*Training goes on"):
        trainer, saving = fit(tmp_path / "warn", "warn")
    kept = {path.name for path in (tmp_path / "warn").iterdir()}
    assert trainer.current_epoch == 3 and "epoch=1.ckpt" not in kept and "epoch=2.ckpt" in kept
    assert Path(saving.best_model_path).name in kept and all(map(is_intact, (tmp_path / "warn").iterdir()))


def test_an_unknown_answer_to_a_failed_save_is_refused():
    with pytest.raises(MisconfigurationException, match="on_save_error='ignore'.*'raise' or 'warn'"):
        ModelCheckpoint(on_save_error="ignore")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, with room for three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3200k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("on_save_error", ["raise", "warn"])
def test_a_disk_that_fills_up(small_disk, on_save_error):
    """Three files of one megabyte are there; the fourth finds no room, and takes nothing of them along."""
    saving = ModelCheckpoint(small_disk, filename="{epoch}", save_top_k=-1, on_save_error=on_save_error)
    trainer = Trainer(max_epochs=4, callbacks=[saving], **{**QUIET, "enable_checkpointing": True})
    expected = (
        pytest.raises(CheckpointError, match="No space left.*needs about 1.0 MB")
        if on_save_error == "raise"
        else pytest.warns(UserWarning, match="No space left.*Training goes on")
    )
    with expected:
        trainer.fit(Big(), batches(2), batches(1))

    assert sorted(path.name for path in small_disk.iterdir()) == ["epoch=0.ckpt", "epoch=1.ckpt", "epoch=2.ckpt"]
    assert all(map(is_intact, small_disk.iterdir()))
    assert trainer.current_epoch == (3 if on_save_error == "raise" else 4)
