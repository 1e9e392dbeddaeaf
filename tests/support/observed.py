"""Objects that note what happens to them in a run, and a run in which every hook has something to do."""

from pathlib import Path

import torch

from fulgurite import Callback, LightningDataModule, Trainer
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.core.logger import DummyExperiment, Logger
from fulgurite.testing import TinyModule, batches

VERBS = ("fit", "validate", "test", "predict")


class Noted(Logger):
    """Keeps rows and the words it was finalized with."""

    def __init__(self):
        self.rows, self.ends, self.hyperparameters, self.saved = [], [], [], []

    name = "noted"
    version = 0

    @property
    def experiment(self):
        return DummyExperiment()

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, params, *args, **kwargs):
        self.hyperparameters.append(params)

    def after_save_checkpoint(self, checkpoint_callback):
        self.saved.append(checkpoint_callback)

    def finalize(self, status):
        self.ends.append(status)

    def values(self, name):
        """The (step, value) pairs of one name."""
        return [(step, row[name]) for step, row in self.rows if name in row]


class Witness(Callback):
    """Notes exceptions and teardowns."""

    def __init__(self):
        self.exceptions, self.torn_down = [], []

    def on_exception(self, trainer, pl_module, exception):
        self.exceptions.append(exception)

    def teardown(self, trainer, pl_module, stage):
        self.torn_down.append(str(stage))


class FullModule(TinyModule):
    """Has loaders of its own, a scheduler, hyperparameters, and overrides what the plain step would pass over."""

    def __init__(self):
        super().__init__()
        self.torn_down, self.modes = [], []
        self.save_hyperparameters({"width": 4})

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1)}

    def training_step(self, batch, batch_idx):
        self.modes.append(self.training)
        return super().training_step(batch, batch_idx)

    def teardown(self, stage):
        self.torn_down.append(str(stage))

    def train_dataloader(self):
        return batches(2)

    def val_dataloader(self):
        return batches(2)

    test_dataloader = predict_dataloader = val_dataloader


class FullData(LightningDataModule):
    """Notes exceptions and teardowns; its batches go through hooks of its own."""

    def __init__(self):
        super().__init__()
        self.exceptions, self.torn_down = [], []

    def train_dataloader(self):
        return batches(2)

    def val_dataloader(self):
        return batches(2)

    test_dataloader = predict_dataloader = val_dataloader

    def state_dict(self):
        return {"seen": 1}

    def on_exception(self, exception):
        self.exceptions.append(exception)

    def teardown(self, stage):
        self.torn_down.append(str(stage))


class Scene:
    """A trainer of two epochs with one of everything."""

    def __init__(self, folder: Path, datamodule: bool = False, **arguments):
        self.folder = folder
        self.module, self.witness, self.listener, self.logger = FullModule(), Witness(), Callback(), Noted()
        self.datamodule = FullData() if datamodule else None
        self.checkpoint = ModelCheckpoint(dirpath=folder / "kept", monitor="val_loss", save_last=True)
        defaults = {
            "accelerator": "cpu", "max_epochs": 2, "log_every_n_steps": 1, "logger": self.logger,
            "enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": folder,
            "callbacks": [self.listener, self.witness, self.checkpoint],
        }  # fmt: skip
        self.trainer = Trainer(**{**defaults, **arguments})

    def run(self, verb: str, **arguments):
        if verb in ("validate", "test"):
            arguments["verbose"] = False
        return getattr(self.trainer, verb)(self.module, datamodule=self.datamodule, **arguments)

    def torn_down(self):
        """The stages that each owner was asked to tear down."""
        owners = [self.module, self.witness] + ([self.datamodule] if self.datamodule else [])
        return [owner.torn_down for owner in owners]


class Broken:
    """A stand-in for a hook that raises; ``after`` calls go to the hook itself first."""

    def __init__(self, thing, name, error, after=0):
        self.thing, self.name, self.error, self.after, self.calls = thing, name, error, after, 0
        self.hook = getattr(thing, name)

    def __enter__(self):
        setattr(self.thing, self.name, lambda *args, **kwargs: self(*args, **kwargs))
        return self

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls > self.after:
            raise self.error
        return self.hook(*args, **kwargs)

    def __exit__(self, *problem):
        del self.thing.__dict__[self.name]
