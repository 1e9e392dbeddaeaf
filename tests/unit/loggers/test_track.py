"""The default logger: what a training leaves in the store, and what in its folder."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fulgurite import Callback, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import CSVLogger, TrackLogger
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.track.store.store import Store

DEFAULT = {**QUIET, "logger": None}


@pytest.fixture
def store(own_store):
    opened = Store(own_store)
    yield opened
    opened.close()


def only_run(store):
    (run,) = [run for project in store.runs.projects() for run in store.runs.all(project)]
    return run


def files_of(store, run):
    return {file.name: store.blobs.path(file.blob.sha256) for file in store.blobs.files(run.id)}


class Named(TinyModule):
    def __init__(self, lr=0.1, sizes=(1, 2)):
        super().__init__(lr)
        self.save_hyperparameters()


def test_a_training_is_in_the_store(store, tmp_path):
    """With no logger named: rows by the trainer's step, validation on the right one, and all that is known."""
    trainer = Trainer(**DEFAULT, max_epochs=2, log_every_n_steps=1)
    trainer.fit(Named(), batches(4), batches(2))

    run = only_run(store)
    loss, val = (store.history.read(run.id, name) for name in ("loss", "val_loss"))
    assert loss.steps.tolist() == list(range(8))
    assert val.steps.tolist() == [3, 7]
    assert val.values()[-1] == run.summary["val_loss"] == trainer.callback_metrics["val_loss"].item()
    assert run.row_count == 8
    assert run.summary["epoch"] == 1
    assert run.config == {"lr": 0.1, "sizes": [1, 2]}
    assert (run.state, run.exit_code, run.source, run.display_name) == ("finished", 0, "fulgurite", "version_0")
    assert run.project.name == tmp_path.name
    assert "TinyModule" not in run.display_name and {"host", "program", "startedAt"} <= run.facts.keys()
    files = files_of(store, run)
    assert "(layer): Linear" in files["model.txt"].read_text() and "5 parameters" in files["model.txt"].read_text()
    assert "requirements.txt" in files


def test_the_folders_are_lightnings(tmp_path):
    """lightning_logs/version_N with checkpoints and hparams.yaml; a table of metrics is not written."""
    for _ in range(2):
        trainer = Trainer(**{**DEFAULT, "enable_checkpointing": True}, max_epochs=1, log_every_n_steps=1)
        trainer.fit(Named(), batches(2))

    assert trainer.log_dir == str(tmp_path / "lightning_logs" / "version_1")
    found = {str(path.relative_to(trainer.log_dir)) for path in Path(trainer.log_dir).rglob("*") if path.is_file()}
    assert found == {"hparams.yaml", "checkpoints/epoch=0-step=2.ckpt"}
    assert yaml.safe_load(Path(trainer.log_dir, "hparams.yaml").read_text()) == {"lr": 0.1, "sizes": [1, 2]}


def test_test_and_second_fit_go_on_with_the_run(store):
    """One trainer, one run; its end is that of the last part."""
    trainer = Trainer(**DEFAULT, max_epochs=1, log_every_n_steps=1)
    module = Named()
    trainer.fit(module, batches(4))
    trainer.test(module, batches(2), verbose=False)
    assert only_run(store).summary["test_loss"] > 0
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, batches(4))

    run = only_run(store)
    assert run.state == "finished"
    assert store.history.read(run.id, "loss").steps.tolist() == list(range(8))


class Breaks(Callback):
    def __init__(self, error):
        self.error = error

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 2:
            raise self.error


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (ValueError("broken"), "failed", 1),
        (KeyboardInterrupt(), "killed", 255),
        (SystemExit(3), "failed", 3),
        (SystemExit(143), "killed", 143),
    ],
)
def test_a_training_that_breaks(store, error, state, code):
    """The rows up to then are there, and the state says how it ended."""
    trainer = Trainer(**DEFAULT, max_epochs=1, log_every_n_steps=1, callbacks=[Breaks(error)])
    with pytest.raises(type(error)):
        trainer.fit(TinyModule(), batches(4))

    run = only_run(store)
    assert (run.state, run.exit_code) == (state, code)
    assert store.history.read(run.id, "loss").steps.tolist()[:2] == [0, 1]


