"""What the document's program costs under Lightning and what ours costs: loading, training and scoring, in one run.

    python benchmarks/anomaly.py [--rounds 7] [--only loading training scoring] [--out benchmarks/results/anomaly.json]

The document's side is its own code: a dataset of one row at a time, a DataLoader, AdamW as it comes, three `self.log` a
step, a CSV logger and a checkpoint, run by Lightning 2.6.6 (``pip install -e ".[bench,anomaly]"``). Ours is `fulgurite
anomaly --model seed`: the same network, losses, batch size, clipping and schedule. Both draw from the same columns.

All figures are CPU seconds, of worker processes too, with one thread. Contestants take turns within a round, in an
order that turns from round to round, and each ratio is one round's own: the machine's speed may drift without changing
it. Printed are medians over the rounds with their smallest and largest.
"""

import argparse
import contextlib
import gc
import importlib
import io
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import machine
from torch import nn
from torch.utils.data import DataLoader, Dataset

import fulgurite
from fulgurite.anomaly import AnomalyDetector
from fulgurite.anomaly.reading import read
from fulgurite.anomaly.series import Category, Series, chunks
from fulgurite.anomaly.table import Slices, Table, as_it_is
from fulgurite.anomaly.vae import VAE

MODELS = ("fulgurite.anomaly.seed:SeedModel", "fulgurite.anomaly.window:WindowModel")
EMBEDDED = [(7, 16), (2, 16)]
CONTINUOUS = 4
BATCH = 128


