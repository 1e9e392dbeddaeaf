"""The plugins that come along keep their contracts."""

import inspect

import fulgurite.plugins
from fulgurite.plugins import AsyncCheckpointIO, CheckpointIO, TorchCheckpointIO
from fulgurite.testing.checkpoint_io_contract import CheckpointIOContract


class TestTorchCheckpointIO(CheckpointIOContract):
    def make(self, tmp_path):
        return TorchCheckpointIO()


class TestAsyncCheckpointIO(CheckpointIOContract):
    def make(self, tmp_path):
        return AsyncCheckpointIO()


class TestAsyncCheckpointIOWithAnother(CheckpointIOContract):
    def make(self, tmp_path):
        return AsyncCheckpointIO(TorchCheckpointIO())


def test_no_checkpoint_io_is_forgotten(tmp_path):
    """Every public one has a contract; the base class is there to be subclassed only."""
    public = {getattr(fulgurite.plugins, name) for name in fulgurite.plugins.__all__}
    kinds = {each for each in public if inspect.isclass(each) and issubclass(each, CheckpointIO)}
    contracts = [each for name, each in globals().items() if name.startswith("Test")]
    assert {type(each().make(tmp_path)) for each in contracts} == kinds - {CheckpointIO}
