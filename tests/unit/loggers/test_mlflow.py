"""MLFlowLogger over the real client and a store in a file: what arrives, and what happens where nobody answers."""

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import MLFlowLogger, mlflow_outbox
from fulgurite.loggers import mlflow as mlflow_logger
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer

mlflow = pytest.importorskip("mlflow")
LOGGED = {name: value for name, value in QUIET.items() if name not in ("logger", "enable_checkpointing")}


@pytest.fixture(autouse=True)
def no_server_is_configured(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture
def nobody():
    """The address of a server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def stored(tmp_path):
    """A store with a run that was kept, read by its id."""
    return f"sqlite:///{tmp_path / 'store.db'}"


def client_of(logger):
    return mlflow.MlflowClient(logger._identity.tracking_uri)


def finished(logger, status="success"):
    """The run after its end, and the client that reads it."""
    logger.finalize(status)
    client = client_of(logger)
    return client.get_run(logger.run_id), client


def history(client, run_id, name):
    return [(each.step, each.value) for each in client.get_metric_history(run_id, name)]


def artifacts(client, run_id, folder=None):
    for each in client.list_artifacts(run_id, folder):
        yield from artifacts(client, run_id, each.path) if each.is_dir else [each.path]


def test_a_whole_run(tmp_path):
    """Metrics at their steps, hyperparameters, tags, the name, the end; all of it in the folder."""
    logger = MLFlowLogger("exp", "first", tags={"team": 7}, save_dir=tmp_path / "ml", prefix="p")
    trainer = Trainer(logger=logger, max_epochs=2, log_every_n_steps=1, callbacks=[ModelCheckpoint()], **LOGGED)
    model = TinyModule()
    model.save_hyperparameters({"lr": 0.1, "nested": {"depth": 2, "act": None}})
    trainer.fit(model, batches(2), batches(1))
    trainer.test(model, batches(1), verbose=False)

    run, client = finished(logger)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert client.get_experiment(run.info.experiment_id).name == "exp"
    assert run.data.tags["team"] == "7" and run.data.tags["mlflow.source.type"] == "LOCAL"
    assert run.data.params == {"lr": "0.1", "nested/depth": "2", "nested/act": "None"}
    assert [step for step, _ in history(client, run.info.run_id, "p-loss")] == [0, 1, 2, 3]
    assert [step for step, _ in history(client, run.info.run_id, "p-val_loss")] == [1, 3]
    assert len(history(client, run.info.run_id, "p-test_loss")) == 1
    (file,) = (tmp_path / "ml").rglob("*.ckpt")
    assert file.parent == tmp_path / "ml" / "exp" / run.info.run_id / "checkpoints"
    assert logger.experiment_id == run.info.experiment_id
    assert not list(Path().glob("mlruns"))


def test_rows_do_not_wait_for_the_store(monkeypatch):
    """They are all taken while the store does not answer, and when it does, all of them arrive."""
    logger = MLFlowLogger()
    _ = logger.experiment
    answers, waited = threading.Event(), []
    deliver = mlflow_outbox.DEEDS["metrics"]

    def held(*request):
        waited.append(answers.wait(60))
        deliver(*request)

    monkeypatch.setitem(mlflow_outbox.DEEDS, "metrics", held)
    for step in range(1000):
        logger.log_metrics({"loss": step, "rate": 0.5}, step)
    answers.set()

    run, client = finished(logger)
    assert history(client, run.info.run_id, "loss") == [(step, step) for step in range(1000)]
    assert waited and all(waited)


def test_names_and_values_that_mlflow_does_not_take(recwarn):
    """Characters are left out, text is told, long hyperparameters are cut; each is said once."""
    logger = MLFlowLogger()
    for step in range(2):
        logger.log_metrics({"odd@name(1)": 1.0, "note": "high", "tensor": torch.tensor(2.0)}, step)
    logger.log_hyperparams({"long": "x" * 7000, "odd@": 1})
    run, _ = finished(logger)

    assert run.data.metrics == {"oddname1": 1.0, "tensor": 2.0}
    assert len(run.data.params["long"]) == 6000 and run.data.params["odd"] == "1"
    said = [str(each.message) for each in recwarn if "MLflow takes" in str(each.message)]
    assert len(said) == 3 and "note='high'" in said[1]


def test_hyperparameters_keep_their_first_value():
    """MLflow does not change them: the logger says so, and what is new arrives all the same."""
    logger = MLFlowLogger()
    logger.log_hyperparams({"lr": 0.1, "width": 8})
    with pytest.warns(UserWarning, match="lr stays 0.1"):
        logger.log_hyperparams({"lr": 0.3, "depth": 2})
    run, _ = finished(logger)

    assert run.data.params == {"lr": "0.1", "width": "8", "depth": "2"}


def test_a_run_is_continued_and_what_is_refused_is_named():
    """Under its id; a hyperparameter that it has already with another value is refused by the store alone."""
    first = MLFlowLogger()
    first.log_hyperparams({"lr": 0.1})
    finished(first)
    second = MLFlowLogger(run_id=first.run_id)
    assert second.version == first.run_id
    second.log_hyperparams({"lr": 0.3, "depth": 2})
    second.log_metrics({"loss": 1.0}, 5)
    with pytest.warns(UserWarning, match="refused the hyperparameter lr=0.3"):
        run, _ = finished(second)

    assert run.data.params == {"lr": "0.1", "depth": "2"} and run.data.metrics == {"loss": 1.0}
    with pytest.raises(Exception, match="unknown"):
        _ = MLFlowLogger(run_id="unknown").experiment


def test_pictures_tables_and_texts():
    """Pictures by key and step, captions and tables as artifacts."""
    logger = MLFlowLogger(prefix="p")
    logger.log_image("seen", [torch.rand(3, 4, 5), torch.rand(4, 5)], step=7, caption=["a", "b"])
    logger.log_table("t", ["x", "y"], [[torch.rand(3, 4, 5), 1], ["b", 2.5]], step=7)
    logger.log_text("note", ["text"], [["hello"]], step=8)
    run, client = finished(logger)

    found = sorted(artifacts(client, run.info.run_id))
    assert found[0] == "captions/p-seen/7.md" and found[-2:] == ["tables/p-t/7.json", "texts/p-note/8.md"]
    assert sum(path.startswith("images/p-seen") and path.endswith(".png") for path in found) == 2
    table = json.loads(Path(client.download_artifacts(run.info.run_id, "tables/p-t/7.json")).read_text())
    assert table == {"columns": ["x", "y"], "data": [["picture, 5 x 4", 1], ["b", 2.5]]}
    assert Path(client.download_artifacts(run.info.run_id, "texts/p-note/8.md")).read_text() == "hello"


@pytest.mark.parametrize("log_model", [True, "all"])
def test_checkpoints_are_artifacts(tmp_path, log_model):
    """The last ones or every one, each in a folder of its name with score and aliases, although files are replaced."""
    logger = MLFlowLogger(log_model=log_model)
    keeper = ModelCheckpoint(tmp_path / "kept", monitor="step", mode="max")
    trainer = Trainer(logger=logger, max_epochs=3, callbacks=[keeper], **LOGGED)
    trainer.fit(TinyModule(), batches(2), batches(1))

    run, client = finished(logger)
    folders = {path.split("/")[0] for path in artifacts(client, run.info.run_id)}
    assert folders == ({"epoch=2-step=6"} if log_model is True else {f"epoch={n}-step={2 * n + 2}" for n in range(3)})
    folder = Path(client.download_artifacts(run.info.run_id, "epoch=2-step=6"))
    assert sorted(path.name for path in folder.iterdir()) == ["aliases.txt", "epoch=2-step=6.ckpt", "metadata.yaml"]
    assert (folder / "epoch=2-step=6.ckpt").read_bytes() == (tmp_path / "kept" / "epoch=2-step=6.ckpt").read_bytes()
    assert "monitor: step" in (folder / "metadata.yaml").read_text()
    assert (folder / "aliases.txt").read_text() == "['latest', 'best']"
    assert not list(Path("mlruns").glob(".sending"))


@pytest.mark.parametrize(
    ("raised", "status"), [(ZeroDivisionError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_how_a_run_ended(raised, status):
    """As MLflow words it, with all rows."""

    class Broken(TinyModule):
        def training_step(self, batch, batch_idx):
            self.log("loss", 1.0)
            if batch_idx == 2:
                raise raised
            return super().loss(batch)

    logger = MLFlowLogger()
    with pytest.raises(raised):
        Trainer(logger=logger, max_epochs=1, log_every_n_steps=1, enable_checkpointing=False, **LOGGED).fit(
            Broken(), batches(4)
        )

    run = client_of(logger).get_run(logger.run_id)
    assert run.info.status == status and len(history(client_of(logger), logger.run_id, "loss")) == 2


def test_a_server_that_is_not_there_stops_no_training(tmp_path, nobody, stored, recwarn):
    """One warning; everything is kept, and a store that is there takes it later: the run as it would have been."""
    logger = MLFlowLogger("exp", "first", tracking_uri=nobody, save_dir=tmp_path / "ml", log_model=True)
    keeper = ModelCheckpoint(tmp_path / "kept", monitor="val_loss")
    trainer = Trainer(logger=logger, max_epochs=2, log_every_n_steps=1, callbacks=[keeper], **LOGGED)
    model = TinyModule()
    model.save_hyperparameters({"lr": 0.1})
    started = time.monotonic()
    trainer.fit(model, batches(2), batches(1))
    logger.log_image("seen", [torch.rand(3, 4, 5)], step=3)
    logger.finalize("success")

    assert time.monotonic() - started < 20
    warned = [str(each.message) for each in recwarn if "MLflow server" in str(each.message)]
    (file,) = (tmp_path / "ml").glob("unsent-*.jsonl")
    assert len(warned) == 2 and all(str(file) in each for each in warned) and "send_kept" in warned[1]
    assert logger.run_id is None and logger.version == file.stem

    run_id = MLFlowLogger.send_kept(file, stored)
    client = mlflow.MlflowClient(stored)
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name, run.data.params) == ("FINISHED", "first", {"lr": "0.1"})
    assert [step for step, _ in history(client, run_id, "loss")] == [0, 1, 2, 3]
    assert any(path.endswith(".ckpt") for path in artifacts(client, run_id))
    assert not file.exists() and not (tmp_path / "ml" / ".sending").exists()


PROGRAM = """
from fulgurite.loggers import MLFlowLogger
logger = MLFlowLogger(tracking_uri={uri!r}, save_dir="ml")
for step in range(2500):
    logger.log_metrics({{"loss": step}}, step)
{end}
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "1 / 0"])
@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_lost_at_the_exit(tmp_path, nobody, stored, end, there):
    """Rows of a script that never finalizes its logger arrive, or are kept where nobody answers."""
    program = textwrap.dedent(PROGRAM.format(uri=stored if there else nobody, end=end))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert done.returncode == {"": 0, "raise SystemExit(3)": 3}.get(end, 1), done.stderr
    if there:
        client = mlflow.MlflowClient(stored)
        (run,) = client.search_runs([client.get_experiment_by_name("lightning_logs").experiment_id])
        run_id = run.info.run_id
    else:
        (file,) = (tmp_path / "ml").glob("unsent-*.jsonl")
        assert "send_kept" in done.stderr
        run_id = MLFlowLogger.send_kept(file, stored)
        client = mlflow.MlflowClient(stored)
    assert len(client.get_metric_history(run_id, "loss")) == 2500