@pytest.mark.parametrize("console", [True, False])
def test_the_console_says_what_broke(store, console):
    """The traceback is printed when the run has ended, and is what one looks for in it."""
    logger = TrackLogger(".", console=console)
    trainer = Trainer(
        **{**QUIET, "logger": logger}, max_epochs=1, log_every_n_steps=1, callbacks=[Breaks(ValueError("broken"))]
    )
    with pytest.raises(ValueError):
        trainer.fit(TinyModule(), batches(4))

    lines = [(line.stream, line.line) for line in store.console.read(only_run(store).id)]
    assert (("stderr", "ValueError: broken") in lines[-2:]) == console
    assert any("on_train_batch_end" in line for _, line in lines) == console


def test_a_fit_that_ends_before_its_first_row_leaves_no_run(store):
    """A mistake in the set-up is no run."""

    class Wrong(TinyModule):
        def configure_optimizers(self):
            raise RuntimeError("no optimizer")

    with pytest.raises(RuntimeError):
        Trainer(**DEFAULT, max_epochs=1).fit(Wrong(), batches(2))

    assert store.runs.projects() == []
    assert sys.stdout is not None and not hasattr(sys.stdout, "_take")


def test_what_is_printed_is_noted(store, capsys):
    """From the beginning of the fit, and printed all the same; not if it is not wanted."""

    class Talks(Callback):
        def on_train_start(self, trainer, pl_module):
            print("hello from the training")

    trainer = Trainer(**DEFAULT, max_epochs=1, callbacks=[Talks()])
    trainer.fit(TinyModule(), batches(2))
    print("after")

    run = only_run(store)
    assert "hello from the training" in [line.line for line in store.console.read(run.id)]
    assert "after" not in [line.line for line in store.console.read(run.id)]
    assert capsys.readouterr().out.count("hello from the training") == 1

    silent = {**QUIET, "logger": TrackLogger(".", console=False, id="silent")}
    Trainer(**silent, max_epochs=1, callbacks=[Talks()]).fit(TinyModule(), batches(2))
    assert store.console.count(store.runs.find(run.project, "silent").id) == 0


def test_what_is_said_of_the_run(store, tmp_path):
    """Project, name, id, tags, notes, group, job type and config."""
    logger = TrackLogger(
        tmp_path, name="exp", version="a", project="mine", run_name="best", id="id1", tags=["x", "y"], notes="why",
        group="g", job_type="train", config={"seed": 1, "path": Path("x")}, prefix="p", code=False,
    )  # fmt: skip
    logger.log_metrics({"loss": torch.tensor(1.5)}, 4)
    logger.finalize("success")

    run = only_run(store)
    assert (run.project.name, run.name, run.display_name) == ("mine", "id1", "best")
    assert (run.tags, run.notes, run.group_name, run.job_type) == (["x", "y"], "why", "g", "train")
    assert run.config == {"seed": 1, "path": "x"} and run.facts == {}
    assert run.summary["p-loss"] == 1.5
    assert (logger.log_dir, logger.run_id, logger.project) == (str(tmp_path / "exp" / "a"), "id1", "mine")


def test_a_run_is_shown_under_its_folder(store, tmp_path):
    """Unless it is named: version_0 of several experiments are told apart."""
    logger = TrackLogger(tmp_path, name="exp", code=False)
    logger.log_metrics({"loss": 1.0})
    logger.finalize("success")

    assert only_run(store).display_name == "exp/version_0"


