"""When OnExceptionCheckpoint writes its file, and when it goes."""

import os

import pytest
import torch

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from fulgurite.testing import QUIET, TinyModule, batches


class Failing(TinyModule):
    """Raises ``error`` in step ``at``, or in validation."""

    def __init__(self, error=ZeroDivisionError, at=2, where="training"):
        super().__init__()
        self.error, self.at, self.where = error, at, where

    def training_step(self, batch, batch_idx):
        if self.where == "training" and self.global_step == self.at:
            raise self.error
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        if self.where == "validation":
            raise self.error
        super().validation_step(batch, batch_idx)

    test_step = validation_step


def trainer(callback, **options):
    return Trainer(callbacks=[callback], **{**QUIET, "enable_checkpointing": None, "max_epochs": 2, **options})


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_the_fit_goes_on_from_the_file(error, tmp_path):
    """To the same weights as without the error; then the file has done its duty and goes."""
    saved, whole = OnExceptionCheckpoint(tmp_path), TinyModule()
    with pytest.raises(error):
        trainer(saved).fit(Failing(error, at=6), batches(4))
    assert torch.load(saved.ckpt_path, weights_only=True)["global_step"] == 6

    resumed = TinyModule()
    trainer(saved).fit(resumed, batches(4), ckpt_path=saved.ckpt_path)
    trainer(ModelCheckpoint(tmp_path / "other")).fit(whole, batches(4))

    assert torch.equal(resumed.layer.weight, whole.layer.weight)
    assert not os.path.exists(saved.ckpt_path)


def test_the_file_of_an_earlier_crash_is_not_lost(tmp_path):
    """Neither by a fit that fails before it trains, nor by another that ends well, nor by a failing test."""
    saved = OnExceptionCheckpoint(tmp_path)
    with pytest.raises(ZeroDivisionError):
        trainer(saved).fit(Failing(at=3), batches(4))

    with pytest.raises(ZeroDivisionError):
        trainer(saved).fit(Failing(where="validation"), batches(4), batches(1))
    with pytest.raises(ZeroDivisionError):
        trainer(saved).test(Failing(where="validation"), batches(1))
    trainer(saved).fit(TinyModule(), batches(4))
    trainer(saved).validate(TinyModule(), batches(1), verbose=False)

    assert torch.load(saved.ckpt_path, weights_only=True)["global_step"] == 3


def test_a_validation_within_the_fit_counts(tmp_path):
    """What was trained before it is saved."""
    saved = OnExceptionCheckpoint(tmp_path / "new")
    with pytest.raises(ZeroDivisionError):
        trainer(saved, num_sanity_val_steps=0).fit(Failing(where="validation"), batches(4), batches(1))

    assert torch.load(saved.ckpt_path, weights_only=True)["global_step"] == 4


def test_a_trial_run_writes_nothing(tmp_path):
    """``fast_dev_run`` saves no checkpoints, this one included."""
    saved = OnExceptionCheckpoint(tmp_path / "new")
    with pytest.raises(ZeroDivisionError):
        trainer(saved, fast_dev_run=3).fit(Failing(at=1), batches(4))

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    """Not in the hour in which it is needed."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MisconfigurationException, match="file is a file"):
        trainer(OnExceptionCheckpoint(tmp_path / "file")).fit(TinyModule(), batches(1))


@pytest.mark.parametrize("arguments, named", [((".", ""), "filename"), ((None,), "dirpath")])
def test_what_names_no_file_is_refused(arguments, named):
    """At construction."""
    with pytest.raises((ValueError, MisconfigurationException), match=named):
        OnExceptionCheckpoint(*arguments)
