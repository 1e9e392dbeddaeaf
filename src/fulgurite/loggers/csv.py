"""The logger that needs nothing: one table of metrics and one file of hyperparameters per run."""

import csv
import io
import os
import time
from itertools import islice
from typing import Any

from fulgurite.base.arguments import checked
from fulgurite.base.paths import atomic_write
from fulgurite.base.rank import rank_zero_only, rank_zero_warn
from fulgurite.core.logger import plain_number, plain_params, prefixed, rank_zero_experiment
from fulgurite.loggers.folder import FolderLogger, HparamsFile, set_aside

LONGEST_WAIT = 30.0  # seconds; slow runs shall be watchable too


class CSVLogger(FolderLogger):
    """Write ``metrics.csv`` and ``hparams.yaml`` under ``save_dir/name/version_N``.

    Rows gather in memory and are appended once there are ``flush_logs_every_n_steps`` of them, once half a minute has
    passed, at epoch ends and at the end: a killed process loses no more than that. ``version`` is a number, a folder's
    name, or None for the next free number.
    """

    @checked
    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        prefix: str = "",
        flush_logs_every_n_steps: int = 100,
    ) -> None:
        super().__init__(save_dir, name, version, prefix)
        if flush_logs_every_n_steps < 1:
            raise ValueError(f"flush_logs_every_n_steps={flush_logs_every_n_steps!r} must be 1 or more.")
        self._flush_logs_every_n_steps = flush_logs_every_n_steps
        self._experiment: ExperimentWriter | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> "ExperimentWriter":
        """The writer of this run's files. The first use makes the run's folder, which takes its number."""
        if self._experiment is None:
            self._experiment = ExperimentWriter(self._take_folder())
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

    def state_dict(self) -> dict[str, Any]:
        """Which file has how many rows."""
        if self._experiment is None:
            return {}
        self._experiment.save(durable=True)
        return {"file": os.path.abspath(self._experiment.metrics_file_path), "rows": self._experiment.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the same file, without the rows that came after the checkpoint; another folder begins anew."""
        if rank_zero_only.rank == 0 and state["file"] == os.path.abspath(self.experiment.metrics_file_path):  # type: ignore[attr-defined]
            self.experiment.go_back_to(state["rows"])

    def __getstate__(self) -> dict[str, Any]:
        # Rows that travelled with a copy would be written twice.
        self.save()
        return self.__dict__.copy()


class ExperimentWriter:
    """Writes one run's folder. ``metrics`` holds the rows that are not on disk yet."""

    NAME_HPARAMS_FILE = HparamsFile.NAME
    NAME_METRICS_FILE = "metrics.csv"

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir
        self.metrics_file_path = os.path.join(log_dir, self.NAME_METRICS_FILE)
        self._hparams = HparamsFile(log_dir)
        self.metrics: list[dict[str, Any]] = []
        self.metrics_keys: list[str] = []
        self.rows = 0
        """How many there are, in memory and on disk."""
        self._written_at = time.monotonic()
        os.makedirs(log_dir, exist_ok=True)

    @property
    def hparams(self) -> dict[str, Any]:
        return self._hparams.values

    def log_hparams(self, params: dict[str, Any]) -> None:
        """Add to the hyperparameters, and write them."""
        self._hparams.add(params)

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        """Add a row; without ``step`` rows are counted."""
        row = {name: plain_number(value) for name, value in metrics_dict.items()}
        row["step"] = self.rows if step is None else step
        self.metrics.append(row)
        self.rows += 1

    def waits_too_long(self) -> bool:
        """Whether the last write is so long ago that a watcher would wonder."""
        return time.monotonic() - self._written_at > LONGEST_WAIT

    def save(self, durable: bool = False) -> None:
        """Append the rows in memory to the file; ``durable`` waits until the disk has them."""
        if not self.metrics:
            return
        self._make_room_for({name for row in self.metrics for name in row})
        lines = io.StringIO(newline="")
        csv.DictWriter(lines, self.metrics_keys, restval="").writerows(self.metrics)
        data = lines.getvalue().encode()
        try:
            append(self.metrics_file_path, data, durable)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror}: {len(self.metrics)} rows wait for room, {len(data)} bytes. They are tried again "
                "at the next write, and when the run is closed. Make room, or give CSVLogger another save_dir",
                self.metrics_file_path,
            ) from error
        self.metrics = []
        self._written_at = time.monotonic()

    def go_back_to(self, rows: int) -> None:
        """Keep the first so many rows of the file that is there, and append to it from here on."""
        if not os.path.isfile(self.metrics_file_path) or (self.metrics_keys and self.rows <= rows):
            return
        if self.metrics_keys:
            self.save()
        try:
            with open(self.metrics_file_path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                keys, kept = list(reader.fieldnames or ()), list(islice(reader, rows))
        except (UnicodeDecodeError, csv.Error) as error:
            rank_zero_warn(f"{self.metrics_file_path} is no table ({error}): it is put aside, and a new one begun.")
            return
        with atomic_write(self.metrics_file_path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, keys, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)
        self.metrics_keys, self.rows = keys, len(kept)

    def _make_room_for(self, names: set[str]) -> None:
        """Start the file, or rewrite it once under a wider header if a name is new. Readers never see a part."""
        if names <= set(self.metrics_keys):
            return
        if not self.metrics_keys:
            set_aside(self.metrics_file_path)
        keys = sorted(names.union(self.metrics_keys))
        with atomic_write(self.metrics_file_path, "w", newline="", encoding="utf-8") as wider:
            writer = csv.DictWriter(wider, keys, restval="")
            writer.writeheader()
            if self.metrics_keys:
                with open(self.metrics_file_path, newline="", encoding="utf-8") as narrow:
                    writer.writerows(csv.DictReader(narrow))
        self.metrics_keys = keys


def append(path: str, data: bytes, durable: bool) -> None:
    """Append all of ``data`` to the file, or nothing: half a row would spoil the one that comes after it."""
    with open(path, "ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            if durable:
                os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise
