"""WandbLogger over the real client, offline: what is logged is read back from the run's own file."""

import argparse
import json
import multiprocessing
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.loggers import WandbLogger
from support.wandb_file import recorded_runs

wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("no_run_stays_open", "the_client_stops_at_the_end")


def only_run(save_dir="."):
    wandb.finish()
    (run,) = recorded_runs(Path(save_dir))
    return run


class SavedCheckpoints:
    """The part of a checkpoint callback that loggers read."""

    monitor, mode, save_last, save_weights_only, _every_n_train_steps = "loss", "min", None, False, 0

    def __init__(self, folder, save_top_k=1):
        self.folder, self.save_top_k = Path(folder), save_top_k
        self.best_model_path, self.best_model_score, self.best_k_models = "", None, {}
        self.last_model_path, self.current_score = "", None

    def write(self, name, score):
        path = self.folder / name
        path.write_bytes(name.encode())
        self.best_model_path, self.best_model_score = str(path), torch.tensor(score)
        self.best_k_models[str(path)] = self.best_model_score
        return path


def test_rows_config_and_axis_are_recorded():
    """Each row is one history record under the trainer's step; any hyperparameter becomes a plain config value."""
    logger = WandbLogger(name="my run", project="proj", version="my_id", save_dir="deep/folder")
    logger.log_hyperparams(OrderedDict(lr=1e-3, sizes=[("a", 16), ("b", 2)], data=Path("some/where"), act=torch.relu))
    logger.log_hyperparams(argparse.Namespace(lr=1e-4))
    logger.log_metrics({"loss": 0.1 + 0.2, "epoch": 0}, step=0)
    logger.log_metrics({"loss": float("nan")}, step=50)
    logger.log_metrics({"free": 1.0})

    run = only_run("deep/folder")

    assert (run.run_id, run.project, run.name) == ("my_id", "proj", "my run")
    assert run.config["lr"] == 1e-4
    assert run.config["sizes"] == [["a", 16], ["b", 2]]
    assert (run.config["data"], run.config["act"]) == ("some/where", "relu")
    assert run.column("loss")[0] == 0.1 + 0.2
    assert run.column("trainer/global_step")[:2] == [0, 50]
    assert [len(run.rows), run.column("_step")] == [3, [0, 1, 2]]
    assert {metric.name or metric.glob_name: metric.step_metric for metric in run.metrics}["*"] == "trainer/global_step"


def test_ids_may_be_numbers_and_say_where_checkpoints_go():
    """`version=1` is the id "1"; the project is the logger's name, so the folder is save_dir/project/id."""
    logger = WandbLogger(version=1, project="p")
    assert (logger.save_dir, logger.name, logger.version) == (".", "p", "1")
    assert WandbLogger(id=0).version == "0"
    assert WandbLogger().version is None
    assert logger.experiment.id == "1"


def test_prefix_stands_before_every_metric():
    """`prefix="a"` gives `a-loss`; the axis keeps its name."""
    logger = WandbLogger(prefix="a")
    logger.log_metrics({"loss": 1.0}, step=3)
    row = only_run().rows[0]
    assert (row["a-loss"], row["trainer/global_step"]) == (1.0, 3)


def test_media_are_recorded_with_their_files():
    """Images, tables and text arrive as files of the run, captions and cells included."""
    logger = WandbLogger()
    images = [torch.rand(1, 8, 8), torch.rand(3, 8, 8), torch.rand(8, 8)]
    logger.log_image("samples", images=images, caption=["one", "two", "three"], step=4)
    logger.log_table("table", columns=["x", "y"], data=[[1, 2.5], [3, 4.5]])
    logger.log_text("text", columns=["said"], data=[["hello"]])

    run = only_run()

    assert run.column("samples")[0]["captions"] == ["one", "two", "three"]
    assert len(list(run.folder.glob("files/media/images/samples_*.png"))) == 3
    (table,) = run.folder.glob("files/media/table/table_*.json")
    assert json.loads(table.read_text()) == {"columns": ["x", "y"], "data": [[1, 2.5], [3, 4.5]]}
    assert '"hello"' in next(run.folder.glob("files/media/table/text_*.json")).read_text()