def test_media_land_beside_the_row(store, tmp_path):
    """Without a step on that of the last row; files under the names that the row gives."""
    logger = TrackLogger(tmp_path, code=False)
    logger.log_metrics({"loss": 1.0}, 5)
    logger.log_image("i", [torch.zeros(3, 4, 5)], caption=["c"])
    logger.log_text("t", ["text"], [["hello"]])
    logger.log_table("b", ["a"], [[1]], step=6)
    logger.log_html("h", "<b>x</b>")
    logger.log_histogram("g", torch.arange(4), bins=2)
    logger.log_audio("a", [np.zeros(8)], sample_rate=[8])
    logger.log_video("v", [np.zeros((2, 3, 4, 4), np.uint8)])
    logger.finalize("success")

    run = only_run(store)
    first, second = store.history.rows(run.id)
    assert (first["_step"], first["loss"]) == (5, 1.0) and {"i", "t"} <= first.keys()
    assert second["_step"] == 6 and {"b", "h", "g", "a", "v"} <= second.keys()
    files = files_of(store, run)
    paths = [first["i"]["filenames"][0], first["t"]["path"], second["b"]["path"], second["h"]["path"]]
    paths += [second["a"]["audio"][0]["path"], second["v"]["videos"][0]["path"]]
    assert set(paths) == set(files)
    assert second["g"] == {"_type": "histogram", "values": [2, 2], "bins": [0.0, 1.5, 3.0]}


def test_the_latest_checkpoint_is_noted_where_none_is_the_best(store, tmp_path):
    """What watches no metric has no score and no better end."""
    checkpoint = ModelCheckpoint(save_last=True)
    logger = TrackLogger(tmp_path, code=False)
    trainer = Trainer(**{**QUIET, "logger": logger, "enable_checkpointing": True}, max_epochs=1, callbacks=[checkpoint])
    trainer.fit(TinyModule(lr=1e-3), batches(4))

    noted = only_run(store).summary["checkpoints"]
    assert noted == {"latest": {"path": checkpoint.best_model_path, "last": checkpoint.last_model_path}}
    assert Path(noted["latest"]["path"]).exists()


@pytest.mark.parametrize("log_model", [False, True, "all"])
def test_checkpoints_are_noted_or_kept(store, tmp_path, log_model):
    """By default only where they are; True keeps those that are left, "all" also those that made way."""
    logger = TrackLogger(tmp_path, log_model=log_model, code=False)
    checkpoint = ModelCheckpoint(monitor="val_loss", save_top_k=1, filename="{step}")
    trainer = Trainer(**{**QUIET, "logger": logger, "enable_checkpointing": True}, max_epochs=3, callbacks=[checkpoint])
    trainer.fit(TinyModule(lr=1e-3), batches(4), batches(2))

    run = only_run(store)
    assert run.summary["checkpoints"] == {
        "val_loss": {
            "best": checkpoint.best_model_path,
            "score": checkpoint.best_model_score.item(),
            "mode": "min",
        }
    }
    kept = {name: path for name, path in files_of(store, run).items() if name.startswith("checkpoints/")}
    names = {False: [], True: ["step=12"], "all": ["step=12", "step=4", "step=8"]}[log_model]
    assert sorted(kept) == [f"checkpoints/{name}.ckpt" for name in names]
    if log_model:
        assert kept["checkpoints/step=12.ckpt"].read_bytes() == Path(checkpoint.best_model_path).read_bytes()
    assert {path.name for path in Path(logger.log_dir).iterdir()} == {"checkpoints"}


def test_a_wrong_log_model():
    with pytest.raises(MisconfigurationException, match="log_model='best'"):
        TrackLogger(".", log_model="best")


def test_a_wrong_interval():
    """Not in a thread later, where nobody hears it."""
    with pytest.raises(MisconfigurationException, match=r"system='no'\): True or False or a number was expected"):
        TrackLogger(".", system="no")


