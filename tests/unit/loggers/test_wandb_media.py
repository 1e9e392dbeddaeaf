"""WandbLogger's sounds, videos, artifacts and axes: each reaches the run as the client takes it."""

import struct
import sys
import wave
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import WandbLogger
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer
from support.wandb_file import recorded_runs

wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("no_run_stays_open", "the_client_stops_at_the_end")

ONE_GREY_PIXEL = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x80\x80\x80\x00\x00\x00!\xf9\x04\x00\x00\x00\x00\x00,"
ONE_GREY_PIXEL += b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"


class Artifact:
    """An artifact that is downloaded to the folder that is asked for."""

    def __init__(self, name, type):
        self.name, self.type = name, type

    def download(self, root=None):
        return root or f"artifacts/{self.name}"


class Run:
    """The part of a client's run that the logger speaks to; keeps what it was told."""

    id = "fake"
    offline = False

    def __init__(self):
        self.used, self.axes, self.rows = [], [], []

    def use_artifact(self, name, type=None):
        self.used.append((name, type))
        return Artifact(name, type)

    def define_metric(self, name, **options):
        self.axes.append((name, options))

    def log(self, row):
        self.rows.append(row)


def only_run():
    wandb.finish()
    (run,) = recorded_runs(Path())
    return run


def sound(path):
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", None))
        file.writeframes(struct.pack("<4h", 0, 1000, 0, -1000))
    return path


def test_sounds_are_recorded_with_their_files(monkeypatch):
    """Paths to sounds are copied into the run, captions beside them, under the trainer's step."""
    # The client wants this package for every list of sounds, and uses it for arrays only.
    monkeypatch.setitem(sys.modules, "soundfile", ModuleType("soundfile"))
    logger = WandbLogger(offline=True)
    logger.log_audio("heard", [sound("one.wav"), sound("two.wav")], step=3, caption=["one", "two"])

    run = only_run()

    (heard,) = run.column("heard")
    assert (heard["_type"], heard["count"], heard["captions"]) == ("audio", 2, ["one", "two"])
    copies = [run.folder / "files" / each["path"] for each in heard["audio"]]
    assert [each.read_bytes() for each in copies] == [Path("one.wav").read_bytes()] * 2
    assert run.column("trainer/global_step") == [3]


def test_videos_are_recorded_with_their_files():
    """A path to a video is copied into the run as it is."""
    Path("one.gif").write_bytes(ONE_GREY_PIXEL)
    logger = WandbLogger(offline=True)
    logger.log_video("seen", ["one.gif"], step=5, caption=["grey"], format=["gif"])

    run = only_run()

    (seen,) = run.column("seen")
    assert (seen["_type"], seen["count"], seen["captions"]) == ("videos", 1, ["grey"])
    assert (run.folder / "files" / seen["videos"][0]["path"]).read_bytes() == ONE_GREY_PIXEL


@pytest.mark.parametrize("verb", ["log_audio", "log_video"])
def test_sounds_and_videos_come_as_lists(verb):
    """One sound alone, or two for one caption, is refused before anything is written."""
    log = getattr(WandbLogger(experiment=Run()), verb)
    with pytest.raises(TypeError, match="Expected a list"):
        log("k", "one.wav")
    with pytest.raises(ValueError, match="Expected 2 items in caption"):
        log("k", ["one", "two"], caption=["one"])


def test_a_run_says_which_artifacts_it_uses():
    """`use_artifact` tells the run and gives back what the run gives."""
    run = Run()
    used = WandbLogger(experiment=run).use_artifact("me/p/data:v1", "dataset")
    assert run.used == [("me/p/data:v1", "dataset")]
    assert (used.name, used.type) == ("me/p/data:v1", "dataset")


def test_an_open_run_records_what_is_downloaded(monkeypatch, tmp_path):
    """`download_artifact` goes over the open run, unless it is told not to; then, or without a run, over the API."""
    run, asked = Run(), []

    class Api:
        def artifact(self, name, type=None):
            asked.append((name, type))
            return Artifact(name, type)

    monkeypatch.setattr(wandb, "Api", Api)
    monkeypatch.setattr(wandb, "run", run)
    assert WandbLogger.download_artifact("data:v1", tmp_path, "dataset") == str(tmp_path)
    assert (run.used, asked) == ([("data:v1", "dataset")], [])

    assert WandbLogger.download_artifact("data:v2", use_artifact=False) == "artifacts/data:v2"
    monkeypatch.setattr(wandb, "run", None)
    assert WandbLogger(experiment=run).download_artifact("data:v3", artifact_type="dataset") == "artifacts/data:v3"
    assert asked == [("data:v2", None), ("data:v3", "dataset")]
    assert len(run.used) == 1


def fitted(**options):
    """The artifacts of a fit that keeps one checkpoint, and what became of the file in the client's staging folder."""
    logger = WandbLogger(offline=True, log_model="all", **options)
    keeper = ModelCheckpoint("kept", monitor="val_loss")
    trainer = Trainer(**{**QUIET, "logger": logger, "enable_checkpointing": True}, max_epochs=2, callbacks=[keeper])
    trainer.fit(TinyModule(), batches(2), batches(2))
    return only_run().artifacts, keeper


def staged(artifact):
    (entry,) = artifact.manifest.contents
    return Path(entry.local_path)


def test_checkpoint_name_names_the_model():
    """`checkpoint_name` stands in the place of `model-<run id>`, for every version."""
    artifacts, _ = fitted(checkpoint_name="mine")
    assert [each.name for each in artifacts] == ["mine", "mine"]


@pytest.mark.parametrize("policy", ["mutable", "immutable"])
def test_the_policy_says_whether_a_copy_is_kept(policy):
    """ "immutable" sends the checkpoint itself, "mutable" a copy that outlives it."""
    artifacts, keeper = fitted(add_file_policy=policy)
    is_itself = staged(artifacts[-1]) == Path(keeper.best_model_path)
    assert is_itself == (policy == "immutable")


def test_an_unknown_policy_is_refused():
    """The error names what was given and what is allowed."""
    with pytest.raises(
        MisconfigurationException, match=r"add_file_policy='frozen'\): 'mutable' or 'immutable' or None was expected"
    ):
        WandbLogger(add_file_policy="frozen")


@pytest.mark.parametrize("sync", [True, False])
def test_the_axis_is_tensorboards_where_it_is_synced(monkeypatch, sync):
    """With `sync_tensorboard=True` the axis is TensorBoard's `global_step`, which rows then bring by themselves."""
    run = Run()
    monkeypatch.setattr("fulgurite.loggers.wandb._opened", weakref.WeakKeyDictionary())
    monkeypatch.setattr(wandb, "init", lambda **settings: asked.update(settings) or run)
    asked = {}
    logger = WandbLogger(offline=True, sync_tensorboard=sync)

    logger.log_metrics({"loss": torch.tensor(1.0)}, step=7)

    axis = "global_step" if sync else "trainer/global_step"
    assert asked["sync_tensorboard"] is sync
    assert run.axes == [(axis, {}), ("*", {"step_metric": axis, "step_sync": True})]
    assert run.rows == [{"loss": 1.0} if sync else {"loss": 1.0, "trainer/global_step": 7}]


def test_a_run_without_axes_can_be_used():
    """Clients whose runs define no metrics, and stand-ins, still log."""
    rows = []
    WandbLogger(experiment=SimpleNamespace(id="plain", log=rows.append)).log_metrics({"a": 1.0})
    assert rows == [{"a": 1.0}]