def test_pictures_in_a_table_are_recorded():
    """A cell that is a tensor with channels becomes a picture, as W&B shows them in tables."""
    logger = WandbLogger(offline=True)
    logger.log_table("t", columns=["picture", "n"], data=[[torch.rand(3, 8, 8), 1]])
    wandb.finish()
    (run,) = recorded_runs(Path())

    # The run's own file says only "Image"; the table's artifact holds it.
    files = {entry.path: entry.local_path for entry in run.artifacts[0].manifest.contents}
    ((cell, number),) = json.loads(Path(files["t.table.json"]).read_text())["data"]
    assert (cell["_type"], cell["width"], cell["path"] in files, number) == ("image-file", 8, True, 1)


def test_media_arguments_are_lists_of_one_length():
    """A single image or a short list of captions is an error that says what was expected."""
    logger = WandbLogger()
    with pytest.raises(TypeError, match="Expected a list"):
        logger.log_image("k", torch.rand(3, 4, 4))
    with pytest.raises(ValueError, match="Expected 2 items in caption"):
        logger.log_image("k", [torch.rand(3, 4, 4)] * 2, caption=["one"])


def test_watch_records_histograms_of_gradients_and_parameters():
    """`watch(model, log="all")` adds both to the rows; as in a training_step, nobody calls the model itself."""
    logger, model = WandbLogger(), torch.nn.ModuleDict({"layer": torch.nn.Linear(4, 2)})
    model.layer.bias.data[0] = float("nan")
    logger.watch(model, log="all", log_freq=2)
    for step in range(5):
        model.layer(torch.rand(3, 4)).nansum().backward()
        logger.log_metrics({"loss": 1.0}, step)

    run = only_run()

    for key in ("gradients/layer.weight", "gradients/layer.bias", "parameters/layer.bias"):
        assert run.column(key)[0]["_type"] == "histogram", key
    histograms = run.column("parameters/layer.weight")
    assert [sum(each["values"]) for each in histograms] == [8] * 3
    assert sum(run.column("parameters/layer.bias")[0]["values"]) == 1


@pytest.mark.parametrize("log", ["gradients", "parameters", None])
def test_watch_records_what_is_asked_for(log):
    """Gradients alone, parameters alone, or nothing."""
    logger, model = WandbLogger(), torch.nn.Linear(4, 2)
    logger.watch(model, log=log, log_freq=1, log_graph=False)
    model(torch.rand(3, 4)).sum().backward()
    logger.log_metrics({"loss": 1.0}, 0)
    row = only_run().rows[0]
    assert {name.split("/")[0] for name in row if name.startswith(("grad", "para"))} == ({log} if log else set())


@pytest.mark.parametrize("status", ["success", "failed"])
def test_log_model_stores_the_best_checkpoint_at_the_end(tmp_path, status):
    """`log_model=True` stores at the end what is kept, also if the run failed or was interrupted."""
    logger, saved = WandbLogger(log_model=True, version="run id"), SavedCheckpoints(tmp_path)
    saved.write("first.ckpt", 2.0).unlink()
    saved.best_k_models.clear()
    logger.after_save_checkpoint(saved)
    saved.write("best.ckpt", 1.0)
    logger.after_save_checkpoint(saved)
    logger.finalize(status)
    logger.finalize(status)

    (artifact,) = only_run().artifacts

    assert (artifact.type, artifact.name, sorted(artifact.aliases)) == ("model", "model-run_id", ["best", "latest"])
    assert [entry.path for entry in artifact.manifest.contents] == ["model.ckpt"]
    assert '"original_filename":"best.ckpt"' in artifact.metadata.replace(" ", "")
    assert '"score":1.0' in artifact.metadata.replace(" ", "")


def test_log_model_all_stores_each_checkpoint_when_written(tmp_path):
    """`log_model="all"` makes one version per checkpoint, oldest first; so does keeping all of them."""
    for options in (dict(log_model="all"), dict(log_model=True)):
        logger, saved = WandbLogger(save_dir=str(options), **options), SavedCheckpoints(tmp_path, save_top_k=-1)
        for epoch in range(2):
            saved.write(f"{options}-{epoch}.ckpt", 1.0)
            logger.after_save_checkpoint(saved)
        artifacts = only_run(str(options)).artifacts
        assert [sorted(each.aliases) for each in artifacts] == [["best", "latest"]] * 2


