"""What every logger owes the trainer and its users, as tests. Subclass, give ``make_logger``, and pytest runs them."""

import argparse
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fulgurite.core.logger import Logger


@dataclass
class SomeHyperparameters:
    """Hyperparameters as a dataclass."""

    lr: float = 0.1


class LoggerContract:
    """A subclass overrides ``make_logger``; ``rows_logged`` and ``params_logged`` too, if both can be read back.

    Each test gets its own ``folder``; the logger shall write nowhere else.
    """

    def make_logger(self, folder: Path) -> Logger:
        """A new logger that writes under ``folder``."""
        raise NotImplementedError

    def rows_logged(self, logger: Logger) -> int | None:
        """How many rows have reached the disk, after ``finalize``; None if that cannot be told."""
        return None

    def params_logged(self, folder: Path) -> dict[str, Any] | None:
        """The hyperparameters that have reached ``folder``, after ``finalize``; None if that cannot be told."""
        return None

    def close(self, logger: Logger) -> None:
        """Release what the logger holds beyond ``finalize``."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "logs"

    @pytest.fixture
    def logger(self, folder: Path) -> Iterator[Logger]:
        made = self.make_logger(folder)
        yield made
        self.close(made)

    def test_making_and_asking_writes_nothing(self, logger: Logger, folder: Path) -> None:
        """Construction, the folders' names and pickling leave the disk alone."""
        assert logger.name is None or isinstance(logger.name, str)
        assert logger.version is None or isinstance(logger.version, (int, str))
        assert Path(logger.save_dir or folder) == folder
        assert isinstance(logger.group_separator, str)
        pickle.loads(pickle.dumps(logger))
        assert not folder.exists()

    def test_finishing_unused_is_safe(self, logger: Logger, folder: Path) -> None:
        """A run that fails before its first row still finalizes its loggers, and leaves no empty run behind."""
        logger.save()
        logger.finalize("failed")
        assert not [path for path in folder.rglob("*") if path.is_file()]

    def test_version_stays_once_in_use(self, logger: Logger) -> None:
        """Checkpoints are placed by name and version: they must not move during a run."""
        logger.log_metrics({"loss": 1.0}, 0)
        before = (logger.name, logger.version, logger.save_dir, logger.log_dir)
        logger.log_metrics({"loss": 1.0}, 1)
        logger.finalize("success")
        assert (logger.name, logger.version, logger.save_dir, logger.log_dir) == before

    @pytest.mark.parametrize(
        "last",
        [{"lr": 0.3}, argparse.Namespace(lr=0.3), SomeHyperparameters(lr=0.3)],
        ids=["dict", "namespace", "data"],
    )
    def test_hyperparameters_come_in_any_form(self, logger: Logger, folder: Path, last: Any) -> None:
        """A dict, a Namespace or a dataclass, values of any kind; what is logged again replaces, the rest stays."""
        logger.log_hyperparams({"lr": 0.1, "width": 8, "path": Path("x"), "act": max, "nested": {"sizes": (1, 2)}})
        logger.log_hyperparams(last)
        logger.finalize("success")
        found = self.params_logged(folder)
        assert found is None or {"lr": 0.3, "width": 8}.items() <= found.items()

    @pytest.mark.parametrize("status", ["success", "finished", "failed"])
    def test_every_row_is_kept_however_it_ends(self, logger: Logger, status: str) -> None:
        """Rows with new names, odd numbers and no step are all there after `finalize`, which may come twice."""
        logger.log_metrics({"loss": 1.0}, 0)
        logger.log_metrics({"loss": float("nan"), "late/name": float("inf")}, 1)
        logger.log_metrics({"loss": 2.0})
        logger.finalize(status)
        logger.finalize(status)
        assert self.rows_logged(logger) in (None, 3)

    def test_a_second_fit_adds_rows(self, logger: Logger) -> None:
        """After `finalize`, logging goes on in the same run."""
        for step in range(2):
            logger.log_metrics({"loss": 1.0}, step)
            logger.finalize("success")
        assert self.rows_logged(logger) in (None, 2)

    def test_a_used_logger_can_be_copied(self, logger: Logger) -> None:
        """Launchers pickle the trainer with its loggers; the copy is the same run and no row is written twice."""
        logger.log_metrics({"loss": 1.0}, 0)
        copy = pickle.loads(pickle.dumps(logger))
        assert (copy.name, copy.version, copy.save_dir) == (logger.name, logger.version, logger.save_dir)
        logger.finalize("success")
        copy.finalize("success")
        assert self.rows_logged(logger) in (None, 1)
