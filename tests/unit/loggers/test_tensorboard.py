"""TensorBoardLogger over the real writer: what TensorBoard's own loader reads back."""

import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fulgurite
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import TensorBoardLogger
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.track.store.store import Store
from fulgurite.track.transfer import from_tensorboard
from fulgurite.trainer import Trainer
from support.tfevents import rows_in, values_in

pytest.importorskip("tensorboard")

LOGGED = {name: value for name, value in QUIET.items() if name not in ("logger", "enable_checkpointing")}
LOGGED["log_every_n_steps"] = 1


class Dropping(fulgurite.LightningModule):
    """Has all that a drawing could disturb: dropout, running statistics, and a log call in ``forward``."""

    def __init__(self, width=4):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.BatchNorm1d(width), torch.nn.Dropout())
        self.example_input_array = torch.ones(2, 4)

    def forward(self, batch):
        return self.net(batch)

    def training_step(self, batch, batch_idx):
        loss = self(batch).square().mean()
        self.log("loss", loss)
        return loss

    def test_step(self, batch, batch_idx):
        self.log("score", 0.5)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(number=4):
    return torch.utils.data.DataLoader(torch.ones(number * 2, 4), batch_size=2)


def finished(logger):
    logger.finalize("success")
    return values_in(Path(logger.log_dir))


def test_a_row_is_one_event():
    """All values of a row stand in one event at its step; charts of several values have files of their own."""
    logger = TensorBoardLogger(".")
    logger.log_metrics({"a": torch.tensor(1.0), "b": 2, "c": True}, step=5)
    logger.log_metrics({"a": 3.0})
    logger.log_metrics({"both": {"x": 1.0, "y": 2.0}}, step=9)
    logger.finalize("success")

    assert rows_in(Path(logger.log_dir)) == [(5, {"a": 1.0, "b": 2.0, "c": 1.0}), (6, {"a": 3.0})]
    assert rows_in(Path(logger.log_dir, "both_x")) == [(9, {"both": 1.0})]


def test_what_is_no_number_is_named():
    """The error says which value of which name, and what to call instead."""
    with pytest.raises(ValueError, match="note='high'.*log_text"):
        TensorBoardLogger(".").log_metrics({"note": "high"}, 1)
    with pytest.raises(ValueError, match="vector="):
        TensorBoardLogger(".").log_metrics({"vector": torch.ones(2)}, 1)


def test_a_whole_run_and_its_folder(tmp_path):
    """Fit and test: rows of both, the checkpoint beside ``sub_dir``, and the placeholder once."""
    logger = TensorBoardLogger(tmp_path, name="exp", sub_dir="deep")
    trainer = Trainer(logger=logger, max_epochs=2, callbacks=[ModelCheckpoint()], **LOGGED)
    trainer.fit(Dropping(), loader())
    trainer.test(dataloaders=loader(), verbose=False)

    values = values_in(tmp_path / "exp" / "version_0" / "deep")
    assert [each.step for each in values if each.tag == "loss"] == list(range(8))
    assert [each.value for each in values if each.tag == "score"] == [0.5]
    assert [each.value for each in values if each.tag == "hp_metric"] == [-1.0]
    assert len(list((tmp_path / "exp" / "version_0" / "checkpoints").glob("*.ckpt"))) == 1
    assert (tmp_path / "exp" / "version_0" / "deep" / "hparams.yaml").read_text() == "width: 4\n"


def test_hyperparameters_come_with_metrics():
    """A dict of metrics, a number as ``hp_metric``, or nothing; values that TensorBoard does not know become text."""
    for given, listed in (({"f1": 0.5}, ["f1"]), (0.25, ["hp_metric"]), (None, [])):
        logger = TensorBoardLogger(".", default_hp_metric=False)
        logger.log_hyperparams({"lr": 0.1, "sizes": [1, 2], "act": None}, metrics=given, step=2)
        values = finished(logger)

        assert [each.tag for each in values if each.plugin == "scalars"] == listed
        (began,) = [each.value for each in values if each.tag == "_hparams_/session_start_info"] or [None]
        assert began == ({"act": "None", "lr": 0.1, "sizes": "[1, 2]"} if listed else None)


def test_the_graph_is_drawn_once_and_disturbs_nothing():
    """Modes, running statistics and random numbers are the same with a drawing as without."""
    weights = []
    for drawn in (False, True):
        torch.manual_seed(3)
        model, logger = Dropping(), TensorBoardLogger(".", log_graph=drawn)
        trainer = Trainer(logger=logger, max_epochs=1, **LOGGED)
        trainer.fit(model, loader())
        trainer.test(model, loader(), verbose=False)
        weights.append(torch.cat([each.flatten().float() for each in model.state_dict().values()]))
        assert sum(each.plugin == "graphs" for each in values_in(Path(logger.log_dir))) == int(drawn)

    assert torch.equal(*weights)


def test_without_an_example_there_is_no_graph():
    """The warning says what the model lacks."""
    with pytest.warns(UserWarning, match="example_input_array"):
        TensorBoardLogger(".", log_graph=True).log_graph(TinyModule())


def test_pictures_and_captions():
    """One picture has the key's name, several are numbered; captions are a text of that name."""
    logger = TensorBoardLogger(".", prefix="p")
    kinds = [torch.rand(3, 4, 5), torch.rand(4, 5), np.zeros((4, 5, 3), np.uint8), Image.new("P", (5, 4))]
    logger.log_image("several", kinds, step=7, caption=["a", "b|c", "d", "e"])
    logger.log_metrics({"loss": 1.0}, 8)
    logger.log_image("one", kinds[:1])
    values = finished(logger)

    pictures = [(each.tag, each.step) for each in values if each.plugin == "images"]
    assert pictures == [*((f"p-several/{number}", 7) for number in range(4)), ("p-one", 8)]
    (text,) = [each for each in values if each.plugin == "text"]
    assert text.tag == "p-several/text_summary" and "| 1 | b\\|c |" in text.value


