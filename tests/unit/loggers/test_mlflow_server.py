"""MLFlowLogger and MLflow's own server: a whole run, one that goes away, one that comes back, one that is slow."""

import socket
import threading
import time
from pathlib import Path

import pytest
import torch

from fulgurite.callbacks import Callback, ModelCheckpoint
from fulgurite.loggers import MLFlowLogger, mlflow_outbox
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer
from support.mlflow_server import Server

mlflow = pytest.importorskip("mlflow")
pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]
LOGGED = {name: value for name, value in QUIET.items() if name not in ("logger", "enable_checkpointing")}


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder, mlflow.__version__)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def slow(server):
    """A way to the server on which each answer takes a fifth of a second."""
    door = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def carry(source, target, pause):
        try:
            while data := source.recv(65536):
                time.sleep(pause)
                target.sendall(data)
        except OSError:
            pass
        finally:
            target.close()

    def serve():
        door.settimeout(0.2)
        while not stop.is_set():
            try:
                came, _ = door.accept()
            except TimeoutError:
                continue
            to = socket.create_connection(("127.0.0.1", server.port))
            threading.Thread(target=carry, args=(came, to, 0), daemon=True).start()
            threading.Thread(target=carry, args=(to, came, 0.2), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    stop.set()
    thread.join(5)
    door.close()


class Doing(Callback):
    """Does something at the end of an epoch."""

    def __init__(self, **by_epoch):
        self.by_epoch = {int(name[-1]): act for name, act in by_epoch.items()}

    def on_train_epoch_end(self, trainer, pl_module):
        self.by_epoch.get(trainer.current_epoch, lambda: None)()


def fit(logger, *callbacks, epochs=3):
    trainer = Trainer(logger=logger, max_epochs=epochs, log_every_n_steps=1, callbacks=list(callbacks), **LOGGED)
    trainer.fit(TinyModule(), batches(4), batches(1))
    return trainer


def steps(server, run_id, name="loss"):
    found = mlflow.MlflowClient(server.url).get_metric_history(run_id, name)
    return [each.step for each in found]


def paths(client, run_id, folder=None):
    for each in client.list_artifacts(run_id, folder):
        yield from paths(client, run_id, each.path) if each.is_dir else [each.path]


def test_a_whole_run(server):
    """Metrics, hyperparameters, checkpoints, pictures and tables are on the server, and the run is finished."""
    logger = MLFlowLogger("exp", "first", server.url, {"team": "a"}, log_model="all")
    model = TinyModule()
    model.save_hyperparameters({"lr": 0.1})
    trainer = Trainer(logger=logger, max_epochs=2, log_every_n_steps=1, callbacks=[ModelCheckpoint("kept")], **LOGGED)
    trainer.fit(model, batches(4), batches(1))
    logger.log_image("seen", [torch.rand(3, 4, 5)], step=7, caption=["one"])
    logger.log_table("t", ["x"], [["hello"]], step=7)
    trainer.test(model, batches(1), verbose=False)

    client = mlflow.MlflowClient(server.url)
    run = client.get_run(logger.run_id)
    assert (run.info.status, run.info.run_name, run.data.params) == ("FINISHED", "first", {"lr": "0.1"})
    assert run.data.tags["team"] == "a" and "test_loss" in run.data.metrics
    assert steps(server, logger.run_id) == list(range(8))
    found = set(paths(client, logger.run_id))
    assert {"epoch=0-step=4/epoch=0-step=4.ckpt", "epoch=1-step=8/metadata.yaml", "tables/t/7.json"} <= found
    assert any(path.startswith("images/seen") and path.endswith(".png") for path in found)
    assert logger.save_dir is None and not Path("mlruns").exists()


def test_a_server_that_goes_and_comes_back_has_it_all(server, monkeypatch, recwarn, caplog):
    """It fails in the first epoch and is there again before the last: nothing is missing and no file is left."""
    monkeypatch.setattr(mlflow_outbox, "RETRY", 0.5)
    logger = MLFlowLogger(tracking_uri=server.url, log_model="all")

    def back():
        server.start()
        until = time.monotonic() + 30
        while logger._outbox.kept.exists() and time.monotonic() < until:
            time.sleep(0.1)

    def wait():
        until = time.monotonic() + 30
        while not logger._outbox.kept.exists() and time.monotonic() < until:
            time.sleep(0.1)

    fit(logger, ModelCheckpoint("kept"), Doing(epoch_0=server.stop, epoch_1=wait, epoch_2=back), epochs=4)

    assert sum("does not take the run" in str(each.message) for each in recwarn) == 1
    assert steps(server, logger.run_id) == list(range(16))
    assert mlflow.MlflowClient(server.url).get_run(logger.run_id).info.status == "FINISHED"
    assert not list(Path().rglob("unsent-*.jsonl")) and not list(Path().rglob(".sending"))


def test_a_server_that_stays_away_costs_no_row(server, recwarn):
    """The run ends in time; `send_kept` completes the same run later."""
    logger = MLFlowLogger(tracking_uri=server.url)
    started = time.monotonic()
    fit(logger, Doing(epoch_0=server.stop))
    assert time.monotonic() - started < 60
    (file,) = Path("mlruns").glob("unsent-*.jsonl")
    assert any("send_kept" in str(each.message) for each in recwarn)

    server.start()
    assert MLFlowLogger.send_kept(file) == logger.run_id
    assert steps(server, logger.run_id) == list(range(12))
    assert mlflow.MlflowClient(server.url).get_run(logger.run_id).info.status == "FINISHED"


def test_a_run_that_began_without_a_server_is_one_run(server, monkeypatch):
    """It appears under one id as soon as there is a server, whole; checkpoints stay where they were."""
    monkeypatch.setattr(mlflow_outbox, "RETRY", 0.5)
    server.stop()
    logger = MLFlowLogger("late", tracking_uri=server.url)
    trainer = fit(logger, ModelCheckpoint(), Doing(epoch_0=server.start), epochs=2)

    client = mlflow.MlflowClient(server.url)
    (run,) = client.search_runs([client.get_experiment_by_name("late").experiment_id])
    assert run.info.run_id == logger.run_id and steps(server, logger.run_id) == list(range(8))
    assert logger.version in trainer.checkpoint_callback.best_model_path
    assert not list(Path().rglob("unsent-*.jsonl"))


def test_a_slow_server_does_not_slow_the_training(slow, server):
    """500 rows over a line that takes a fifth of a second for each answer: the rows do not wait, and all arrive."""
    logger = MLFlowLogger(tracking_uri=slow)
    _ = logger.experiment
    started = time.perf_counter()
    for step in range(500):
        logger.log_metrics({"loss": step, "rate": 0.1}, step)
        if step % 50 == 0:
            logger.save()
    taken = time.perf_counter() - started
    logger.finalize("success")

    assert steps(server, logger.run_id) == list(range(500))
    assert taken < 0.2  # less than one answer