def columns(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Made-up scaled columns: four of numbers, two of categories, and a target."""
    random = np.random.default_rng(0)
    continuous = random.normal(size=(rows, CONTINUOUS)).astype(np.float32)
    categorical = np.column_stack([random.integers(0, size, rows) for size, _ in EMBEDDED])
    return continuous, categorical, continuous[:, :1].copy()


class RowByRow(Dataset):
    """The document's dataset, without the reading of its files."""

    def __init__(self, cont: np.ndarray, cat: np.ndarray, target: np.ndarray) -> None:
        self.cont, self.cat, self.target = cont, cat, target

    def __getitem__(self, idx: int) -> tuple[torch.Tensor, ...]:
        return torch.tensor(self.cont[idx]), torch.tensor(self.cat[idx]), torch.tensor(self.target[idx])

    def __len__(self) -> int:
        return len(self.cont)


def row_by_row_loader(rows: RowByRow, workers: int) -> DataLoader:
    # Pinned memory, which the document asks for, needs a GPU.
    return DataLoader(rows, batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


class Layer(nn.Module):
    def __init__(self, in_dim: int, out_dim: int, bn: bool = True) -> None:
        super().__init__()
        layers = [nn.Linear(in_dim, out_dim)]
        if bn:
            layers.append(nn.BatchNorm1d(out_dim))
        layers.append(nn.LeakyReLU(0.1, inplace=True))
        self.block = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x)


class Encoder(nn.Module):
    def __init__(self, **hparams: Any) -> None:
        super().__init__()
        self.hparams = Namespace(**hparams)
        self.embeddings = nn.ModuleList([nn.Embedding(*size) for size in self.hparams.embedding_sizes])
        sizes = [sum(size for _, size in self.hparams.embedding_sizes) + len(self.hparams.cont_vars)]
        sizes += [int(s) for s in self.hparams.layer_sizes.split(",")]
        self.layers = nn.Sequential(*[Layer(sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)])
        self.mu = nn.Linear(sizes[-1], self.hparams.latent_dim)
        self.logvar = nn.Linear(sizes[-1], self.hparams.latent_dim)

    def forward(self, x_cont: torch.Tensor, x_cat: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = torch.cat([e(x_cat[:, i]) for i, e in enumerate(self.embeddings)] + [x_cont], dim=1)
        h = self.layers(x)
        return self.mu(h), self.logvar(h), x


class Decoder(nn.Module):
    def __init__(self, **hparams: Any) -> None:
        super().__init__()
        self.hparams = Namespace(**hparams)
        sizes = [self.hparams.latent_dim] + [int(s) for s in reversed(self.hparams.layer_sizes.split(","))]
        out_dim = sum(size for _, size in self.hparams.embedding_sizes) + len(self.hparams.cont_vars)
        self.layers = nn.Sequential(*[Layer(sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)])
        self.reconstructed = nn.Linear(sizes[-1], out_dim)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.reconstructed(self.layers(z))


HPARAMS = {
    "cont_vars": ["value", "hour_min", "gap_holiday", "t"],
    "embedding_sizes": EMBEDDED,
    "latent_dim": 16,
    "layer_sizes": "64,128,256,128,64",
    "stdev": 0.1,
    "kld_beta": 0.05,
    "lr": 0.001,
    "weight_decay": 1e-5,
}


def documents_module(pl: Any) -> Any:
    """The document's model, a module of Lightning's."""

    class DocumentsVAE(pl.LightningModule):
        def __init__(self, **hparams: Any) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.encoder = Encoder(**hparams)
            self.decoder = Decoder(**hparams)

        def _reparameterize(self, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
            if self.training:
                std = torch.exp(0.5 * logvar)
                eps = torch.randn_like(std) * self.hparams.stdev
                return eps * std + mu
            return mu

        def forward(self, batch: Any) -> tuple[torch.Tensor, ...]:
            x_cont, x_cat, _ = batch
            mu, logvar, x = self.encoder(x_cont, x_cat)
            return self.decoder(self._reparameterize(mu, logvar)), mu, logvar, x

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            recon, mu, logvar, x = self.forward(batch)
            recon_loss = F.smooth_l1_loss(recon, x, reduction="mean")
            kld = -0.5 * torch.mean(1 + logvar - mu**2 - logvar.exp())
            loss = recon_loss + self.hparams.kld_beta * kld
            self.log("total_loss", loss.mean(dim=0), on_step=True, prog_bar=True, logger=True)
            self.log("recon_loss", recon_loss.mean(dim=0), on_step=True, prog_bar=True, logger=True)
            self.log("kld", kld.mean(dim=0), on_step=True, prog_bar=True, logger=True)
            return loss

        def configure_optimizers(self) -> Any:
            opt = torch.optim.AdamW(
                self.parameters(), lr=self.hparams.lr, weight_decay=self.hparams.weight_decay, eps=1e-4
            )
            sch = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=25, T_mult=1, eta_min=1e-9)
            return [opt], [sch]

    return DocumentsVAE(**HPARAMS)


def trainer(pl: Any, epochs: int, bar: bool, folder: str) -> Any:
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        gradient_clip_val=10.0,
        logger=pl.loggers.CSVLogger(folder),
        callbacks=[pl.callbacks.ModelCheckpoint(dirpath=folder, enable_version_counter=False)],
        enable_progress_bar=bar,
        enable_model_summary=False,
    )


def train_documents(data: Any, epochs: int, workers: int, bar: bool, folder: str) -> None:
    import lightning.pytorch as pl

    model = documents_module(pl)
    trainer(pl, epochs, bar, folder).fit(model, row_by_row_loader(RowByRow(*data), workers))


def train_ours(data: Any, epochs: int, bar: bool, folder: str) -> None:
    # One code more for each category: the place of words that training never saw.
    model = VAE([(size + 1, width) for size, width in EMBEDDED], CONTINUOUS)
    table = Table(*map(torch.from_numpy, data))
    trainer(fulgurite, epochs, bar, folder).fit(model, Slices(table, BATCH, shuffle=True))


def cpu_seconds(act: Callable[[], Any]) -> float:
    """CPU seconds of this process and of the workers it started."""
    gc.collect()
    before = os.times()
    act()
    # Workers count once they are gone, which they are when their loader is.
    gc.collect()
    return sum(os.times()[:4]) - sum(before[:4])


class Terminal(io.StringIO):
    """Takes what a bar draws as a terminal would, and forgets it."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


def rounds_of(contestants: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds by contestant and round; a first round is not counted, since it loads and fills caches."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(-1, rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            with contextlib.redirect_stderr(Terminal()), contextlib.redirect_stdout(Terminal()):
                spent = cpu_seconds(contestants[name])
            if number >= 0:
                seconds[name].append(spent)
    return seconds


def spread(values: list[float], digits: int = 2) -> dict[str, float]:
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def said(found: dict[str, float], form: str = ",.2f") -> str:
    return f"{found['median']:{form}} ({found['min']:{form}}–{found['max']:{form}})"


def loading(rows: int, rounds: int) -> dict[str, Any]:
    """Read every row once, shuffled, in batches of 128."""
    data = columns(rows)
    table = Table(*map(torch.from_numpy, data))
    loaders = {
        "document": row_by_row_loader(RowByRow(*data), workers=0),
        "batched": DataLoader(table, batch_size=BATCH, shuffle=True, collate_fn=as_it_is),
        "slices": Slices(table, BATCH, shuffle=True),
    }
    seconds = rounds_of({name: lambda each=each: sum(1 for _ in each) for name, each in loaders.items()}, rounds)
    found = {name: spread(own, 3) for name, own in seconds.items()}
    print(f"loading {rows:,} rows, CPU seconds an epoch")
    for name, own in found.items():
        print(f"  {name:10s} {said(own, '.2f')}", flush=True)
    return {"rows": rows, "cpu_seconds": found}


def training(rows: int, epochs: int, rounds: int) -> list[dict[str, Any]]:
    """Train from columns in memory to a written checkpoint; one result for each way to run the document's program."""
    data, results = columns(rows), []
    with tempfile.TemporaryDirectory() as folder:
        for workers, bar in ((0, False), (0, True), (2, True)):
            contestants = {
                "document": lambda: train_documents(data, epochs, workers, bar, folder),  # noqa: B023
                "ours": lambda: train_ours(data, epochs, bar, folder),  # noqa: B023
            }
            seconds = rounds_of(contestants, rounds)
            results.append(training_result(workers, bar, rows * epochs, seconds))
    return results


def training_result(workers: int, bar: bool, rows: int, seconds: dict[str, list[float]]) -> dict[str, Any]:
    rates = {name: spread([rows / each for each in own], 0) for name, own in seconds.items()}
    ratio = spread([theirs / ours for theirs, ours in zip(seconds["document"], seconds["ours"], strict=True)])
    case = f"{workers} workers, bar {'on' if bar else 'off'}"
    print(
        f"training, {case}: rows per CPU second: document {said(rates['document'], ',.0f')}   "
        f"ours {said(rates['ours'], ',.0f')}   {said(ratio)} ×",
        flush=True,
    )
    return {"workers": workers, "bar": bar, "rows_per_cpu_second": rates, "ratio": ratio}


def scoring(rows: int, rounds: int, models: list[str], detector: Path | None, data: Path | None) -> dict[str, Any]:
    """Rows scored per CPU second, from values and times to parts and band, by each model named ``module:class``.

    With the file of a detector also by that one, from the series of ``data`` to flags.
    """
    series = made_up_series(rows)
    rates = {name: scored(trained(name, series), series, rounds) for name in models}
    if detector is not None and data is not None:
        own = read(data)
        judge = AnomalyDetector.load(detector).judge
        rates[detector.name] = rate(lambda: judge(own), len(own), rounds)
    for name, found in rates.items():
        print(f"scoring, {name}: {said(found, ',.0f')} rows per CPU second", flush=True)
    return {"rows": rows, "rows_per_cpu_second": rates}


def trained(name: str, series: Series) -> Any:
    """A model that has seen little: what it has learned does not change its speed."""
    module, _, kind = name.partition(":")
    model = getattr(importlib.import_module(module), kind)(epochs=1)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    model.fit(series.rows(0, 5000), {**quiet, "enable_model_summary": False})
    return model


def scored(model: Any, series: Series, rounds: int) -> dict[str, float]:
    def in_pieces() -> None:
        memory: dict[str, Any] = {}
        for piece in chunks(series, 50_000):
            model.score(piece, memory)

    return rate(in_pieces, len(series), rounds)


def rate(act: Callable[[], Any], rows: int, rounds: int) -> dict[str, float]:
    return spread([rows / each for each in rounds_of({"": act}, rounds)[""]], 0)


def made_up_series(rows: int) -> Series:
    """Rows of five minutes with a daily shape, noise, and one further column of words."""
    random = np.random.default_rng(0)
    clock = np.datetime64("2013-12-02", "us") + np.arange(rows) * np.timedelta64(5, "m")
    values = np.sin(np.arange(rows) / 288 * 2 * np.pi) + random.normal(0, 0.3, rows)
    words = Category("state", random.integers(0, 3, rows).astype(np.int32), ("on", "off", "idle"))
    return Series(clock, clock, values[:, None], ("value",), (words,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=20_000, help="rows of a training epoch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=("loading", "training", "scoring"))
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="what scores")
    parser.add_argument("--detector", type=Path, help="a saved detector that scores the rows of --data as well")
    parser.add_argument("--data", type=Path, help="a CSV with the columns that --detector was trained on")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if (arguments.detector is None) != (arguments.data is None):
        parser.error("--detector and --data go together.")
    warnings.filterwarnings("ignore")
    for name in ("fulgurite", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(machine(), file=sys.stderr)
    parts = {
        "loading": lambda: loading(1_000_000, min(arguments.rounds, 3)),
        "training": lambda: training(arguments.rows, arguments.epochs, arguments.rounds),
        "scoring": lambda: scoring(300_000, arguments.rounds, arguments.models, arguments.detector, arguments.data),
    }
    results = {name: run() for name, run in parts.items() if name in (arguments.only or parts)}
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps({"machine": machine(), **results}, indent=2) + "\n")


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
