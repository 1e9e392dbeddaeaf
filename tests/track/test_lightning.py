"""Lightning's own `WandbLogger`, in Lightning's own trainer, logs to our server."""

from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("lightning") is None, reason="needs Lightning: pip install fulgurite[bench]"),
]

FIT = """
import numpy as np
import torch
import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from torch.utils.data import DataLoader, TensorDataset

class Line(pl.LightningModule):
    def __init__(self, lr=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x):
        return self.layer(x)

    def step(self, batch, name):
        loss = (self(batch[0]) - batch[1]).square().mean()
        self.log(name, loss)
        return loss

    def training_step(self, batch, batch_idx):
        return self.step(batch, "loss")

    def validation_step(self, batch, batch_idx):
        self.step(batch, "val_loss")

    def test_step(self, batch, batch_idx):
        self.step(batch, "test_loss")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams.lr)

pl.seed_everything(1)
x = torch.linspace(-1, 1, 32)[:, None]
batches = DataLoader(TensorDataset(x, 3 * x + 1), 4)
logger = WandbLogger(name="from Lightning", project="lightning", id="theirs", log_model="all", tags=["t"])
model = Line()
logger.watch(model, log="all", log_freq=2)
keep = ModelCheckpoint(monitor="val_loss", save_top_k=2)
trainer = pl.Trainer(max_epochs=3, logger=logger, callbacks=[keep], log_every_n_steps=1, accelerator="cpu",
                     enable_progress_bar=False, enable_model_summary=False)
trainer.fit(model, batches, batches)
trainer.test(model, batches)
logger.log_image("picture", [np.zeros((4, 4, 3), np.uint8), np.ones((4, 4, 3), np.uint8)], caption=["a", "b"])
logger.log_table("table", columns=["x", "y"], data=[[1, 2.5], [3, None]])
logger.log_text("text", columns=["words"], data=[["said"]])
import wandb
wandb.finish()
print("BEST", keep.best_model_path)

from pathlib import Path
run = wandb.init(project="lightning", id="user")
folder = WandbLogger.download_artifact("local/lightning/model-theirs:best", artifact_type="model")
again = Line.load_from_checkpoint(Path(folder) / "model.ckpt")
print("SAME", torch.equal(again.layer.weight, Line.load_from_checkpoint(keep.best_model_path).layer.weight))
run.finish()
"""


@pytest.fixture(scope="module")
def said(server):
    return server.client(FIT, name="fit.py")


def test_rows_arrive_on_lightnings_axis(server, said):
    """Each metric has the trainer's step beside it, and it is drawn over that."""
    run = server.run("theirs", "lightning")
    rows = server.store.history.rows(run.id)
    assert [row["trainer/global_step"] for row in rows if "loss" in row] == list(range(24))
    assert [row["trainer/global_step"] for row in rows if "val_loss" in row] == [7, 15, 23]
    assert [row["trainer/global_step"] for row in rows if "test_loss" in row] == [24]
    axis, others = run.facts["_wandb"]["m"]
    assert (axis["1"], others["2"], others["5"]) == ("trainer/global_step", "*", 1)
    assert (run.state, run.config["lr"], run.tags, run.display_name) == ("finished", 0.1, ["t"], "from Lightning")


def test_checkpoints_arrive_as_artifacts_with_aliases(server, said):
    """One version for each, the best one named so, and it loads."""
    run = server.run("theirs", "lightning")
    store = server.store
    models = store.artifacts.collections.find(run.project, "model-theirs")
    versions = store.artifacts.members.of(models)
    names = {alias.name for alias in store.artifacts.members.aliases_in(models)}
    assert models.type == "model" and len(versions) == 3 and names >= {"best", "latest"}
    assert "SAME True" in said


def test_watched_weights_and_media_arrive(server, said):
    """Histograms of weights and gradients, pictures with captions, tables."""
    run = server.run("theirs", "lightning")
    keys = server.store.history.keys(run.id).keys()
    assert {f"{kind}/layer.{name}" for kind in ("gradients", "parameters") for name in ("weight", "bias")} <= keys
    last = {key: value for row in server.store.history.rows(run.id) for key, value in row.items()}
    assert (last["picture"]["count"], last["picture"]["captions"]) == (2, ["a", "b"])
    assert last["table"]["_type"] == last["text"]["_type"] == "table-file"
    files = {file.name for file in server.store.blobs.files(run.id)}
    assert {last["table"]["path"], last["text"]["path"], *last["picture"]["filenames"]} <= files
