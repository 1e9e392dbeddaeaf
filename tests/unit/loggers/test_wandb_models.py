"""Checkpoints that WandbLogger stores: what holds them until they are sent, and that they are sent, come what may."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import fulgurite.loggers.wandb_models as models
from fulgurite.base.errors import SIGTERMException
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import WandbLogger
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer
from support.wandb_file import recorded_runs
from support.wandb_stub import stop, wandb_stub

wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("no_run_stays_open", "the_client_stops_at_the_end")

SIZE = 300_000


class Large(TinyModule):
    """Its checkpoints are large enough to be found by size, and differ from epoch to epoch."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.rand(SIZE // 4))

    def loss(self, batch):
        return super().loss(batch) + self.weights.square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", torch.tensor(1.0 / (1 + self.current_epoch)))


@pytest.fixture
def own_stores(monkeypatch, tmp_path):
    """The client's staging folder and cache, for this test alone."""
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def trainer_with(logger, epochs=3, callbacks=None):
    keep = ModelCheckpoint("kept", monitor="val_loss", save_top_k=1)
    options = {**QUIET, "enable_checkpointing": True, "num_sanity_val_steps": 0, "log_every_n_steps": 1}
    return Trainer(max_epochs=epochs, callbacks=callbacks or [keep], **{**options, "logger": logger})


def large_files(folder="."):
    """The files with a checkpoint's content, each content once: a second name for it takes no room."""
    found = (path.stat() for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())
    return {each.st_ino for each in found if each.st_size > SIZE}


def digest(path):
    return hashlib.md5(Path(path).read_bytes()).hexdigest()


def waiting():
    """The models that wait in the folders of runs."""
    return sorted(Path().glob(f"wandb/*run-*/{models.FOLDER}/*/model.ckpt"))


def test_offline_models_are_held_without_a_copy(own_stores):
    """Three saves of which one is kept: three contents on the disk, none twice, and each in the run's own folder."""
    logger = WandbLogger(offline=True, log_model="all")
    trainer_with(logger).fit(Large(), batches(2), batches(1))
    wandb.finish()

    (run,) = recorded_runs(Path())
    held = [Path(entry.local_path) for model in run.artifacts for entry in model.manifest.contents]
    assert [path.parents[2] for path in held] == [run.folder.resolve()] * 3
    assert len(large_files()) == len({path.stat().st_ino for path in held}) == 3
    (kept,) = Path("kept").iterdir()
    assert os.path.samefile(kept, held[-1])


def test_a_held_model_outlives_its_checkpoint(tmp_path):
    """Deleted or written anew under the same name, what was stored stays as it was."""
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"first")
    place = Path(models.kept(str(path), str(tmp_path)))
    (tmp_path / "new").write_bytes(b"second")
    os.replace(tmp_path / "new", path)
    assert place.read_bytes() == b"first"
    path.unlink()
    assert place.read_bytes() == b"first"
    models.forget(str(place))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_in_several_files_is_held_whole(tmp_path):
    """A folder is held file by file; a link such as `last.ckpt` stands for what it points to."""
    (tmp_path / "sharded.ckpt" / "part").mkdir(parents=True)
    (tmp_path / "sharded.ckpt" / "part" / "0.bin").write_bytes(b"shard")
    (tmp_path / "last.ckpt").symlink_to("sharded.ckpt")
    place = Path(models.kept(str(tmp_path / "last.ckpt"), str(tmp_path / "run")))
    assert os.path.samefile(place / "part" / "0.bin", tmp_path / "sharded.ckpt" / "part" / "0.bin")


def test_where_links_cannot_be_made_it_is_a_copy(tmp_path, monkeypatch):
    """Across file systems, or on one without hard links."""

    def refused(*args, **kwargs):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"content")
    place = Path(models.kept(str(path), str(tmp_path / "run")))
    assert place.read_bytes() == b"content" and not os.path.samefile(place, path)


def test_sync_sends_what_an_offline_run_holds(server, own_stores):
    """`wandb sync` sends every version, also those whose checkpoint the trainer has deleted."""
    logger = WandbLogger(offline=True, log_model="all", project="p")
    trainer_with(logger, epochs=2).fit(Large(), batches(2), batches(1))
    wandb.finish()
    expected = {digest(path) for path in waiting()}
    command = [str(Path(sys.executable).with_name("wandb")), "sync", *map(str, Path().glob("wandb/offline-run-*"))]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert expected <= server.blobs.keys() and len(expected) == 2
    assert [each["committed"] for each in server.artifacts] == [True, True]


def test_online_the_link_goes_when_the_model_has_arrived(server, own_stores):
    """Never before: while the line is slow all links stay. Then one content is left, the checkpoint's own."""
    server.files_flow.clear()
    logger = WandbLogger(log_model="all", project="p")
    trainer_with(logger).fit(Large(), batches(2), batches(1))
    held = waiting()
    contents = {digest(path) for path in held}
    assert len(held) == 3
    server.files_flow.set()
    wandb.finish()

    assert contents <= server.blobs.keys()
    assert [sorted(each["aliases"]) for each in server.artifacts] == [["best", "latest"]] * 3
    assert all(each["committed"] for each in server.artifacts)
    assert waiting() == [] and not list(Path().glob(f"wandb/*/{models.FOLDER}"))
    assert len(large_files()) == 1


@pytest.mark.parametrize("policy", ["mutable", "immutable"])
def test_an_explicit_policy_is_left_to_the_client(server, own_stores, policy):
    """No link of ours; the client stages and caches as it always does."""
    logger = WandbLogger(log_model="all", project="p", add_file_policy=policy)
    trainer_with(logger, epochs=1).fit(Large(), batches(2), batches(1))
    assert waiting() == []
    wandb.finish()
    assert len(server.blobs) == 1
    assert len(large_files("wandb_cache_dir")) == 1


def interrupt(signum):
    def now(*args):
        os.kill(os.getpid(), signum)
        time.sleep(0.01)  # the handler runs before the next line of Python

    return now


def broken(*args):
    raise RuntimeError("out of luck")


class InTheThirdEpoch(Large):
    def __init__(self, what):
        super().__init__()
        self.what = what

    def on_train_epoch_start(self):
        if self.current_epoch == 2:
            self.what()


ENDS = {
    "Ctrl-C": (interrupt(signal.SIGINT), KeyboardInterrupt),
    "SIGTERM": (interrupt(signal.SIGTERM), SIGTERMException),
    "exception": (broken, RuntimeError),
}


@pytest.mark.parametrize("log_model", [True, "all"])
@pytest.mark.parametrize("end", ENDS)
def test_an_interrupted_fit_stores_its_models(server, end, log_model):
    """What was written before Ctrl-C, SIGTERM or an exception is on the server when the run has ended.

    The file that the first two leave to go on from is no model to keep.
    """
    happens, raised = ENDS[end]
    logger = WandbLogger(log_model=log_model, project="p")
    trainer = trainer_with(logger, epochs=5)
    with pytest.raises(raised):
        trainer.fit(InTheThirdEpoch(happens), batches(2), batches(1))
    wandb.finish()
    left = raised is not RuntimeError
    assert [each["committed"] for each in server.artifacts] == [True] * (2 if log_model == "all" else 1)
    kept = list(Path("kept").iterdir())
    assert len(kept) == 1 + left
    assert sum(digest(file) in server.blobs for file in kept) == 1
    assert waiting() == []


def test_every_checkpoint_callback_is_stored_at_the_end():
    """With `log_model=True` and two callbacks, the best of both."""
    ways = {"one": "min", "two": "max"}
    callbacks = [ModelCheckpoint(name, monitor="val_loss", mode=mode, filename=name) for name, mode in ways.items()]
    trainer_with(WandbLogger(offline=True, log_model=True), 1, callbacks).fit(Large(), batches(2), batches(1))
    wandb.finish()
    (run,) = recorded_runs(Path())
    assert len(run.artifacts) == 2
    assert {name for name in ways for each in run.artifacts if f"{name}.ckpt" in each.metadata} == {
        "one",
        "two",
    }


def test_a_server_that_goes_down_stops_no_save(server, own_stores):
    """Saves go on without a wait, `finish` says which models are missing, and the line it gives sends one."""
    logger = WandbLogger(log_model="all", project="p", settings=wandb.Settings(finish_timeout=2))
    logger.log_metrics({"a": 1.0})
    stop(server)
    began = time.monotonic()
    trainer_with(logger, epochs=2).fit(Large(), batches(2), batches(1))
    assert time.monotonic() - began < 10
    held = waiting()
    with pytest.warns(UserWarning, match="may not have reached the W&B server") as said:
        wandb.finish()

    assert waiting() == held and len(held) == 2
    lines = [str(each.message) for each in said if "may not have reached" in str(each.message)]
    assert [str(path.resolve()) in line for path, line in zip(held, sorted(lines), strict=True)] == [True, True]
    with wandb_stub(server.server_address[1]) as back:
        (command,) = [part for part in lines[0].split("`") if part.startswith("wandb artifact put")]
        arguments = [str(Path(sys.executable).with_name("wandb")), *command.split()[1:]]
        subprocess.run(arguments, capture_output=True, timeout=60, check=True)
        assert {digest(path) for path in held} & back.blobs.keys()


def test_a_slow_line_has_the_time_it_needs(server, monkeypatch):
    """The bound of the end does not cut a model off while the server answers."""
    monkeypatch.setattr("fulgurite.loggers.wandb_client.FINISH_TIMEOUT", 1.0)
    logger = WandbLogger(log_model="all", project="p")
    server.files_flow.clear()
    trainer_with(logger, epochs=1).fit(Large(), batches(2), batches(1))
    import threading

    threading.Timer(4.0, server.files_flow.set).start()
    wandb.finish()
    assert [each["committed"] for each in server.artifacts] == [True]


def test_a_server_that_falls_silent_is_not_waited_for(server, monkeypatch):
    """Uploads that hang on a server that answers no more end after a while, links and all still there."""
    monkeypatch.setattr("fulgurite.loggers.wandb_client.FINISH_TIMEOUT", 1.0)
    monkeypatch.setattr(models, "SILENCE", 2.0)
    logger = WandbLogger(log_model="all", project="p")
    server.files_flow.clear()
    trainer_with(logger, epochs=1).fit(Large(), batches(2), batches(1))
    stop(server)
    began = time.monotonic()
    with pytest.warns(UserWarning, match="may not have reached"):
        wandb.finish()
    assert time.monotonic() - began < 20
    assert len(waiting()) == 1
    server.files_flow.set()