def test_each_logger_has_its_own_run():
    """Two loggers at once log beside each other; none writes into the other's run."""
    one, two = WandbLogger(version="one"), WandbLogger(version="two")
    one.log_metrics({"a": 1.0})
    two.log_metrics({"b": 2.0})
    one.log_metrics({"a": 3.0})
    for logger in (one, two):
        logger.experiment.finish()
    runs = {run.run_id: run for run in recorded_runs(Path())}
    assert runs["one"].column("a") == [1.0, 3.0] and not runs["one"].column("b")
    assert runs["two"].column("b") == [2.0]


def test_a_logger_whose_run_is_done_makes_way():
    """After `finalize`, the next logger's run becomes `wandb.run`; the first logger may still log on, under its id."""
    one, two = WandbLogger(version="one"), WandbLogger(version="two")
    one.log_metrics({"a": 1.0})
    one.finalize("success")
    two.log_metrics({"b": 2.0})
    assert wandb.run.id == "two"
    two.finalize("success")
    one.log_metrics({"a": 3.0})
    wandb.finish()
    assert [run.run_id for run in recorded_runs(Path())].count("one") == 2


def test_logging_after_wandb_finish_continues_the_run():
    """`wandb.finish()` and then a test: the rows go to a continuation under the same id."""
    logger = WandbLogger(version="same")
    logger.log_metrics({"a": 1.0}, step=1)
    wandb.finish()
    logger.log_metrics({"b": 2.0}, step=1)
    wandb.finish()
    assert {run.run_id for run in recorded_runs(Path())} == {"same"}
    assert [value for run in recorded_runs(Path()) for value in run.column("b")] == [2.0]


def test_the_users_open_run_is_used():
    """A run that the script opened before is the one that is meant."""
    mine = wandb.init(project="mine", id="my_own", mode="offline")
    logger = WandbLogger(version="other")
    assert logger.experiment is mine
    assert logger.version == "my_own"
    given = WandbLogger(experiment=mine)
    assert given.experiment is mine


def test_without_an_account_the_run_is_recorded_offline(monkeypatch, tmp_path):
    """Nothing configured: no prompt, no error, one line that says where the run is."""
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("fulgurite.loggers.wandb.rank_zero_info", lambda message: said.append(message))
    said = []
    wandb.teardown()  # settings are read once per start of the client
    logger = WandbLogger(save_dir="runs")
    logger.log_metrics({"a": 1.0})
    offline = logger.experiment.offline
    wandb.finish()
    wandb.teardown()
    assert offline
    assert len(said) == 1 and "recorded offline in runs/wandb" in said[0]
    assert "`fulgurite ui` shows it, `wandb sync` sends it to a W&B server" in said[0]


def test_offline_stays_this_loggers_matter(monkeypatch):
    """`offline=True` changes no environment variable."""
    monkeypatch.delenv("WANDB_MODE")
    assert WandbLogger(offline=True, log_model="all").experiment.offline
    assert "WANDB_MODE" not in os.environ


def test_a_copy_continues_the_same_run():
    """Pickling opens nothing; a copy of an open logger finds the open run, a copy of a new one gets the same id."""
    fresh = WandbLogger(project="p")
    copy = pickle.loads(pickle.dumps(fresh))
    assert wandb.run is None and not list(Path().glob("wandb/*"))
    assert copy.version == fresh.version
    fresh.log_metrics({"a": 1.0})
    assert pickle.loads(pickle.dumps(fresh)).experiment is fresh.experiment


def test_bad_arguments_say_what_is_allowed():
    """A wrong `log_model` or `add_file_policy` is refused at construction."""
    with pytest.raises(MisconfigurationException, match="log_model='yes'"):
        WandbLogger(log_model="yes")
    with pytest.raises(MisconfigurationException, match="add_file_policy='keep'"):
        WandbLogger(add_file_policy="keep")
    with pytest.warns(DeprecationWarning, match="anonymous"):
        WandbLogger(anonymous=True)


def log_in_a_child(logger):
    logger.log_metrics({"child": 2.0}, 1)


def test_a_copy_in_another_process_writes_into_the_same_run():
    """Launchers send the logger to a new process; its rows and the parent's are in one run."""
    wandb.teardown()  # a child finds the client by an environment variable that every test starts without
    logger = WandbLogger(offline=True)
    logger.log_metrics({"parent": 1.0}, 0)
    child = multiprocessing.get_context("spawn").Process(target=log_in_a_child, args=(logger,))
    child.start()
    child.join()
    logger.log_metrics({"parent": 3.0}, 2)
    run = only_run()
    assert (run.column("parent"), run.column("child")) == ([1.0, 3.0], [2.0])
