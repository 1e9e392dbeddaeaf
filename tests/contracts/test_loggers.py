"""The loggers that come along keep the loggers' contract."""

import csv
import inspect
from pathlib import Path

import pytest

import fulgurite.loggers
from fulgurite.core.logger import DummyLogger, Logger
from fulgurite.loggers import CometLogger, CSVLogger, MLFlowLogger, TensorBoardLogger, TrackLogger, WandbLogger
from fulgurite.testing.logger_contract import LoggerContract
from fulgurite.track.store.store import Store
from support.comet_file import recorded
from support.tfevents import rows_in
from support.wandb_file import recorded_runs


class TestCSVLogger(LoggerContract):
    def make_logger(self, folder):
        return CSVLogger(folder)

    def rows_logged(self, logger):
        with open(Path(logger.log_dir, "metrics.csv"), newline="") as lines:
            return len(list(csv.DictReader(lines)))

    def params_logged(self, folder):
        import yaml

        (file,) = folder.rglob("hparams.yaml")
        return yaml.safe_load(file.read_text())


class TestDummyLogger(LoggerContract):
    def make_logger(self, folder):
        return DummyLogger()


class TestCometLogger(LoggerContract):
    def make_logger(self, folder):
        pytest.importorskip("comet_ml")
        quick = {"log_code": False, "log_env_details": False, "auto_output_logging": False}
        return CometLogger(online=False, offline_directory=folder, **quick)

    def rows_logged(self, logger):
        self.close(logger)
        return len([each for run in recorded(logger.save_dir) for each in run.metrics if each[0] == "loss"])

    def params_logged(self, folder):
        import comet_ml

        comet_ml.get_global_experiment().end()
        (run,) = recorded(folder)
        return run.params

    def close(self, logger):
        if logger._experiment is not None:
            logger._experiment.end()


class TestMLFlowLogger(LoggerContract):
    """MLflow keeps the first value of a hyperparameter, so that ``params_logged`` has nothing to say."""

    @pytest.fixture(autouse=True)
    def no_server(self, monkeypatch):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")

    def make_logger(self, folder):
        pytest.importorskip("mlflow")
        return MLFlowLogger(save_dir=folder)

    def rows_logged(self, logger):
        return len(logger.experiment.get_metric_history(logger.run_id, "loss"))


class TestTensorBoardLogger(LoggerContract):
    def make_logger(self, folder):
        pytest.importorskip("tensorboard")
        return TensorBoardLogger(folder, default_hp_metric=False)

    def rows_logged(self, logger):
        return len(rows_in(logger.log_dir))

    def params_logged(self, folder):
        import yaml

        (file,) = folder.rglob("hparams.yaml")
        return yaml.safe_load(file.read_text())

    def close(self, logger):
        logger.finalize("success")


class TestTrackLogger(LoggerContract):
    def make_logger(self, folder):
        return TrackLogger(folder, store=folder / "store")

    def rows_logged(self, logger):
        return self._run(logger.save_dir).row_count

    def params_logged(self, folder):
        return self._run(folder).config

    def close(self, logger):
        logger.finalize("success")

    def _run(self, folder):
        store = Store(Path(folder, "store"))
        (run,) = [run for project in store.runs.projects() for run in store.runs.all(project)]
        store.close()
        return run


class TestWandbLogger(LoggerContract):
    def make_logger(self, folder):
        pytest.importorskip("wandb")
        return WandbLogger(save_dir=folder, offline=True)

    def rows_logged(self, logger):
        logger.experiment.finish()
        return sum(len(run.rows) for run in recorded_runs(logger.save_dir))

    def params_logged(self, folder):
        import wandb

        wandb.finish()
        (run,) = recorded_runs(folder)
        return run.config

    def close(self, logger):
        import wandb

        wandb.finish()


def test_no_logger_is_forgotten():
    """Every public logger that can be made has a contract."""
    public = {getattr(fulgurite.loggers, name) for name in fulgurite.loggers.__all__}
    loggers = {each.__name__ for each in public if issubclass(each, Logger) and not inspect.isabstract(each)}
    contracts = {name.removeprefix("Test") for name in globals() if name.startswith("Test")}
    assert contracts == loggers
