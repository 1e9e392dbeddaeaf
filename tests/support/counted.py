"""A model whose metrics are known beforehand, and the runs that tests make with it."""

import os

import torch
from torch.utils.data import DataLoader

from fulgurite.core.callback import Callback
from fulgurite.core.module import LightningModule
from fulgurite.trainer import Trainer

NAN, INF = float("nan"), float("inf")


class Counted(LightningModule):
    """Logs ``train`` as the steps done so far; ``val`` as them too, or as ``val_by_epoch`` says."""

    def __init__(self, val_by_epoch=None, train_by_step=None):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.val_by_epoch, self.train_by_step = val_by_epoch, train_by_step

    def forward(self, batch):
        return self.layer(batch)

    def training_step(self, batch, batch_idx):
        steps = self.global_step
        self.log("train", float(self.train_by_step[steps] if self.train_by_step else steps))
        return self.layer(batch).mean()

    def validation_step(self, batch, batch_idx):
        self.log("val", float(self.val_by_epoch[self.current_epoch] if self.val_by_epoch else self.global_step))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Saves(Callback):
    """Notes every file that is written: its name, the step and the epoch."""

    def __init__(self):
        self.seen = []

    def on_fit_start(self, trainer, pl_module):
        save = trainer.save_checkpoint

        def noted(path, *args, **kwargs):
            self.seen.append((os.path.basename(path), trainer.global_step, trainer.current_epoch))
            return save(path, *args, **kwargs)

        trainer.save_checkpoint = noted


def batches(number=5):
    return DataLoader(torch.ones(number, 4), batch_size=1)


def quiet(folder, *callbacks, **arguments):
    """A trainer of two epochs that prints and logs nothing."""
    defaults = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "logger": False,
        "default_root_dir": folder,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": None,
    }
    return Trainer(callbacks=list(callbacks), **{**defaults, **arguments})


def fit(folder, *callbacks, model=None, val=True, ckpt_path=None, **arguments):
    """Train five batches an epoch, with two of validation; return the trainer."""
    trainer = quiet(folder, *callbacks, **arguments)
    trainer.fit(model or Counted(), batches(), batches(2) if val else None, ckpt_path=ckpt_path)
    return trainer


def files(folder):
    """All files under ``folder``, links as ``name -> target``."""
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            target = f" -> {os.readlink(path)}" if os.path.islink(path) else ""
            found.append(os.path.relpath(path, folder) + target)
    return sorted(found)
