"""The callbacks that come along keep the callbacks' contract."""

import inspect
from datetime import timedelta

import pytest
import torch

import fulgurite.callbacks
from fulgurite.callbacks import (
    BasePredictionWriter,
    BatchSizeFinder,
    Callback,
    Checkpoint,
    EarlyStopping,
    LambdaCallback,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelSummary,
    NonFiniteGuard,
    OnExceptionCheckpoint,
    ProgressBar,
    Timer,
    TQDMProgressBar,
)
from fulgurite.testing.contracts import CallbackContract, LoggingModule, batches


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


class TestLearningRateFinder(CallbackContract):
    def make(self, tmp_path):
        return LearningRateFinder(num_training_steps=6, update_attr=False)


class TestBatchSizeFinder(CallbackContract):
    """The module brings the loaders. The largest size that may be tried is the one that the others' loaders have."""

    def make(self, tmp_path):
        return BatchSizeFinder(init_val=1, max_val=1, batch_arg_name="size")

    def model(self, kind=LoggingModule):
        class Sized(kind):
            size = 1

            def train_dataloader(self):
                return torch.utils.data.DataLoader(batches().dataset, batch_size=self.size)

            def val_dataloader(self):
                return torch.utils.data.DataLoader(batches(2).dataset, batch_size=self.size)

            test_dataloader = predict_dataloader = val_dataloader

        return Sized()

    def run(self, trainer, verb, model, **options):
        return getattr(trainer, verb)(model, **options)


class TestLearningRateMonitor(CallbackContract):
    def make(self, tmp_path):
        return LearningRateMonitor(log_momentum=True, log_weight_decay=True)


class TestModelSummary(CallbackContract):
    def make(self, tmp_path):
        return ModelSummary()


class TestRichModelSummary(CallbackContract):
    def make(self, tmp_path):
        pytest.importorskip("rich")
        from fulgurite.callbacks import RichModelSummary

        return RichModelSummary(max_depth=-1)


class TestNonFiniteGuard(CallbackContract):
    def make(self, tmp_path):
        return NonFiniteGuard(check_every_n_steps=3)


class TestNonFiniteGuardSkipping(CallbackContract):
    def make(self, tmp_path):
        return NonFiniteGuard("skip")


class TestNonFiniteGuardRollingBack(CallbackContract):
    def make(self, tmp_path):
        return NonFiniteGuard("rollback", snapshot_every_n_steps=2)


class TestOnExceptionCheckpoint(CallbackContract):
    def make(self, tmp_path):
        return OnExceptionCheckpoint(tmp_path / "kept")


class Writer(BasePredictionWriter):
    """Writes nowhere."""

    def write_on_batch_end(self, *args):
        """What a subclass must have."""

    write_on_epoch_end = write_on_batch_end


class TestBasePredictionWriter(CallbackContract):
    def make(self, tmp_path):
        return Writer("batch_and_epoch")


class TestTQDMProgressBar(CallbackContract):
    def make(self, tmp_path):
        return TQDMProgressBar()


class TestRichProgressBar(CallbackContract):
    def make(self, tmp_path):
        pytest.importorskip("rich")
        from fulgurite.callbacks import RichProgressBar

        return RichProgressBar()


def test_no_callback_is_forgotten(tmp_path):
    """Every public callback has a contract; two are there to be subclassed only, and one in a subclass of its own."""
    pytest.importorskip("rich")
    public = {getattr(fulgurite.callbacks, name) for name in fulgurite.callbacks.__all__}
    callbacks = {each for each in public if inspect.isclass(each) and issubclass(each, Callback)}
    contracts = [each for name, each in globals().items() if name.startswith("Test")]
    checked = {type(each().make(tmp_path)) for each in contracts} - {Writer} | {BasePredictionWriter}
    assert checked == callbacks - {Checkpoint, ProgressBar}
