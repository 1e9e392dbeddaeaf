"""A model that changes all that training can change, and what everything is like at one moment."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from fulgurite import Callback, LightningModule, Trainer
from fulgurite.callbacks import EarlyStopping, ModelCheckpoint
from fulgurite.loggers import CSVLogger


class Noisy(LightningModule):
    """Dropout, running statistics, a list that grows, draws from every generator, Adam with a schedule."""

    def __init__(self, lr: float = 0.05, batch_size: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr, self.batch_size = lr, batch_size
        torch.manual_seed(3)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
        )
        self.outputs: list[torch.Tensor] = []
        self.calls = 0

    def training_step(self, batch, batch_idx):
        self.calls += 1
        random.random(), np.random.rand()
        loss = (self.net(batch[0]) - 3).square().mean()
        self.outputs.append(loss.detach())
        self.log("loss", loss, prog_bar=True)
        self.after(loss)
        return loss

    def after(self, loss: torch.Tensor) -> None:
        """What a test adds to the step."""

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", (self.net(batch[0]) - 3).square().mean())

    def on_train_epoch_end(self):
        self.outputs.clear()

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)}]

    def train_dataloader(self):
        return DataLoader(rows(), batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(rows(), batch_size=self.batch_size)


def rows() -> TensorDataset:
    return TensorDataset(torch.randn(40, 4, generator=torch.Generator().manual_seed(5)))


class Heard(Callback):
    """Notes every hook of training that it hears."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_train_start(self, trainer, pl_module):
        self.calls.append("on_train_start")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.calls.append("on_train_batch_end")

    def on_exception(self, trainer, pl_module, exception):
        self.calls.append("on_exception")


def trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    """A trainer that stops, saves and logs, in ``folder``."""
    defaults: dict[str, Any] = {
        "accelerator": "cpu", "max_epochs": 3, "logger": CSVLogger(folder / "logs"), "default_root_dir": folder,
        "enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1,
    }  # fmt: skip
    own = [EarlyStopping("val_loss", patience=9), ModelCheckpoint(monitor="val_loss", every_n_train_steps=1)]
    return Trainer(callbacks=[*callbacks, *own], **{**defaults, **options})


def everything(trainer: Trainer, module: LightningModule, folder: Path) -> dict[str, Any]:
    """All that a search may not change, as values that can be compared."""
    session = trainer._session
    return {
        "weights": numbers(module.state_dict()),
        "gradients": [None if each.grad is None else each.grad.tolist() for each in module.parameters()],
        "modes": [(child.training, [each.requires_grad for each in child.parameters()]) for child in module.modules()],
        "module": {name: repr(value) for name, value in vars(module).items() if not name.startswith("_")},
        "hparams": dict(module.hparams),
        "attached": module._trainer is trainer,
        "random": (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()),
        "progress": str(trainer.progress),
        "optimizers": [numbers(optimizer.state_dict()) for optimizer in trainer.optimizers],
        "schedulers": [numbers(config.scheduler.state_dict()) for config in trainer.lr_scheduler_configs],
        "metrics": [numbers(each) for each in (trainer.callback_metrics, trainer.logged_metrics)],
        "callbacks": [(id(each), numbers(dict(vars(each)))) for each in trainer.callbacks],
        "loggers": [id(each) for each in trainer.loggers],
        "state": (str(trainer.state), trainer.should_stop, trainer.interrupted, trainer.ckpt_path, trainer.plan),
        "session": (id(session), session and list(session.feeds)),
        "moment": (trainer._moment.hook, id(trainer._moment.metrics)),
        "files": sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*")),
    }


def numbers(value: Any) -> Any:
    """Tensors as lists and other objects as text, so that ``==`` compares them."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): numbers(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [numbers(each) for each in value]
    return repr(value)
