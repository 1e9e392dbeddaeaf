"""A whole run under WandbLogger, offline: fit and test leave in the run's file what its page would show."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import WandbLogger
from fulgurite.testing import TinyModule, batches
from fulgurite.trainer import Trainer
from support.wandb_file import recorded_runs

wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("no_run_stays_open", "the_client_stops_at_the_end")

EPOCHS, STEPS = 2, 4


class Regression(TinyModule):
    """Keeps its hyperparameters, and shows images, a table and text when the training begins."""

    def __init__(self, lr=0.05, act="relu"):
        super().__init__(lr)
        self.save_hyperparameters()

    def on_train_start(self):
        images = [torch.rand(6, 6, 3).numpy(), np.zeros((6, 6, 3), dtype=np.uint8)]
        self.logger.log_image("samples", images, step=0, caption=["noise", "black"])
        self.logger.log_table("scores", columns=["x", "y"], data=[[1, 2.5], [3, 4.5]], step=0)
        self.logger.log_text("said", columns=["words"], data=[["hello"]], step=0)


def trained_and_tested(log_model):
    logger, model = WandbLogger(save_dir="runs", offline=True, log_model=log_model), Regression()
    logger.watch(model, log="all", log_freq=1)
    trainer = Trainer(
        max_epochs=EPOCHS,
        logger=logger,
        callbacks=[ModelCheckpoint("kept", monitor="val_loss", save_top_k=1, mode="min")],
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    trainer.fit(model, batches(STEPS), batches(2))
    trainer.test(model, batches(2), verbose=False)
    wandb.finish()
    (run,) = recorded_runs(Path("runs"))
    return trainer, run


@pytest.mark.parametrize("log_model", [True, "all"])
def test_fit_and_test_are_recorded_whole(log_model):
    """One run holds hyperparameters, losses by step, histograms, media with their files, and the model."""
    trainer, run = trained_and_tested(log_model)

    assert (run.config["lr"], run.config["act"]) == (0.05, "relu")
    assert losses_by_step(run, "loss") == list(range(EPOCHS * STEPS))
    assert losses_by_step(run, "val_loss") == [STEPS - 1, 2 * STEPS - 1]
    assert run.column("val_loss")[-1] == pytest.approx(trainer.checkpoint_callback.current_score.item())
    assert run.column("test_loss") == [pytest.approx(trainer.callback_metrics["test_loss"].item())]
    assert_histograms(run)
    assert_media(run)
    assert_model(run, trainer.checkpoint_callback, saves=EPOCHS if log_model == "all" else 1)


def test_two_trainings_in_one_process_are_two_runs():
    """Each holds its own rows, hyperparameters and model, none of the other's, though nobody calls `wandb.finish`."""
    logger = {}
    for lr in (0.05, 0.01):
        logger[lr] = WandbLogger(offline=True, log_model=True)
        trainer = Trainer(
            max_epochs=1,
            logger=logger[lr],
            callbacks=[ModelCheckpoint(f"kept-{lr}")],
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
        )
        trainer.fit(Regression(lr), batches(STEPS), batches(2))
    wandb.finish()
    runs = {run.run_id: run for run in recorded_runs(Path())}
    assert len(runs) == 2
    for lr, each in logger.items():
        run = runs[each.version]
        assert run.config["lr"] == lr
        assert losses_by_step(run, "loss") == list(range(STEPS))
        assert [model.name for model in run.artifacts if model.type == "model"] == [f"model-{run.run_id}"]


def losses_by_step(run, name):
    """The steps under which a loss was logged."""
    rows = [row for row in run.rows if name in row]
    assert all(isinstance(row[name], float) for row in rows)
    return [row["trainer/global_step"] for row in rows]


def assert_histograms(run):
    """Of gradients and of parameters, with every value counted."""
    for kind in ("gradients", "parameters"):
        for name, size in (("layer.weight", 4), ("layer.bias", 1)):
            # The client numbers the models that a process watches: the second one's key is gradients/graph_1layer.bias.
            keys = {key for row in run.rows for key in row if key.startswith(f"{kind}/") and key.endswith(name)}
            (key,) = keys
            histograms = run.column(key)
            assert len(histograms) >= EPOCHS * STEPS - 1, key
            assert {sum(each["values"]) for each in histograms} == {size}, key


def assert_media(run):
    """Images with captions, the table and the text, and the files they name."""
    (samples,) = run.column("samples")
    assert (samples["_type"], samples["count"], samples["captions"]) == ("images/separated", 2, ["noise", "black"])
    assert all((run.folder / "files" / name).exists() for name in samples["filenames"])
    for key, data in {"scores": [[1, 2.5], [3, 4.5]], "said": [["hello"]]}.items():
        (table,) = run.column(key)
        assert table["_type"] == "table-file"
        assert json.loads((run.folder / "files" / table["path"]).read_text())["data"] == data


def assert_model(run, callback, saves):
    """One version for each save; the last is the newest and the best."""
    models = [each for each in run.artifacts if each.type == "model"]
    assert [each.name for each in models] == [f"model-{run.run_id}"] * saves
    assert all("latest" in each.aliases for each in models)
    assert sorted(models[-1].aliases) == ["best", "latest"]
    metadata = json.loads(models[-1].metadata)
    assert metadata["original_filename"] == Path(callback.best_model_path).name
    assert metadata["score"] == pytest.approx(callback.best_model_score.item())
