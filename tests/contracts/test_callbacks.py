"""The callbacks that come along keep the callbacks' contract."""

import inspect
from datetime import timedelta

import pytest
import torch

import fulgurite.callbacks
from fulgurite.callbacks import (
    BackboneFinetuning,
    BaseFinetuning,
    BasePredictionWriter,
    BatchSizeFinder,
    Callback,
    Checkpoint,
    DeviceStatsMonitor,
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    LambdaCallback,
    LearningRateFinder,
    LearningRateMonitor,
    LoaderTimeout,
    LogPredictions,
    ModelCheckpoint,
    ModelPruning,
    ModelSummary,
    NonFiniteGuard,
    OnExceptionCheckpoint,
    ProgressBar,
    StochasticWeightAveraging,
    ThroughputMonitor,
    Timer,
    TQDMProgressBar,
    WeightAveraging,
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


class TestGradientAccumulationScheduler(CallbackContract):
    def make(self, tmp_path):
        return GradientAccumulationScheduler({0: 1, 5: 2})


class TestTimer(CallbackContract):
    def make(self, tmp_path):
        return Timer(duration="01:00:00:00")


class TestLambdaCallback(CallbackContract):
    def make(self, tmp_path):
        return LambdaCallback(on_fit_start=do_nothing, on_train_batch_end=do_nothing)


class TestLearningRateFinder(CallbackContract):
    def make(self, tmp_path):
        return LearningRateFinder(num_training_steps=6, update_attr=False)


class Sized(LoggingModule):
    """It makes its own loaders, of ``size`` samples a batch."""

    size = 1

    def train_dataloader(self):
        return torch.utils.data.DataLoader(batches().dataset, batch_size=self.size)

    def val_dataloader(self):
        return torch.utils.data.DataLoader(batches(2).dataset, batch_size=self.size)

    test_dataloader = predict_dataloader = val_dataloader


class TestBatchSizeFinder(CallbackContract):
    module = Sized

    """The module brings the loaders. The largest size that may be tried is the one that the others' loaders have."""

    def make(self, tmp_path):
        return BatchSizeFinder(init_val=1, max_val=1, batch_arg_name="size")

    def run(self, trainer, verb, model, **options):
        return getattr(trainer, verb)(model, **options)


class TestLearningRateMonitor(CallbackContract):
    def make(self, tmp_path):
        return LearningRateMonitor(log_momentum=True, log_weight_decay=True)


class TestModelPruning(CallbackContract):
    changes_training = True

    def make(self, tmp_path):
        return ModelPruning("l1_unstructured", amount=0.3)


class TestModelPruningThatLeavesItsMasks(CallbackContract):
    changes_training = True

    def make(self, tmp_path):
        return ModelPruning("l1_unstructured", amount=0.3, make_pruning_permanent=False, resample_parameters=True)


class TestLoaderTimeout(CallbackContract):
    def make(self, tmp_path):
        return LoaderTimeout(60)


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


class TestStochasticWeightAveraging(CallbackContract):
    changes_training = True

    def make(self, tmp_path):
        return StochasticWeightAveraging(0.05, swa_epoch_start=1, annealing_epochs=2)


class WithBackbone(LoggingModule):
    """Two layers, the first of which is a backbone."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Linear(4, 4)

    def forward(self, batch):
        return self.layer(self.backbone(batch))

    def configure_optimizers(self):
        return torch.optim.SGD([each for each in self.parameters() if each.requires_grad], lr=0.1)


class TestBackboneFinetuning(CallbackContract):
    changes_training = True
    module = WithBackbone

    def make(self, tmp_path):
        return BackboneFinetuning(unfreeze_backbone_at_epoch=1)


class TestWeightAveraging(CallbackContract):
    changes_training = True

    def make(self, tmp_path):
        return WeightAveraging()


class TestEMAWeightAveraging(CallbackContract):
    changes_training = True

    def make(self, tmp_path):
        return EMAWeightAveraging(decay=0.9, update_every_n_steps=2)


def test_no_callback_is_forgotten(tmp_path):
    """Every public callback that can be used as it is has a contract; some are there to be subclassed only."""
    pytest.importorskip("rich")
    pytest.importorskip("psutil")
    public = {getattr(fulgurite.callbacks, name) for name in fulgurite.callbacks.__all__}
    callbacks = {each for each in public if inspect.isclass(each) and issubclass(each, Callback)}
    contracts = [each for name, each in globals().items() if name.startswith("Test")]
    checked = {type(each().make(tmp_path)) for each in contracts} - {Writer} | {BasePredictionWriter}
    assert checked == callbacks - {BaseFinetuning, Checkpoint, ProgressBar}
