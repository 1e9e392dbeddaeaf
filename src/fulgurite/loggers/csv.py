"""The logger that needs nothing: one table of metrics and one file of hyperparameters per run."""

import csv
import os
import time
from pathlib import Path
from typing import Any

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.paths import atomic_write, next_version
from fulgurite.base.rank import rank_zero_only, rank_zero_warn
from fulgurite.core.logger import Logger, plain_number, plain_params, prefixed, rank_zero_experiment

LONGEST_WAIT = 30.0  # seconds; slow runs shall be watchable too


class CSVLogger(Logger):
    """Write ``metrics.csv`` and ``hparams.yaml`` under ``save_dir/name/version_N``.

    Rows gather in memory and are appended once there are ``flush_logs_every_n_steps`` of them, once half a minute has
    passed, at epoch ends and at the end: a killed process loses no more than that. ``version`` is a number, a folder's
    name, or None for the next free number.
    """

    LOGGER_JOIN_CHAR = "-"

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        prefix: str = "",
        flush_logs_every_n_steps: int = 100,
    ) -> None:
        self._save_dir = os.path.expanduser(save_dir)
        if "://" in self._save_dir:
            raise MisconfigurationException(f"CSVLogger writes to local folders only, not to {self._save_dir!r}.")
        if flush_logs_every_n_steps < 1:
            raise ValueError(f"flush_logs_every_n_steps={flush_logs_every_n_steps!r} must be 1 or more.")
        self._name = name or ""
        self._version = version
        self._prefix = prefix
        self._flush_logs_every_n_steps = flush_logs_every_n_steps
        self._experiment: ExperimentWriter | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> int | str:
        """The run's version; a free number is looked up at the first question and kept."""
        if self._version is None:
            self._version = next_version(self.root_dir)
        return self._version

    @property
    def save_dir(self) -> str:
        return self._save_dir

    @property
    def root_dir(self) -> str:
        return os.path.join(self._save_dir, self._name)

    @property
    def log_dir(self) -> str:
        folder = self.version if isinstance(self.version, str) else f"version_{self.version}"
        return os.path.join(self.root_dir, folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> "ExperimentWriter":
        """The writer of this run's files. The first use makes the run's folder, which takes its number."""
        if self._experiment is None:
            if self._version is None:
                self._version = _take_next_version(self.root_dir)
            self._experiment = ExperimentWriter(self.log_dir)
        return self._experiment

    @rank_zero_only
    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        self.experiment.log_hparams(plain_params(params))

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        writer = self.experiment
        writer.log_metrics(prefixed(metrics, self._prefix, self.LOGGER_JOIN_CHAR), step)
        if len(writer.metrics) >= self._flush_logs_every_n_steps or writer.waits_too_long():
            writer.save()

    @rank_zero_only
    def save(self) -> None:
        if self._experiment is not None:
            self._experiment.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def __getstate__(self) -> dict[str, Any]:
        # Rows that travelled with a copy would be written twice.
        self.save()
        return self.__dict__.copy()


class ExperimentWriter:
    """Writes one run's folder. ``metrics`` holds the rows that are not on disk yet."""

    NAME_HPARAMS_FILE = "hparams.yaml"
    NAME_METRICS_FILE = "metrics.csv"

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir
        self.metrics_file_path = os.path.join(log_dir, self.NAME_METRICS_FILE)
        self.hparams: dict[str, Any] = {}
        self.metrics: list[dict[str, Any]] = []
        self.metrics_keys: list[str] = []
        self._owns_hparams = False
        self._rows_seen = 0
        self._written_at = time.monotonic()
        os.makedirs(log_dir, exist_ok=True)

    def log_hparams(self, params: dict[str, Any]) -> None:
        """Add to the hyperparameters, and write them."""
        import yaml  # late: only a run that logs needs it

        path = os.path.join(self.log_dir, self.NAME_HPARAMS_FILE)
        if not self._owns_hparams:
            _set_aside(path)
            self._owns_hparams = True
        self.hparams.update(params)
        with atomic_write(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(self.hparams, file, allow_unicode=True)

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        """Add a row; without ``step`` rows are counted."""
        row = {name: plain_number(value) for name, value in metrics_dict.items()}
        row["step"] = self._rows_seen if step is None else step
        self.metrics.append(row)
        self._rows_seen += 1

    def waits_too_long(self) -> bool:
        """Whether the last write is so long ago that a watcher would wonder."""
        return time.monotonic() - self._written_at > LONGEST_WAIT

    def save(self) -> None:
        """Append the rows in memory to the file."""
        if not self.metrics:
            return
        self._make_room_for({name for row in self.metrics for name in row})
        with open(self.metrics_file_path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.metrics_keys, restval="").writerows(self.metrics)
        self.metrics = []
        self._written_at = time.monotonic()

    def _make_room_for(self, names: set[str]) -> None:
        """Start the file, or rewrite it once under a wider header if a name is new. Readers never see a part."""
        if names <= set(self.metrics_keys):
            return
        if not self.metrics_keys:
            _set_aside(self.metrics_file_path)
        keys = sorted(names.union(self.metrics_keys))
        with atomic_write(self.metrics_file_path, "w", newline="", encoding="utf-8") as wider:
            writer = csv.DictWriter(wider, keys, restval="")
            writer.writeheader()
            if self.metrics_keys:
                with open(self.metrics_file_path, newline="", encoding="utf-8") as narrow:
                    writer.writerows(csv.DictReader(narrow))
        self.metrics_keys = keys


def _take_next_version(folder: str) -> int:
    """Make the next free version's folder. Two runs that start together get two numbers."""
    while True:
        version = next_version(folder)
        try:
            os.makedirs(os.path.join(folder, f"version_{version}"))
        except FileExistsError:
            continue
        return version


def _set_aside(path: str) -> None:
    """Give a former run's file a free numbered name, so that this run can use ``path`` and nothing is lost."""
    if not os.path.exists(path):
        return
    file = Path(path)
    free = file.with_name(f"{file.stem}_{_free_number(file)}{file.suffix}")
    os.replace(file, free)
    rank_zero_warn(f"{path} is from an earlier run; it is kept as {free.name}. Choose another version to avoid this.")


def _free_number(file: Path) -> int:
    """The first number that no neighbour ``stem_<number>.suffix`` of ``file`` has."""
    number = 0
    while file.with_name(f"{file.stem}_{number}{file.suffix}").exists():
        number += 1
    return number
