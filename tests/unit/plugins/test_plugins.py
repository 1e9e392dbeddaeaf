"""`Trainer(plugins=...)`: what it takes, and that what it takes is used."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.core.precision import Precision
from fulgurite.plugins import AsyncCheckpointIO, CheckpointIO, LayerSync, TorchCheckpointIO, TorchSyncBatchNorm
from fulgurite.plugins.environments import LightningEnvironment
from fulgurite.strategies import SingleDeviceStrategy
from fulgurite.testing import QUIET, TinyModule, batches

pytestmark = pytest.mark.filterwarnings("ignore:There is a .validation_step.")


class InMemory(CheckpointIO):
    """Keeps checkpoints in a dict, with the options they came with."""

    def __init__(self):
        self.kept = {}

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        self.kept[str(path)] = ({**checkpoint}, storage_options)

    def load_checkpoint(self, path, map_location=None, weights_only=None):
        return self.kept[str(path)][0]

    def remove_checkpoint(self, path):
        self.kept.pop(str(path), None)


class Halved(Precision):
    """Computes the loss at half its size."""

    def backward(self, loss, *args, **kwargs):
        (loss / 2).backward(*args, **kwargs)


@pytest.mark.parametrize("listed", [True, False])
def test_a_checkpoint_io_of_ones_own_is_asked(listed):
    """Saving with options, resuming, removing."""
    io = InMemory()
    trainer = Trainer(plugins=[io] if listed else io, max_epochs=1, **QUIET)
    trainer.fit(TinyModule(), batches(2))
    trainer.save_checkpoint("nowhere.ckpt", storage_options={"speed": 3})

    assert io.kept["nowhere.ckpt"][1] == {"speed": 3}
    resumed = Trainer(plugins=io, max_epochs=2, **QUIET)
    resumed.fit(TinyModule(), batches(2), ckpt_path="nowhere.ckpt")
    assert resumed.global_step == 4
    resumed.strategy.remove_checkpoint("nowhere.ckpt")
    assert io.kept == {}


def test_a_precision_of_ones_own_computes():
    """Half the gradient, half the step."""
    modules = TinyModule(), TinyModule()
    for module, plugins in zip(modules, (None, [Halved(), AsyncCheckpointIO()]), strict=True):
        before = module.layer.weight.clone()
        Trainer(plugins=plugins, max_steps=1, **QUIET).fit(module, batches(1))
        module.moved = (module.layer.weight - before).detach()

    assert torch.allclose(modules[0].moved, 2 * modules[1].moved)


class Noting(Precision):
    """Notes in which steps it was asked for a context."""

    def __init__(self):
        self.seen = []

    @contextmanager
    def train_step_context(self):
        self.seen.append("train")
        with super().train_step_context():
            yield

    @contextmanager
    def val_step_context(self):
        self.seen.append("val")
        yield

    @contextmanager
    def test_step_context(self):
        self.seen.append("test")
        yield

    @contextmanager
    def predict_step_context(self):
        self.seen.append("predict")
        yield


def test_each_step_has_a_context_of_its_own():
    """A precision may compute otherwise in training than elsewhere."""
    noting, module = Noting(), TinyModule()
    trainer = Trainer(plugins=noting, max_epochs=1, **QUIET)
    trainer.fit(module, batches(1), batches(1))
    trainer.test(module, batches(1), verbose=False)
    trainer.predict(module, batches(1))

    assert noting.seen == ["val", "train", "val", "test", "predict"]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("pre_backward", "scale"),
        ("post_backward", "on_after_backward"),
        ("optimizer_step", "`step"),
        ("clip_gradients", "clip_grad_by_norm"),
        ("connect", "convert_module"),
        ("tensor_init_context", "module_init_context"),
        ("on_save_checkpoint", "state_dict"),
        ("on_load_checkpoint", "load_state_dict"),
    ],
)
def test_what_a_precision_overrides_in_vain_is_refused(name, instead):
    """Lightning calls these; here another method does their work, and the error says which."""
    kind = type("Own", (Precision,), {name: lambda self, *args: None})
    with pytest.raises(MisconfigurationException, match=f"Own overrides `{name}`.*{instead}"):
        Trainer(plugins=kind(), **QUIET)


def test_a_backward_that_asks_for_more_is_refused():
    """Lightning passes module and optimizer; that is seen before a run, not at its first loss."""

    class Own(Precision):
        def backward(self, tensor, model, optimizer, *args, **kwargs):
            tensor.backward(*args, **kwargs)

    with pytest.raises(MisconfigurationException, match=r"backward\(self, loss"):
        Trainer(plugins=Own(), **QUIET)


@pytest.mark.parametrize("arguments", [{"plugins": TorchSyncBatchNorm()}, {"sync_batchnorm": True}])
def test_one_device_has_nothing_to_bring_together(arguments):
    """Batch norms stay what they are, and training is the same."""

    class Normed(TinyModule):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)

        def forward(self, batch):
            return self.layer(self.norm(batch))

    with_it, without = Normed(), Normed()
    Trainer(max_epochs=1, **arguments, **QUIET).fit(with_it, batches(2))
    Trainer(max_epochs=1, **QUIET).fit(without, batches(2))

    assert type(with_it.norm) is nn.BatchNorm1d
    assert all(map(torch.equal, with_it.state_dict().values(), without.state_dict().values()))


def test_synchronised_norms_come_and_go():
    """The same parameters and statistics throughout, and a norm that works alone afterwards."""
    model = nn.Sequential(nn.Conv1d(3, 4, 1), nn.Sequential(nn.BatchNorm1d(4, momentum=0.3)))
    sync, batch = TorchSyncBatchNorm(), torch.randn(8, 3, 5)
    expected, weight = model(batch), model[1][0].weight
    synced = sync.apply(model)
    assert type(synced[1][0]) is nn.SyncBatchNorm
    again = sync.revert(synced)

    assert again[1][0].weight is weight and again[1][0].momentum == 0.3 and again[1][0].training
    assert torch.allclose(again(batch), expected)
    assert "SyncBatchNorm" not in str(again)


@pytest.mark.parametrize(
    "wrong",
    ["16-mixed", 3, TorchCheckpointIO, [TorchCheckpointIO(), InMemory()], [Precision(), Precision()],
     [TorchSyncBatchNorm(), TorchSyncBatchNorm()], [None]],
)  # fmt: skip
def test_other_plugins_are_refused(wrong):
    """Words, classes, and two of a kind."""
    with pytest.raises(MisconfigurationException, match="plugins"):
        Trainer(plugins=wrong, **QUIET)


def test_one_place_for_checkpoints():
    """A strategy that brings its own leaves no room for a plugin."""
    strategy = SingleDeviceStrategy(checkpoint_io=InMemory())
    assert isinstance(Trainer(strategy=strategy, **QUIET).strategy.checkpoint_io, InMemory)
    with pytest.raises(MisconfigurationException, match="checkpoint_io"):
        Trainer(strategy=strategy, plugins=TorchCheckpointIO(), **QUIET)


def test_an_environment_goes_to_the_strategy():
    """Whichever strategy it is; one that brings its own leaves no room for another."""
    mine = LightningEnvironment()
    assert Trainer(plugins=[mine], **QUIET).strategy.cluster_environment is mine
    assert type(Trainer(**QUIET).strategy.cluster_environment) is LightningEnvironment

    strategy = SingleDeviceStrategy()
    assert Trainer(strategy=strategy, plugins=mine, **QUIET).strategy.cluster_environment is mine
    with pytest.raises(MisconfigurationException, match="cluster_environment"):
        Trainer(strategy=strategy, plugins=LightningEnvironment(), **QUIET)


def test_plain_files_take_no_options(tmp_path):
    """The error says what does."""
    trainer = Trainer(max_epochs=1, **QUIET)
    trainer.fit(TinyModule(), batches(1))
    with pytest.raises(TypeError, match="CheckpointIO of your own"):
        trainer.save_checkpoint(tmp_path / "a.ckpt", storage_options={"speed": 3})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("base", [CheckpointIO, LayerSync])
def test_a_base_says_what_is_missing(base):
    """A subclass without its methods names itself."""

    class Mine(base):
        pass

    names = [name for name in ("apply", "revert", "remove_checkpoint", "load_checkpoint") if hasattr(base, name)]
    for name in names:
        with pytest.raises(NotImplementedError, match=f"Mine .*{name}"):
            getattr(Mine(), name)(None)
