"""A run for Comet that needs no account yet: it is recorded in a file, and `comet upload` sends that."""

from pathlib import Path

import torch

import fulgurite as pl
from fulgurite.loggers import CometLogger
from fulgurite.testing import BoringModel


class Logging(BoringModel):
    """Keeps its hyperparameters and its loss."""

    def __init__(self, rate=0.1):
        super().__init__()
        self.save_hyperparameters()

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)["loss"]
        self.log("train/loss", loss)
        return loss


logger = CometLogger(project="tutorial", name="first", online=False, offline_directory="comet")
trainer = pl.Trainer(
    max_epochs=1,
    limit_train_batches=20,
    log_every_n_steps=5,
    logger=logger,
    enable_progress_bar=False,
    enable_model_summary=False,
)
torch.manual_seed(1)
trainer.fit(Logging())
logger.experiment.end()
print("recorded:", [file.suffix for file in Path("comet").glob(f"{logger.version}*")])