def test_a_kept_file_that_was_cut_short_is_sent(tmp_path, nobody, stored):
    """A process that was killed while it wrote leaves half a line; what stands before it arrives."""
    logger = MLFlowLogger(tracking_uri=nobody, save_dir=tmp_path)
    for step in range(3):
        logger.log_metrics({"loss": step}, step)
        logger.finalize("success")
    (file,) = tmp_path.glob("unsent-*.jsonl")
    file.write_text(file.read_text()[:-9])

    run_id = MLFlowLogger.send_kept(file, stored)
    assert len(mlflow.MlflowClient(stored).get_metric_history(run_id, "loss")) == 3


def test_synchronous_calls_wait():
    """What was logged is there when the call returns."""
    logger = MLFlowLogger(synchronous=True)
    logger.log_metrics({"loss": 1.0}, 3)

    assert history(client_of(logger), logger.run_id, "loss") == [(3, 1.0)]


def test_the_address_comes_from_the_environment(monkeypatch, stored):
    """$MLFLOW_TRACKING_URI, as for MLflow itself."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stored)
    logger = MLFlowLogger()
    logger.log_metrics({"loss": 1.0}, 0)
    finished(logger)

    assert logger.save_dir is None
    assert mlflow.MlflowClient(stored).get_run(logger.run_id).data.metrics == {"loss": 1.0}


def test_bad_arguments_say_what_is_allowed(monkeypatch):
    """log_model, a store that MLflow does not know, and the package that is missing."""
    with pytest.raises(MisconfigurationException, match="log_model='best'"):
        MLFlowLogger(log_model="best")
    with pytest.raises(Exception, match="nowhere"):
        _ = MLFlowLogger(tracking_uri="nowhere://x").experiment
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setattr(mlflow_logger, "available", lambda module: False)
    with pytest.raises(ModuleNotFoundError, match=r"fulgurite\[mlflow\]"):
        MLFlowLogger()


def test_making_one_does_not_import_the_client():
    """It takes more than a second, which belongs to the start of a run."""
    code = "import sys; from fulgurite.loggers import MLFlowLogger; MLFlowLogger(); print('mlflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), timeout=60
    )
    assert done.stdout == "False\n", done.stderr
