"""Whether a run that was broken off and resumed ends as the one that was left alone."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from fulgurite.callbacks import ModelCheckpoint
from fulgurite.core.module import LightningModule
from fulgurite.testing import QUIET
from fulgurite.trainer import Trainer


class Net(LightningModule):
    """A backbone (with or without batch norm) and a head. ``seed`` draws its first weights, ``size`` its batches."""

    def __init__(self, norm=False, seed=0, momentum=0.9):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            norms = [nn.BatchNorm1d(4)] if norm else []
            self.backbone = nn.Sequential(nn.Linear(3, 4), *norms, nn.ReLU())
            self.head = nn.Linear(4, 1)
        self.momentum = momentum
        self.rates = []

    def forward(self, x):
        return self.head(self.backbone(x))

    def training_step(self, batch, batch_idx):
        loss = nn.functional.mse_loss(self(batch[0]), batch[1])
        self.log("loss", loss)
        self.rates.append([group["lr"] for group in self.trainer.optimizers[0].param_groups])
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", nn.functional.mse_loss(self(batch[0]), batch[1]))

    test_step = validation_step

    def configure_optimizers(self):
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.SGD(trained, lr=0.05, momentum=self.momentum, weight_decay=0.01)


def rows(number=5, seed=0):
    """A loader of ``number`` batches of four rows, the same at every call."""
    drawn = torch.Generator().manual_seed(seed)
    x, y = torch.randn(number * 4, 3, generator=drawn), torch.randn(number * 4, 1, generator=drawn)
    return DataLoader(TensorDataset(x, y), batch_size=4)


def quiet(*callbacks, **arguments):
    return Trainer(callbacks=list(callbacks), **{**QUIET, "num_sanity_val_steps": 0, **arguments})


def trained(callback, folder, model=None, *others, ckpt_path=None, epochs=6, **arguments):
    """Train with a callback or a list of them; the file of every epoch is in ``folder``. Return the trainer."""
    files = ModelCheckpoint(dirpath=folder, filename="{epoch}", auto_insert_metric_name=False, save_top_k=-1)
    mine = callback if isinstance(callback, list) else [callback]
    trainer = quiet(*mine, *others, files, max_epochs=epochs, **{**arguments, "enable_checkpointing": True})
    trainer.fit(Net() if model is None else model, rows(), rows(2, seed=1), ckpt_path=ckpt_path)
    return trainer


def check_resume(make, folder, module=Net, interrupted_after=range(1, 6), **arguments):
    """Resume after each of these epochs, from another start, with a new callback: all ends as without the break.

    Compared are the model, the optimizer, the scheduler, and the last file with all that it holds. Returns the trainer
    that was left alone.
    """
    alone = trained(make(), folder / "alone", module(), **arguments)
    for epochs in interrupted_after:
        goes_on = trained(
            make(), folder / str(epochs), module(seed=9), ckpt_path=folder / f"alone/{epochs - 1}.ckpt", **arguments
        )
        differences = list(_differences(_state(alone), _state(goes_on)))
        one, other = (read(folder / place / "5.ckpt", None) for place in ("alone", str(epochs)))
        differences += _differences(_without_paths(one), _without_paths(other))
        assert not differences, f"resumed after {epochs} epochs: {differences}"
    return alone


def read(path, device="cpu"):
    """What is in a file; with ``None``, each tensor on the device that it was saved from."""
    return torch.load(path, device, weights_only=True)


def _state(trainer):
    optimizer, schedulers = trainer.optimizers[0], trainer.lr_scheduler_configs
    return {
        "model": trainer.lightning_module.state_dict(),
        "trains": {name: each.requires_grad for name, each in trainer.lightning_module.named_parameters()},
        "optimizer": optimizer.state_dict(),
        "schedulers": [config.scheduler.state_dict() for config in schedulers],
        "step": trainer.global_step,
    }


def _without_paths(checkpoint):
    callbacks = {key: state for key, state in checkpoint["callbacks"].items() if not key.startswith("ModelCheckpoint")}
    return {**checkpoint, "callbacks": callbacks}


def _differences(one, other, where=""):
    """Where two nests differ, to the last bit."""
    if isinstance(one, torch.Tensor):
        if not isinstance(other, torch.Tensor) or one.dtype != other.dtype or not torch.equal(one, other):
            yield where
    elif isinstance(one, dict):
        if set(one) != set(getattr(other, "keys", list)()):
            yield f"{where}: keys {sorted(map(str, set(one) ^ set(other)))}"
        for key in set(one) & set(other):
            yield from _differences(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            yield f"{where}: length"
        for index, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            yield from _differences(mine, theirs, f"{where}[{index}]")
    elif one != other:
        yield f"{where}: {one} {other}"
