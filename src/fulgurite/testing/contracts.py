"""What every callback owes the trainer and its users, as tests. Subclass, give ``make``, and pytest runs them."""

import copy
import inspect
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from fulgurite.callbacks.checkpoint import Checkpoint
from fulgurite.core.callback import Callback
from fulgurite.core.module import LightningModule
from fulgurite.loggers.csv import CSVLogger
from fulgurite.runtime.hooks import overrides
from fulgurite.trainer import Trainer

HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_") or name in ("setup", "teardown"))


class LoggingModule(LightningModule):
    """One linear layer that logs ``loss`` in training and ``val_loss`` in validation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.layer(batch)

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = self(batch).square().mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val_loss", self(batch).square().mean())

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def breaking(kind: type[LoggingModule]) -> LoggingModule:
    """A module of this kind that raises in the second epoch."""

    class Broken(kind):  # type: ignore[valid-type, misc]
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            if self.current_epoch == 1:
                raise ZeroDivisionError("the user's own error")
            return super().training_step(batch, batch_idx)

    return Broken()


def batches(number: int = 4) -> DataLoader:
    """The same ``number`` batches of one sample, at every call."""
    samples = torch.randn(number, 4, generator=torch.Generator().manual_seed(1))
    return DataLoader(samples, batch_size=1)  # type: ignore[arg-type]  # a tensor is a fine dataset


class CallbackContract:
    """A subclass overrides ``make``; a callback that is meant to change the weights sets ``changes_training``.

    One that asks more of a module than `LoggingModule` offers sets ``module`` to a subclass of it.
    Whatever ``make`` builds shall write under ``tmp_path`` only and let four epochs of training pass.
    """

    changes_training = False
    module: type[LoggingModule] = LoggingModule

    def make(self, tmp_path: Path) -> Callback:
        """A new callback. Two of them, made in the same folder, are alike."""
        raise NotImplementedError

    def trainer(self, folder: Path, callback: Callback | None, **arguments: Any) -> Trainer:
        """A quiet trainer of two epochs with the callback."""
        from fulgurite.callbacks.progress.base import ProgressBar

        defaults: dict[str, Any] = {
            "accelerator": "cpu",
            "max_epochs": 2,
            "logger": CSVLogger(folder / "logs"),
            "log_every_n_steps": 1,
            "default_root_dir": folder,
            "enable_checkpointing": isinstance(callback, Checkpoint),
            "enable_progress_bar": isinstance(callback, ProgressBar),
            "enable_model_summary": False,
        }
        return Trainer(callbacks=[] if callback is None else [callback], **{**defaults, **arguments})

    def run(self, trainer: Trainer, verb: str, model: LoggingModule, **options: Any) -> Any:
        """Call the trainer's ``fit``, ``validate``, ``test`` or ``predict`` with loaders."""
        loaders = (batches(), batches(2)) if verb == "fit" else (batches(2),)
        return getattr(trainer, verb)(model, *loaders, **options)

    def fitted(self, folder: Path) -> tuple[Trainer, LoggingModule, Any]:
        """A callback that has seen two epochs."""
        callback, model = self.make(folder), self.module()
        trainer = self.trainer(folder, callback)
        self.run(trainer, "fit", model)
        return trainer, model, callback

    def test_hooks_keep_their_signatures(self, tmp_path: Path) -> None:
        """A hook that is overridden takes what the trainer passes."""
        callback = self.make(tmp_path)
        for name in HOOKS:
            if name in vars(type(callback)):
                given = list(inspect.signature(getattr(Callback, name)).parameters)
                assert list(inspect.signature(getattr(type(callback), name)).parameters) == given, name

    def test_it_can_be_copied_and_pickled(self, tmp_path: Path) -> None:
        """Copies are alike, before a run and after it."""
        for callback in (self.make(tmp_path / "new"), self.fitted(tmp_path / "used")[2]):
            for copied in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
                assert type(copied) is type(callback)
                assert copied.state_key == callback.state_key
                assert alike(copied.state_dict(), callback.state_dict())

    def test_its_state_comes_back(self, tmp_path: Path) -> None:
        """What a checkpoint keeps of it is plain enough for safe loading, and makes a new one equal."""
        _, _, callback = self.fitted(tmp_path)
        file = io.BytesIO()
        torch.save(callback.state_dict(), file)
        file.seek(0)
        state, other = torch.load(file, weights_only=True), self.make(tmp_path)

        other.load_state_dict(state)

        assert alike(other.state_dict(), callback.state_dict())
        assert other.state_key == callback.state_key

    def test_a_run_goes_on_with_it(self, tmp_path: Path) -> None:
        """A new one, in a new trainer, goes on from a checkpoint of the first."""
        trainer, _, _ = self.fitted(tmp_path)
        trainer.save_checkpoint(tmp_path / "kept.ckpt")
        resumed = self.trainer(tmp_path, self.make(tmp_path), max_epochs=3)

        self.run(resumed, "fit", self.module(), ckpt_path=tmp_path / "kept.ckpt")

        assert resumed.global_step == 12

    def test_it_serves_a_second_fit(self, tmp_path: Path) -> None:
        """The same callback sees a second fit of its trainer, and then another trainer and model."""
        trainer, model, callback = self.fitted(tmp_path)

        trainer.max_epochs = 3
        self.run(trainer, "fit", model)
        other = self.trainer(tmp_path, callback)
        self.run(other, "fit", self.module())

        assert (trainer.global_step, other.global_step) == (12, 8)

    def test_it_serves_every_verb(self, tmp_path: Path) -> None:
        """It does not stand in the way of validation, test, prediction, and the trial run."""
        trainer, model, _ = self.fitted(tmp_path)
        self.run(trainer, "validate", model, verbose=False)
        self.run(trainer, "test", model, verbose=False)
        assert len(self.run(trainer, "predict", model) or []) == 2

        trial = self.trainer(tmp_path, self.make(tmp_path), fast_dev_run=True)
        self.run(trial, "fit", self.module())

    def test_it_leaves_an_error_alone(self, tmp_path: Path) -> None:
        """What the user's code raises is what the user sees, and the callback is free for another run."""
        callback = self.make(tmp_path)

        with pytest.raises(ZeroDivisionError, match="the user's own error") as raised:
            self.run(self.trainer(tmp_path, callback), "fit", breaking(self.module))
        self.run(self.trainer(tmp_path, callback), "fit", self.module())

        assert not any("went wrong" in note for note in getattr(raised.value, "__notes__", []))

    def test_it_does_not_disturb_training(self, tmp_path: Path) -> None:
        """The weights are the same with it and without it."""
        if self.changes_training:
            pytest.skip("it is meant to change the weights")
        _, model, _ = self.fitted(tmp_path / "with")
        plain = self.module()
        self.run(self.trainer(tmp_path / "without", None), "fit", plain)

        assert torch.equal(model.layer.weight, plain.layer.weight)

    def test_it_listens_only_where_it_overrides(self, tmp_path: Path) -> None:
        """Hooks that it does not override are not called: the trainer does not know of them."""
        trainer, _, callback = self.fitted(tmp_path)
        assert trainer._session is not None
        for name in trainer._session.hooks.__slots__:
            event = getattr(trainer._session.hooks, name)
            listens = event is not None and bool(event.callbacks or event.closing)
            assert listens == overrides(callback, name, Callback), name


def alike(one: Any, other: Any) -> bool:
    """Whether two states are equal, tensors and times included."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)
