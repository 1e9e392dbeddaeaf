"""Several loggers in one Trainer: each gets everything, and one that fails takes nothing from the others."""

import csv
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

import fulgurite
from fulgurite.callbacks import LogPredictions
from fulgurite.core.logger import DummyLogger
from fulgurite.loggers import CSVLogger, TensorBoardLogger, TrackLogger, WandbLogger
from fulgurite.testing import QUIET
from fulgurite.track.store.store import Store
from fulgurite.trainer import Trainer
from support.tfevents import values_in
from support.wandb_file import recorded_runs

pytest.importorskip("tensorboard")
wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("no_run_stays_open", "the_client_stops_at_the_end")
STEPS = list(range(6))


class Pictures(fulgurite.LightningModule):
    """Tells small pictures apart."""

    def __init__(self, rate=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))

    def training_step(self, batch, batch_idx):
        loss = torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        scores = self.net(batch[0])
        self.log("val_loss", torch.nn.functional.cross_entropy(scores, batch[1]))
        return scores

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Failing(DummyLogger):
    """Raises at the row of a step, or when it is finished."""

    def __init__(self, step=None, at_the_end=False):
        super().__init__()
        self.step, self.at_the_end = step, at_the_end

    def log_metrics(self, metrics, step=None):
        if step == self.step:
            raise ConnectionError("the logger's own error")

    def finalize(self, status):
        if self.at_the_end:
            raise ConnectionError("the logger's own error")


def four(folder):
    return [
        CSVLogger(folder / "csv"),
        TensorBoardLogger(folder / "tb"),
        TrackLogger(folder / "track", store=folder / "store", console=False, system=False, code=False),
        WandbLogger(save_dir=folder / "wandb", offline=True),
    ]


def fit(loggers, *callbacks):
    data = [(x, index % 2) for index, x in enumerate(torch.rand(6, 3, 2, 2))]
    trainer = Trainer(**{**QUIET, "logger": loggers, "callbacks": list(callbacks)}, max_epochs=2, log_every_n_steps=1)
    trainer.fit(Pictures(), DataLoader(data, batch_size=2), DataLoader(data, batch_size=2))


def losses(folder):
    """The losses by step, as each of the four has kept them; and the run of the store."""
    wandb.finish()
    (table,) = (folder / "csv").rglob("metrics.csv")
    with open(table, newline="") as lines:
        in_csv = {int(row["step"]): float(row["loss"]) for row in csv.DictReader(lines) if row["loss"]}
    (events,) = {path.parent for path in (folder / "tb").rglob("*tfevents*")}
    in_tensorboard = {each.step: each.value for each in values_in(events) if each.tag == "loss"}
    store = Store(folder / "store")
    (run,) = [run for project in store.runs.projects() for run in store.runs.all(project)]
    series = store.history.read(run.id, "loss")
    in_store = dict(zip(series.steps.tolist(), series.values(), strict=True))
    store.close()
    (recorded,) = recorded_runs(folder / "wandb")
    in_wandb = {row["trainer/global_step"]: row["loss"] for row in recorded.rows if "loss" in row}
    return [in_csv, in_tensorboard, in_store, in_wandb], run, recorded


def test_all_get_the_same(tmp_path):
    """Rows, hyperparameters and pictures: the same values at the same steps in four places."""
    loggers = four(tmp_path)
    fit(loggers, LogPredictions(num_samples=2))
    kept, run, recorded = losses(tmp_path)

    assert [list(each) for each in kept] == [STEPS] * 4
    for step in STEPS:
        assert [each[step] for each in kept] == pytest.approx([kept[0][step]] * 4, rel=1e-6)
    assert (run.config["rate"], recorded.config["rate"]) == (0.1, 0.1)
    (events,) = {path.parent for path in (tmp_path / "tb").rglob("*tfevents*")}
    pictures = [(each.tag, each.step) for each in values_in(events) if each.plugin == "images"]
    assert pictures == [(f"predictions/{number}", step) for step in (2, 5) for number in range(2)]
    assert run.summary["predictions"]["count"] == 2
    assert [row["trainer/global_step"] for row in recorded.rows if "predictions" in row] == [2, 5]


@pytest.mark.parametrize("place", range(5))
def test_one_that_raises_at_a_row(tmp_path, place):
    """Its error ends the run, wherever it stands; the others have what came before it, and know that the run failed."""
    loggers = four(tmp_path)
    loggers.insert(place, Failing(step=4))
    with pytest.raises(ConnectionError, match="the logger's own error") as raised:
        fit(loggers)

    kept, run, _ = losses(tmp_path)
    before = {4} if place else set()
    assert all(set(range(4)) <= set(each) <= set(range(4)) | before for each in kept)
    assert run.state == "failed"
    assert not any("went wrong" in note for note in getattr(raised.value, "__notes__", []))


@pytest.mark.parametrize("place", [0, 4])
def test_one_that_raises_at_the_end(tmp_path, place):
    """The error is seen, and all the others have closed their files with every row in them."""
    loggers = four(tmp_path)
    loggers.insert(place, Failing(at_the_end=True))
    with pytest.raises(ConnectionError, match="the logger's own error"):
        fit(loggers)

    kept, _, _ = losses(tmp_path)
    assert [list(each) for each in kept] == [STEPS] * 4


def test_a_failing_run_with_a_failing_logger(tmp_path):
    """The run's own error is the one that is raised; the logger's is a note on it."""

    class Broken(fulgurite.Callback):
        def on_train_end(self, trainer, pl_module):
            raise ZeroDivisionError("the user's own error")

    loggers = [Failing(at_the_end=True), *four(tmp_path)]
    with pytest.raises(ZeroDivisionError, match="the user's own error") as raised:
        fit(loggers, Broken())

    kept, run, _ = losses(tmp_path)
    assert [list(each) for each in kept] == [STEPS] * 4 and run.state == "failed"
    assert any("the logger's own error" in note for note in raised.value.__notes__)
    assert not Path("lightning_logs").exists()
