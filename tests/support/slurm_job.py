"""A training as a job of SLURM runs it, in a process of its own.

Usage: ``python slurm_job.py FOLDER SEED STEP``; goes on from what the job left in FOLDER, says so when it has come to
STEP, and waits there for a line. What came out is in ``final.pt``.
"""

import os
import random
import stat
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from fulgurite import Callback, LightningModule, Trainer
from fulgurite.base.seed import collect_rng_states, packed_rng_states, seed_everything
from fulgurite.callbacks import EMAWeightAveraging
from fulgurite.loggers import CSVLogger

JOB = {
    "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1",
    "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1", "SLURM_NODELIST": "node7",
    "SLURM_STEP_ID": "0",
}  # fmt: skip
"""What srun sets in the one task of a job."""

SCONTROL = """#!/bin/sh
echo "$@" >> "{folder}/scontrol.txt"
echo "{says}" >&2
exit {code}
"""


def scontrol(folder: Path, code: int = 0, says: str = "") -> Path:
    """Put a ``scontrol`` that notes how it is called into ``folder``, and return the file with its notes."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "scontrol"
    command.write_text(SCONTROL.format(folder=folder, says=says, code=code))
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return folder / "scontrol.txt"


class Noisy(Dataset):
    """Samples with augmentation."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return torch.full((3,), index / self.length) + 0.1 * torch.randn(3) + random.random()


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        loss = (self.net(batch) - torch.rand(1, device=self.device)).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.net(batch).square().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


class Waits(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step and batch_idx % 2:
            print("there", flush=True)
            sys.stdin.readline()


def train(folder: Path, seed: int, step: int = 0) -> None:
    torch.set_num_threads(1)
    seed_everything(seed, verbose=False)
    model = Model()
    trainer = Trainer(
        max_epochs=3, accumulate_grad_batches=2, val_check_interval=7, log_every_n_steps=1, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, default_root_dir=folder,
        callbacks=[EMAWeightAveraging(decay=0.9), Waits(step)],
        logger=CSVLogger(folder, "csv", version=0, flush_logs_every_n_steps=1000),
    )  # fmt: skip
    trainer.fit(model, DataLoader(Noisy(40), 2, shuffle=True), DataLoader(Noisy(4), 2))
    final = {
        "weights": model.state_dict(),
        "optimizer": trainer.optimizers[0].state_dict(),
        "random": packed_rng_states(collect_rng_states()),
        "metrics": dict(trainer.callback_metrics),
    }
    torch.save(final, folder / "final.tmp")
    os.replace(folder / "final.tmp", folder / "final.pt")


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
