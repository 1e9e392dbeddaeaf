"""The callbacks that come along keep the callbacks' contract."""

from datetime import timedelta

import pytest

from fulgurite.callbacks import (
    Callback,
    EarlyStopping,
    LambdaCallback,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelSummary,
    Timer,
    TQDMProgressBar,
)
from fulgurite.testing.contracts import CallbackContract


def do_nothing(trainer, pl_module, *args):
    """A hook that can be pickled."""


class TestCallback(CallbackContract):
    def make(self, tmp_path):
        return Callback()


class TestModelCheckpoint(CallbackContract):
    def make(self, tmp_path):
        return ModelCheckpoint(dirpath=tmp_path / "kept")


class TestModelCheckpointOfTheBest(CallbackContract):
    def make(self, tmp_path):
        return ModelCheckpoint(dirpath=tmp_path / "kept", monitor="val_loss", save_top_k=2, save_last="link")


class TestModelCheckpointBySteps(CallbackContract):
    def make(self, tmp_path):
        return ModelCheckpoint(
            dirpath=tmp_path / "kept", monitor="val_loss", save_top_k=-1, every_n_train_steps=3, save_last=True
        )


class TestModelCheckpointByTime(CallbackContract):
    def make(self, tmp_path):
        return ModelCheckpoint(dirpath=tmp_path / "kept", train_time_interval=timedelta(0))


class TestModelCheckpointWithoutItsMetric(CallbackContract):
    def make(self, tmp_path):
        return ModelCheckpoint(dirpath=tmp_path / "kept", monitor="val_loss", every_n_train_steps=1)


class TestEarlyStopping(CallbackContract):
    def make(self, tmp_path):
        return EarlyStopping("val_loss", patience=100)


class TestTimer(CallbackContract):
    def make(self, tmp_path):
        return Timer(duration="01:00:00:00")


class TestLambdaCallback(CallbackContract):
    def make(self, tmp_path):
        return LambdaCallback(on_fit_start=do_nothing, on_train_batch_end=do_nothing)


class TestLearningRateMonitor(CallbackContract):
    def make(self, tmp_path):
        return LearningRateMonitor(log_momentum=True, log_weight_decay=True)


class TestModelSummary(CallbackContract):
    def make(self, tmp_path):
        return ModelSummary()


class TestTQDMProgressBar(CallbackContract):
    def make(self, tmp_path):
        return TQDMProgressBar()


class TestRichProgressBar(CallbackContract):
    def make(self, tmp_path):
        pytest.importorskip("rich")
        from fulgurite.callbacks import RichProgressBar

        return RichProgressBar()