def test_one_tag_may_be_a_text(store):
    """As with W&B: a text is one tag, not one for each of its letters."""
    logger = TrackLogger(tags="baseline")
    logger.log_metrics({"loss": 1.0})
    logger.finalize("success")

    assert only_run(store).tags == ["baseline"]


def test_one_caption_is_no_list():
    """Its letters would be spread over the pictures."""
    with pytest.raises(TypeError, match="Expected a list in caption, one entry per image, but got 'ab'"):
        TrackLogger(".").log_image("seen", [torch.zeros(3, 4, 4)] * 2, caption="ab")
    with pytest.raises(TypeError, match="Expected a list in sample_rate, one entry per sound, but got 100"):
        TrackLogger(".").log_audio("heard", [np.zeros(8)], sample_rate=100)


def test_addresses_are_refused():
    """As by CSVLogger, with the logger's own name."""
    with pytest.raises(MisconfigurationException, match="TrackLogger writes to local folders only"):
        TrackLogger("s3://bucket/logs")


def test_without_a_store_there_is_a_table(tmp_path, monkeypatch, caplog):
    """A home that can't be written to must not cost the metrics: CSVLogger, and one line that says why."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FULGURITE_DIR", str(tmp_path / "file" / "store"))

    trainer = Trainer(**DEFAULT, max_epochs=1, log_every_n_steps=1)
    trainer.fit(TinyModule(), batches(2))

    assert type(trainer.logger) is CSVLogger and Path(trainer.log_dir, "metrics.csv").exists()
    (line,) = [record.message for record in caplog.records if "run store" in record.message]
    assert "is no folder" in line and "metrics.csv" in line and "FULGURITE_DIR" in line


def test_a_store_that_breaks_later_ends_no_training(store, tmp_path, caplog, monkeypatch):
    """It seemed usable and is not: the training ends well, and its rows are in the run's folder."""
    (store.folder / "fulgurite.db").write_bytes(b"no database" * 1000)
    for beside in ("-wal", "-shm"):
        (store.folder / f"fulgurite.db{beside}").unlink(missing_ok=True)
    trainer = Trainer(**DEFAULT, max_epochs=1, log_every_n_steps=1)
    trainer.fit(TinyModule(), batches(2))

    assert trainer.state.status == "finished"
    (rescued,) = Path(trainer.log_dir).glob("fulgurite-rescue-*.jsonl")
    assert '"loss"' in rescued.read_text()
    assert rescued.name in caplog.text


def test_a_copy_is_the_same_run(store, tmp_path):
    """A launcher pickles the logger: the copy has the id and the folder, and no row twice."""
    logger = TrackLogger(tmp_path, code=False)
    logger.log_metrics({"loss": 1.0}, 0)
    copy = pickle.loads(pickle.dumps(logger))
    copy.log_metrics({"loss": 2.0}, 1)
    copy.finalize("success")
    logger.finalize("success")

    assert copy.run_id == logger.run_id and copy.log_dir == logger.log_dir
    assert store.history.read(only_run(store).id, "loss").values() == [1.0, 2.0]


def test_other_ranks_write_nothing(tmp_path, store, monkeypatch):
    """Rank zero speaks for all."""
    from fulgurite.base.rank import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger = TrackLogger(tmp_path)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.log_hyperparams({"lr": 1})
    logger.experiment.log({"x": 1})
    logger.finalize("success")

    assert store.runs.projects() == [] and list(tmp_path.iterdir()) == []


