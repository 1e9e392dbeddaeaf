"""A training that is killed again and again, in processes of its own, and goes on each time until it is done.

Usage: ``python killing.py FOLDER KILLS SEED``; prints what came out as JSON. Children are forked from this process,
which has loaded torch but never used it, so that an attempt costs no more than its training.
"""

import csv
import importlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from fulgurite import LightningModule, Trainer
from fulgurite.base.seed import collect_rng_states, packed_rng_states, seed_everything
from fulgurite.callbacks import EMAWeightAveraging, ModelCheckpoint
from fulgurite.loggers import CSVLogger, TrackLogger
from fulgurite.track.store.store import Store

EPOCHS, BATCHES = 4, 30


class Noisy(Dataset):
    """Samples with augmentation; each takes a moment."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.001)
        return torch.full((3,), index / self.length) + 0.1 * torch.randn(3) + random.random()


class Model(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 1))
        # So that a checkpoint takes long enough to be killed in its middle.
        self.register_buffer("ballast", torch.rand(400_000))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = (self.net(batch) - torch.rand(1, device=self.device)).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val_loss", self.net(batch).square().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def train(folder: Path, seed: int) -> None:
    """Train from the last checkpoint there is to the end, and leave the final state in ``final.pt``."""
    torch.set_num_threads(1)
    seed_everything(seed, verbose=False)
    model = Model()
    kept = folder / "kept"
    trainer = Trainer(
        max_epochs=EPOCHS, accumulate_grad_batches=2, val_check_interval=7, log_every_n_steps=1, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        callbacks=[
            EMAWeightAveraging(decay=0.9),
            ModelCheckpoint(kept, monitor="val_loss", save_top_k=2, save_last=True),
            ModelCheckpoint(kept, filename="{step}", every_n_train_steps=3, save_top_k=1),
        ],
        logger=[
            CSVLogger(folder, "csv", version=0, flush_logs_every_n_steps=5),
            TrackLogger(folder, "track", version=0, project="p", id="killed", store=folder / "store", system=False,
                        code=False, console=False),
        ],
    )  # fmt: skip
    trainer.fit(
        model, DataLoader(Noisy(2 * BATCHES), 2, shuffle=True), DataLoader(Noisy(4), 2),
        ckpt_path="last" if kept.is_dir() else None,
    )  # fmt: skip
    final = {
        "weights": model.state_dict(),
        "optimizer": trainer.optimizers[0].state_dict(),
        "random": packed_rng_states(collect_rng_states()),
        "metrics": dict(trainer.callback_metrics),
        "best": [float(value) for value in trainer.checkpoint_callback.best_k_models.values()],
    }
    (folder / "modules.txt").write_text("\n".join(sys.modules))
    torch.save(final, folder / "final.tmp")
    os.replace(folder / "final.tmp", folder / "final.pt")


def child(folder: Path, seed: int) -> int:
    """Begin a process that trains, and return its number."""
    folder.mkdir(parents=True, exist_ok=True)
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        with open(folder / "said.txt", "a") as said:
            os.dup2(said.fileno(), 1), os.dup2(said.fileno(), 2)
        train(folder, seed)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(number: int) -> int | None:
    """The exit code of a child; None while it runs."""
    done, status = os.waitpid(number, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def kill(number: int, when: Callable[[], bool]) -> bool:
    """Kill the child as soon as ``when`` says so; False if it ended before, which is an error unless it is done."""
    while not when():
        code = ended(number)
        if code is not None:
            assert code == 0, f"the training broke with {code}"
            return False
        time.sleep(0.0005)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return True


def load_as(folder: Path) -> None:
    """Load here what a finished training has loaded, so that its successors need not."""
    for name in (folder / "modules.txt").read_text().split("\n"):
        with suppress(Exception):
            importlib.import_module(name)


def moments(folder: Path, rng: random.Random) -> Callable[[], bool]:
    """When to kill next: at some time, or while a checkpoint is being written."""
    at = time.monotonic() + rng.uniform(0.05, 0.8)
    if rng.random() < 0.5:
        return lambda: time.monotonic() >= at
    left = set(torn(folder))
    return lambda: time.monotonic() >= at and (bool(set(torn(folder)) - left) or time.monotonic() >= at + 0.5)


def torn(folder: Path) -> Iterator[Path]:
    """The files that are being written, or were when somebody was killed."""
    return (folder / "kept").glob(".*.tmp")


def until_done(folder: Path, seed: int, most: int, rng: random.Random) -> dict[str, int]:
    """Train with up to ``most`` kills; return how many there were, and how many hit a save."""
    kills = saves = 0
    left: set[Path] = set()
    while True:
        number = child(folder, seed)
        if kills == most:
            while (code := ended(number)) is None:
                time.sleep(0.01)
            assert code == 0, f"the training broke with {code}:\n{(folder / 'said.txt').read_text()[-3000:]}"
            break
        if not kill(number, moments(folder, rng)):
            break
        kills += 1
        now = set(torn(folder))
        saves += bool(now - left)
        left |= now
    return {"kills": kills, "during saves": saves}


def rows(folder: Path) -> dict[str, Any]:
    """What the loggers have: the CSV file's rows, and the store's series."""
    with open(folder / "csv" / "version_0" / "metrics.csv", newline="") as file:
        table = [dict(row) for row in csv.DictReader(file)]
    store = Store(folder / "store")
    run = store.runs.find(store.runs.project("p"), "killed")
    series = {}
    for key in store.history.keys(run.id):
        if not key.startswith("_"):
            column = store.history.read(run.id, key)
            series[key] = [column.steps.tolist(), [repr(value) for value in column.values()]]
    store.close()
    return {"csv": table, "store": series}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def main(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    total = {"kills": 0, "during saves": 0}
    differences: list[str] = []
    rounds = 0
    while total["kills"] < kills:
        here = folder / f"round{rounds}"
        until_done(here / "whole", rounds, 0, rng)
        load_as(here / "whole")
        for name, count in until_done(here / "killed", rounds, kills - total["kills"], rng).items():
            total[name] += count
        whole, again = (torch.load(here / name / "final.pt") for name in ("whole", "killed"))
        differences += [f"round {rounds}: {name}" for name in whole if not same(whole[name], again[name])]
        logged = rows(here / "whole"), rows(here / "killed")
        differences += [f"round {rounds}: rows of {name}" for name in logged[0] if logged[0][name] != logged[1][name]]
        rounds += 1
    return {"rounds": rounds, **total, "differences": differences}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
