"""A training in which something goes wrong at one sample or one batch, for as long as a file says so."""

import os
import signal
import time
from pathlib import Path

import psutil
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from fulgurite import LightningModule, Trainer
from fulgurite.base.seed import collect_rng_states, packed_rng_states, seed_everything
from fulgurite.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from fulgurite.testing import QUIET
from support.killing import same
from support.observed import Noted

SAMPLES, SIZE, EPOCHS = 24, 3, 2


def wrong_row():
    raise LookupError("a row that is not there")


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def out_of_shared_memory():
    """What the system sends a process that touches shared memory which is not there."""
    signal.signal(signal.SIGBUS, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGBUS)


def leaving():
    os._exit(3)


def hanging():
    time.sleep(300)


class Faulty(Dataset):
    """Rows of three numbers. ``act`` is called at the sample ``at`` while the file ``armed`` exists."""

    def __init__(self, act=None, at=17, armed=None, length=SAMPLES):
        self.act, self.at, self.armed, self.length = act, at, armed, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if self.act is not None and index == self.at and (self.armed is None or os.path.exists(self.armed)):
            self.act()
        return torch.full((3,), index / self.length)


class Net(LightningModule):
    """Draws random numbers in each step. ``act(module, batch_idx)`` comes before, while ``armed`` exists."""

    def __init__(self, act=None, armed=None):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 1))
        self.act, self.armed = act, armed

    def training_step(self, batch, batch_idx):
        if self.act is not None and (self.armed is None or os.path.exists(self.armed)):
            self.act(self, batch_idx)
        loss = self.net(batch).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val_loss", self.net(batch).square().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)


class Attempt:
    """One training in ``folder``: what it raised, and where it ended."""

    def __init__(self, folder, act=None, step=None, workers=0, callbacks=(), ckpt_path=None, loader=(), **arguments):
        torch.set_num_threads(1)
        seed_everything(5, verbose=False)
        self.folder, self.logger = Path(folder), Noted()
        armed = str(self.folder / "armed")
        self.module = Net(step, armed)
        self.every = ModelCheckpoint(self.folder, filename="{step}", every_n_train_steps=3, save_top_k=-1)
        self.at_error = OnExceptionCheckpoint(self.folder)
        self.trainer = Trainer(
            max_epochs=EPOCHS, callbacks=[*callbacks, self.every, self.at_error], default_root_dir=self.folder,
            **{**QUIET, "enable_checkpointing": True, "logger": self.logger, "log_every_n_steps": 1, **arguments},
        )  # fmt: skip
        data = DataLoader(Faulty(act, armed=armed), SIZE, shuffle=True, num_workers=workers, **dict(loader))
        self.error = None
        try:
            self.trainer.fit(self.module, data, ckpt_path=ckpt_path)
        except Exception as error:
            self.error = error

    @property
    def notes(self):
        return getattr(self.error, "__notes__", [])

    def end(self):
        """All that a run that was broken off must come to as well."""
        return {
            "weights": self.module.state_dict(),
            "optimizer": self.trainer.optimizers[0].state_dict(),
            "random": packed_rng_states(collect_rng_states()),
            "metrics": dict(self.trainer.callback_metrics),
        }


def running():
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


def left_behind(before=()):
    """The processes that this one has begun and that have not ended; what other tests keep for long does not count."""
    commands = [" ".join(child.cmdline()) for child in running() if child.pid not in before]
    of_others = ("forkserver", "resource_tracker", "wandb-core")
    return [command for command in commands if not any(name in command for name in of_others)]


def broken_and_resumed(folder, act=None, step=None, callbacks=lambda: (), **arguments):
    """Break a training, check what every broken one owes, and let it go on from each file; return the broken one.

    The files are the last that was saved while all went well, and the one that the error left.
    """
    # Persistent workers of another test live as long as its loader.
    before = {child.pid for child in running()}
    whole = Attempt(folder / "whole", act, step, **arguments)
    (folder / "broken").mkdir()
    (folder / "broken" / "armed").touch()
    broken = Attempt(folder / "broken", act, step, callbacks=callbacks(), **arguments)
    assert broken.error is not None and whole.error is None
    assert broken.logger.ends == ["failed"] and broken.trainer.state.status == "interrupted"
    left = left_behind(before)
    assert left == [], left
    assert not [*broken.folder.glob(".*.tmp"), *broken.folder.glob("*.tmp")]
    (folder / "broken" / "armed").unlink()
    last = broken.every._last_checkpoint_saved
    assert last and broken.trainer.global_step > 3
    for path in (last, broken.at_error.ckpt_path):
        resumed = Attempt(folder / "resumed" / Path(path).stem, act, step, ckpt_path=path, **arguments)
        assert resumed.error is None
        here, there = resumed.end(), whole.end()
        assert [name for name in there if not same(here[name], there[name])] == [], f"from {path}"
    return broken
