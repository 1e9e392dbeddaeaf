"""Where a run is recorded: its options, its numbers, and copies of all that came out."""

import csv
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.optional import require
from fulgurite.base.paths import atomic_write
from fulgurite.core.logger import Logger
from fulgurite.loggers.csv import CSVLogger
from fulgurite.loggers.track import TrackLogger
from fulgurite.loggers.wandb import WandbLogger

PROJECT = "fulgurite-anomaly"
NOT_IN_NAMES = r"[^\w.-]"  # what W&B takes in no name of an artifact


class Run:
    """A run that is recorded nowhere. ``logger`` goes to the `Trainer`."""

    logger: Logger | bool = False

    def config(self, options: Mapping[str, Any]) -> None:
        """Record what the run was started with."""

    def metrics(self, numbers: Mapping[str, float]) -> None:
        """Record what came out in numbers."""

    def keep(self, file: Path) -> None:
        """Keep a file as it is now; what it is is told by its name's end."""

    def where(self) -> str | None:
        """Where it is to be found."""
        return None

    def close(self, failed: bool = False) -> None:
        """Nothing more will come. Of what ``failed`` no half of a record stays, where that is up to us."""


class CsvRun(Run):
    """A folder with ``metrics.csv``, ``hparams.yaml``, and the files beside them."""

    def __init__(self, folder: Path) -> None:
        self.logger: CSVLogger = CSVLogger(folder, name="runs")

    def config(self, options: Mapping[str, Any]) -> None:
        self.logger.log_hyperparams(dict(options))

    def metrics(self, numbers: Mapping[str, float]) -> None:
        self.logger.log_metrics(dict(numbers), step=0)
        self.logger.save()

    def keep(self, file: Path) -> None:
        with file.open("rb") as source, atomic_write(Path(self.logger.experiment.log_dir, file.name)) as copy:
            shutil.copyfileobj(source, copy)

    def where(self) -> str:
        return str(self.logger.experiment.log_dir)

    def close(self, failed: bool = False) -> None:
        folder = Path(self.logger.experiment.log_dir)
        if failed:
            shutil.rmtree(folder, ignore_errors=True)
            _remove_empty(folder.parent, folder.parent.parent)
        else:
            self.logger.save()


class TrackRun(Run):
    """A run in the store of this machine, as `fulgurite ui` shows it: picture, tables, and every file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.logger: TrackLogger = TrackLogger(folder, name="runs", project=PROJECT, run_name=name)

    def config(self, options: Mapping[str, Any]) -> None:
        self.logger.log_hyperparams(dict(options))

    def metrics(self, numbers: Mapping[str, float]) -> None:
        self.logger.experiment.summary(dict(numbers))

    def keep(self, file: Path) -> None:
        _show(self.logger, file)
        # Its content, not its place: the file may be written anew before the store has taken it.
        self.logger.experiment.file(file.name, file.read_bytes())

    def where(self) -> str:
        return f"{PROJECT}/{self.logger.run_id} (`fulgurite ui` shows it)"

    def close(self, failed: bool = False) -> None:
        self.logger.experiment.finish(exit_code=1 if failed else 0)


class WandbRun(Run):
    """A W&B run: pictures and tables to look at, the model and the other files as artifacts."""

    def __init__(self, folder: Path, name: str) -> None:
        # W&B makes its folder where it is told to, and elsewhere if it can't.
        folder.mkdir(parents=True, exist_ok=True)
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        self.logger: WandbLogger = WandbLogger(name=name, project=project, save_dir=folder)

    def config(self, options: Mapping[str, Any]) -> None:
        self.logger.log_hyperparams(dict(options))

    def metrics(self, numbers: Mapping[str, float]) -> None:
        self.logger.log_metrics(numbers)

    def keep(self, file: Path) -> None:
        _show(self.logger, file)
        self._store(file)

    def where(self) -> str:
        return str(self.logger.experiment.dir).removesuffix(os.sep + "files")

    def close(self, failed: bool = False) -> None:
        self.logger.experiment.finish(exit_code=1 if failed else 0)

    def _store(self, file: Path) -> None:
        kind = "model" if file.suffix == ".ckpt" else "result"
        name = re.sub(NOT_IN_NAMES, "_", f"{file.stem}-{self.logger.experiment.id}")
        artifact = require("wandb", "wandb").Artifact(name=name, type=kind)
        # A copy: the file may be written anew before the client has sent it.
        artifact.add_file(str(file), name=file.name, policy="mutable")
        self.logger.experiment.log_artifact(artifact)


def _show(logger: TrackLogger | WandbLogger, file: Path) -> None:
    """Log what is to be looked at: the picture, and the events as a table."""
    if file.suffix == ".png":
        logger.log_image(file.stem, [str(file)])
    elif file.name == "events.csv":
        columns, *rows = list(csv.reader(file.open(newline="", encoding="utf-8")))
        logger.log_table(file.stem, columns=columns, data=rows)


def open_run(kind: str, folder: Path, name: str) -> Run:
    """A run recorded by the logger of that name: "csv", "track", "wandb" or "none"."""
    if kind == "csv":
        return CsvRun(folder)
    if kind == "track":
        return TrackRun(folder, name)
    if kind == "wandb":
        return WandbRun(folder, name)
    if kind == "none":
        return Run()
    raise MisconfigurationException(f"logger={kind!r} is not known. Give csv, track, wandb or none.")


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
