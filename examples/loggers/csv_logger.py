"""A table of metrics and a file of hyperparameters, for a program or a spreadsheet to read."""

import csv
import os

import torch

import fulgurite as pl
from fulgurite.loggers import CSVLogger
from fulgurite.testing import BoringModel


class Model(BoringModel):
    def __init__(self, width=2):
        super().__init__()
        self.save_hyperparameters()

    def training_step(self, batch, batch_idx):
        loss = self.step(batch)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


logger = CSVLogger("logs", name="first tries")
trainer = pl.Trainer(
    max_epochs=3, logger=logger, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
)
trainer.fit(Model())
print(logger.log_dir, sorted(os.listdir(logger.log_dir)))
for row in csv.DictReader(open(f"{logger.log_dir}/metrics.csv")):
    print(row)