def test_mistakes_with_pictures_are_named():
    """Lists of unequal length, and arguments that only W&B knows."""
    logger = TensorBoardLogger(".")
    with pytest.raises(ValueError, match="Expected 1 items in caption"):
        logger.log_image("k", [torch.rand(3, 4, 4)], caption=["a", "b"])
    with pytest.raises(TypeError, match="masks= is not known"):
        logger.log_image("k", [torch.rand(3, 4, 4)], masks=[None])


def test_tables_are_text():
    """A Markdown table; pictures by their size; one column alone as paragraphs."""
    logger = TensorBoardLogger(".")
    logger.log_table("t", ["x", "y"], [[torch.rand(3, 4, 5), "a\nb"], [1, 2.5]], step=3)
    logger.log_text("note", ["text"], [["hello"]], step=4)
    table, note = (each for each in finished(logger) if each.plugin == "text")

    assert table.value == "| x | y |\n| --- | --- |\n| picture, 5 x 4 | a<br>b |\n| 1 | 2.5 |"
    assert (table.step, note.step, note.value) == (3, 4, "hello")


def log_one(logger, step):
    logger.log_metrics({"loss": float(step)}, step)
    logger.finalize("success")


def test_a_copy_in_another_process_writes_beside():
    """Spawned ranks get a copy: its rows are in the same folder."""
    logger = TensorBoardLogger(".")
    logger.log_metrics({"loss": 0.0}, 0)
    process = multiprocessing.get_context("spawn").Process(target=log_one, args=(logger, 1))
    process.start()
    process.join(60)
    log_one(logger, 2)

    assert sorted(rows_in(Path(logger.log_dir))) == [(step, {"loss": float(step)}) for step in range(3)]


def test_arguments_reach_the_writer():
    """``filename_suffix`` and the like are the writer's; a remote folder is refused."""
    logger = TensorBoardLogger(".", filename_suffix=".mine")
    logger.log_metrics({"a": 1.0}, 0)
    logger.finalize("failed")
    assert list(Path(logger.log_dir).glob("*.mine"))
    with pytest.raises(MisconfigurationException, match="s3://bucket"):
        TensorBoardLogger("s3://bucket")


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    """Raised where the logger is made, not when the first row comes."""
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"fulgurite\[tensorboard\]"):
        TensorBoardLogger(".")


def test_the_store_takes_the_run_in(tmp_path):
    """`fulgurite import` keeps rows, hyperparameters, pictures and texts of a logger's folder."""
    logger = TensorBoardLogger(tmp_path / "logs")
    trainer = Trainer(logger=logger, max_epochs=1, **LOGGED)
    trainer.fit(Dropping(), loader())
    logger.log_image("seen", [torch.rand(3, 4, 5)], step=3)
    logger.log_table("t", ["x"], [["hello"]], step=3)
    logger.finalize("success")

    store = Store(tmp_path / "store")
    (folder,) = from_tensorboard.find(tmp_path / "logs")
    run = from_tensorboard.take(store, folder, "imported")
    rows = store.history.rows(run.id)
    store.close()

    assert [row["loss"] for row in rows if "loss" in row].__len__() == 4
    assert run.config["width"] == 4
    assert run.summary["seen"]["_type"] == "image-file" and run.summary["t"] == "hello"


def test_rows_reach_the_disk_at_the_epochs_end(tmp_path):
    """A killed process loses at most what came since: the file is read while the run goes on."""
    seen = []

    class Reads(fulgurite.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            seen.append(len(rows_in(Path(trainer.logger.log_dir))))

    trainer = Trainer(logger=TensorBoardLogger(tmp_path), max_epochs=3, callbacks=[Reads()], **LOGGED)
    trainer.fit(TinyModule(), batches(2))

    assert seen[0] <= 1 and seen[1] >= 2 and seen[2] > seen[1]


def test_a_run_that_goes_on_in_its_folder_has_each_row_once(tmp_path):
    """As TensorBoard shows it: what came after the checkpoint and comes again is forgotten."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def fit(path=None):
        logger = TensorBoardLogger(tmp_path, version=0)
        saving = ModelCheckpoint(tmp_path / "kept", save_top_k=-1, filename="{epoch}")
        Trainer(max_epochs=3, logger=logger, callbacks=[saving], **LOGGED).fit(Dropping(), loader(), ckpt_path=path)
        return Path(logger.log_dir)

    fit()
    folder = fit(tmp_path / "kept" / "epoch=0.ckpt")

    assert len(list(folder.glob("events*"))) == 2
    shown = accumulator.EventAccumulator(str(folder)).Reload()
    assert [event.step for event in shown.Scalars("loss")] == list(range(12))


def test_a_step_of_the_users_own_does_not_hide_other_rows(tmp_path):
    """Who logs the epoch as "step" goes on, too, without losing what was logged by steps."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    class ByEpoch(Dropping):
        def on_train_epoch_end(self):
            self.log("step", float(self.current_epoch))

    def fit(epochs, path=None):
        logger = TensorBoardLogger(tmp_path, version=0)
        trainer = Trainer(max_epochs=epochs, logger=logger, callbacks=[ModelCheckpoint(tmp_path / "kept")], **LOGGED)
        trainer.fit(ByEpoch(), loader(), ckpt_path=path)
        return Path(logger.log_dir)

    fit(2)
    shown = accumulator.EventAccumulator(str(fit(3, "last"))).Reload()
    assert [event.step for event in shown.Scalars("loss")] == list(range(12))