SCRIPT = """
import os, signal, sys
import torch
from torch.utils.data import DataLoader
from fulgurite import Callback, Trainer
from fulgurite.testing import QUIET, TinyModule

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 64
    def __getitem__(self, index):
        return torch.full((4,), float(index))

class Ends(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == 2 and sys.argv[1] in ("SIGKILL", "SIGINT"):
            trainer.logger.experiment.flush()
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))

if __name__ == "__main__":
    loader = DataLoader(Rows(), batch_size=8, num_workers=2, multiprocessing_context=sys.argv[2])
    trainer = Trainer(**{**QUIET, "logger": None}, max_epochs=2, log_every_n_steps=1, callbacks=[Ends()])
    trainer.fit(TinyModule(lr=1e-5), loader)
"""


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize(
    ("ending", "method", "rows", "state"),
    [
        ("normal", "fork", 16, "finished"),
        ("normal", "spawn", 16, "finished"),
        ("SIGINT", "fork", 10, "killed"),
        ("SIGKILL", "fork", 10, "running"),
    ],
)
def test_a_script_with_workers(store, tmp_path, ending, method, rows, state):
    """However its workers start and however it ends, the rows are there once. Killed, it is running until it is silent
    for five minutes."""
    (tmp_path / "train.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "train.py", ending, method], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == {"normal": 0, "SIGKILL": -signal.SIGKILL}.get(ending, done.returncode), done.stderr
    run = only_run(store)
    assert run.recorded_state == state
    steps = store.history.read(run.id, "loss").steps.tolist()
    assert steps == list(range(len(steps))) and len(steps) >= rows
    assert store.history.keys(run.id)["loss"]["count"] == len(steps)
    if state == "running":
        store.runs.update(run, seen_at=run.seen_at - 301)
        assert only_run(store).state == "crashed"


def test_a_disk_without_room_for_a_copy_stops_no_training(store, monkeypatch):
    """The checkpoint is then read where it lies, and stays there."""

    def no_room(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", no_room)
    monkeypatch.setattr(shutil, "copyfile", no_room)
    logger = TrackLogger(".", log_model=True)
    trainer = Trainer(**{**QUIET, "logger": logger, "enable_checkpointing": True}, max_epochs=1)

    with pytest.warns(UserWarning, match="no copy can be made"):
        trainer.fit(TinyModule(), batches(2))

    path = Path(trainer.checkpoint_callback.best_model_path)
    kept = store.blobs.file(only_run(store).id, f"checkpoints/{path.name}")
    assert kept.blob.size == path.stat().st_size


class AskedToStop(Callback):
    """Somebody asks the run to stop after three batches, as `fulgurite ui` does; every batch takes a moment."""

    def __init__(self, store):
        self.store, self.validated = store, 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        time.sleep(0.01)
        if trainer.global_step == 3:
            trainer.logger.experiment.flush()
            self.store.runs.update(only_run(self.store), stop_asked=1)

    def on_validation_end(self, trainer, pl_module):
        self.validated += not trainer.sanity_checking


@pytest.mark.parametrize("interval", [1, 10_000], ids=["while it logs", "while it logs nothing"])
def test_a_training_ends_when_it_is_asked_to(store, interval):
    """In good order: the batch is finished, validation and the end's hooks run, and the run counts as finished."""
    asked = AskedToStop(store)
    trainer = Trainer(**DEFAULT, max_epochs=1, log_every_n_steps=interval, callbacks=[asked])
    trainer.fit(TinyModule(), batches(4000), batches(2))

    run = only_run(store)
    assert 3 < trainer.global_step < 2000
    assert asked.validated == 1 and trainer.should_stop
    assert (run.state, run.stop_asked) == ("finished", False)


def test_a_request_to_stop_holds_for_the_run_that_heard_it(store):
    """The next fit of the trainer, and a later process that continues the run, train to their end."""
    trainer = Trainer(**{**DEFAULT, "logger": TrackLogger(".", id="again")}, max_epochs=1, callbacks=[])
    trainer.fit(TinyModule(), batches(2))
    store.runs.update(only_run(store), stop_asked=1)

    later = Trainer(**{**DEFAULT, "logger": TrackLogger(".", id="again")}, max_epochs=1, callbacks=[Slow()])
    later.fit(TinyModule(), batches(6))

    assert later.global_step == 6 and not later.should_stop


class Slow(Callback):
    """A second of training, so that a request would be heard."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        time.sleep(0.2)
