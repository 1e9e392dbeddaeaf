"""The loggers that come along keep the loggers' contract."""

import csv
from pathlib import Path

import pytest

from fulgurite.core.logger import DummyLogger
from fulgurite.loggers import CSVLogger, WandbLogger
from fulgurite.testing.logger_contract import LoggerContract
from support.wandb_file import recorded_runs


class TestCSVLogger(LoggerContract):
    def make_logger(self, folder):
        return CSVLogger(folder)

    def rows_logged(self, logger):
        with open(Path(logger.log_dir, "metrics.csv"), newline="") as lines:
            return len(list(csv.DictReader(lines)))


class TestDummyLogger(LoggerContract):
    def make_logger(self, folder):
        return DummyLogger()


class TestWandbLogger(LoggerContract):
    def make_logger(self, folder):
        pytest.importorskip("wandb")
        return WandbLogger(save_dir=folder, offline=True)

    def rows_logged(self, logger):
        logger.experiment.finish()
        return sum(len(run.rows) for run in recorded_runs(logger.save_dir))

    def close(self, logger):
        import wandb

        wandb.finish()
