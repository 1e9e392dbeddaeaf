"""A run for TensorBoard: `tensorboard --logdir lightning_logs` shows it, while it trains and afterwards."""

from pathlib import Path

import torch

import fulgurite as pl
from fulgurite.loggers import TensorBoardLogger
from fulgurite.testing import BoringModel


class Seen(BoringModel):
    """Shows a picture after each validation, to whichever loggers are there."""

    def __init__(self, rate=0.1):
        super().__init__()
        self.save_hyperparameters()

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)["loss"]
        self.log("train/loss", loss)
        return loss

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            picture = self.layer.weight.detach().reshape(1, 8, 8)
            self.logger.log_image("weights", [picture], step=self.trainer.batches_that_stepped)


logger = TensorBoardLogger(".", name="lightning_logs")
trainer = pl.Trainer(
    max_epochs=2,
    limit_train_batches=20,
    log_every_n_steps=5,
    logger=logger,
    enable_progress_bar=False,
    enable_model_summary=False,
)
torch.manual_seed(1)
trainer.fit(Seen())
for file in sorted(Path(logger.log_dir).rglob("*")):
    print(file)
