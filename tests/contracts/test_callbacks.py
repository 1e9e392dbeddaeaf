"""The callbacks that come along keep the callbacks' contract."""

import inspect
from datetime import timedelta

import pytest
import torch

import fulgurite.callbacks
from fulgurite.callbacks import (
    Callback,
    Checkpoint,
    DeviceStatsMonitor,
    EarlyStopping,
    LambdaCallback,
    LearningRateMonitor,
    LogPredictions,
    ModelCheckpoint,
    ModelSummary,
    ProgressBar,
    ThroughputMonitor,
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


class TestLogPredictions(CallbackContract):
    def make(self, tmp_path):
        return LogPredictions()


class TestDeviceStatsMonitor(CallbackContract):
    def make(self, tmp_path):
        pytest.importorskip("psutil")
        return DeviceStatsMonitor()


class TestThroughputMonitor(CallbackContract):
    def make(self, tmp_path):
        return ThroughputMonitor(len, length_fn=torch.numel, window_size=2)


class TestModelSummary(CallbackContract):
    def make(self, tmp_path):
        return ModelSummary()


class TestRichModelSummary(CallbackContract):
    def make(self, tmp_path):
        pytest.importorskip("rich")
        from fulgurite.callbacks import RichModelSummary

        return RichModelSummary(max_depth=-1)


class TestTQDMProgressBar(CallbackContract):
    def make(self, tmp_path):
        return TQDMProgressBar()


class TestRichProgressBar(CallbackContract):
    def make(self, tmp_path):
        pytest.importorskip("rich")
        from fulgurite.callbacks import RichProgressBar

        return RichProgressBar()


def test_no_callback_is_forgotten(tmp_path):
    """Every public callback that can be used as it is has a contract; two are there to be subclassed only."""
    pytest.importorskip("rich")
    pytest.importorskip("psutil")
    public = {getattr(fulgurite.callbacks, name) for name in fulgurite.callbacks.__all__}
    callbacks = {each for each in public if inspect.isclass(each) and issubclass(each, Callback)}
    contracts = [each for name, each in globals().items() if name.startswith("Test")]
    assert {type(each().make(tmp_path)) for each in contracts} == callbacks - {Checkpoint, ProgressBar}
