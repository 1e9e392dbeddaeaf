"""What every CheckpointIO owes the trainer and its users, as tests. Subclass, give ``make``, and pytest runs them."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from fulgurite.callbacks.model_checkpoint import ModelCheckpoint
from fulgurite.core.checkpoint_io import CheckpointIO
from fulgurite.testing.tiny import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer


class Breaking(TinyModule):
    """Fails in the second epoch."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == 1:
            raise self.error


@pytest.mark.filterwarnings("ignore:There is a .validation_step.", "ignore:The checkpoint folder")
class CheckpointIOContract:
    """A subclass overrides ``make``. What it saves under a local path shall be found there by ``exists``."""

    def make(self, tmp_path: Path) -> CheckpointIO:
        """A new one."""
        raise NotImplementedError

    def trainer(self, io: CheckpointIO, folder: Path, **arguments: Any) -> Trainer:
        """A quiet trainer that keeps the two last epochs and ``last.ckpt``."""
        keeping = ModelCheckpoint(dirpath=folder, monitor="loss", mode="max", save_top_k=2, save_last=True)
        quiet = {**QUIET, "enable_checkpointing": True, "max_epochs": 3, **arguments}
        return Trainer(plugins=[io], callbacks=[keeping], **quiet)

    def test_what_is_saved_comes_back(self, tmp_path: Path) -> None:
        """Tensors, numbers and nests; and only once it was saved."""
        io, path = self.make(tmp_path), tmp_path / "one.ckpt"
        assert not io.exists(path)

        io.save_checkpoint({"state_dict": {"w": torch.arange(3.0)}, "epoch": 4}, path)

        assert io.exists(path)
        found = io.load_checkpoint(path)
        assert torch.equal(found["state_dict"]["w"], torch.arange(3.0)) and found["epoch"] == 4
        io.teardown()

    def test_what_is_removed_is_gone(self, tmp_path: Path) -> None:
        """Removing it twice is no error."""
        io, path = self.make(tmp_path), tmp_path / "one.ckpt"
        io.save_checkpoint({"epoch": 4}, path)
        for _ in range(2):
            io.remove_checkpoint(path)

        io.wait()
        assert not io.exists(path)
        with pytest.raises(FileNotFoundError):
            io.load_checkpoint(path)
        io.teardown()

    def test_a_save_is_a_snapshot(self, tmp_path: Path) -> None:
        """What changes afterwards does not change the checkpoint."""
        io, path, weight = self.make(tmp_path), tmp_path / "one.ckpt", torch.zeros(1000)
        checkpoint = {"state_dict": {"w": weight}, "numbers": [1]}

        io.save_checkpoint(checkpoint, path)
        weight.fill_(7)
        checkpoint["numbers"].append(2)  # type: ignore[attr-defined]

        found = io.load_checkpoint(path)
        assert found["state_dict"]["w"].sum() == 0 and found["numbers"] == [1]
        io.teardown()

    def test_it_serves_a_fit_and_a_second_one(self, tmp_path: Path) -> None:
        """Files are there when ``fit`` returns, the best one is tested, the last one resumed from."""
        module, io = TinyModule(), self.make(tmp_path)
        trainer = self.trainer(io, tmp_path / "kept")
        trainer.fit(module, batches(2))
        callback = trainer.checkpoint_callback

        assert len(callback.best_k_models) == 2
        assert all(io.exists(path) for path in (*callback.best_k_models, callback.last_model_path))
        assert len(list((tmp_path / "kept").iterdir())) == 3
        last = trainer.strategy.load_checkpoint(callback.last_model_path)
        assert torch.equal(last["state_dict"]["layer.weight"], module.layer.weight)
        trainer.test(module, batches(1), ckpt_path="best", verbose=False)
        trainer.max_epochs = 4
        trainer.fit(module, batches(2), ckpt_path="last")
        assert trainer.global_step == 8

    @pytest.mark.parametrize("error", [ZeroDivisionError("the user's own"), KeyboardInterrupt()])
    def test_a_run_that_breaks_leaves_whole_files(self, tmp_path: Path, error: BaseException) -> None:
        """What was saved before is there and loads; the user's error is what the user sees."""
        io = self.make(tmp_path)
        trainer = self.trainer(io, tmp_path / "kept")
        with pytest.raises(type(error)) as raised:
            trainer.fit(Breaking(error), batches(2))

        assert raised.value is error
        assert not any("went wrong" in note for note in getattr(error, "__notes__", []))
        assert io.load_checkpoint(trainer.checkpoint_callback.best_model_path)["global_step"] == 2

    def test_it_can_be_copied_and_pickled(self, tmp_path: Path) -> None:
        """Copies work, made before a run and after it."""
        used = self.make(tmp_path)
        self.trainer(used, tmp_path / "first").fit(TinyModule(), batches(2))
        for number, io in enumerate((self.make(tmp_path), used)):
            for copied in (copy.deepcopy(io), pickle.loads(pickle.dumps(io))):
                self.trainer(copied, tmp_path / str(number)).fit(TinyModule(), batches(2))
