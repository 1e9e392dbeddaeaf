"""The learning rate of every epoch, in the log and to be asked for."""

import csv

import torch

import fulgurite as pl
from fulgurite.callbacks import LearningRateMonitor
from fulgurite.loggers import CSVLogger
from fulgurite.testing import BoringModel


class Halving(BoringModel):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.4)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)]


monitor, logger = LearningRateMonitor(logging_interval="epoch"), CSVLogger(".")
trainer = pl.Trainer(
    max_epochs=4,
    callbacks=[monitor],
    logger=logger,
    log_every_n_steps=64,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Halving())
rows = csv.DictReader(open(f"{logger.log_dir}/metrics.csv"))
print("logged:", [float(row["lr-SGD"]) for row in rows if row["lr-SGD"]])
print("kept by the callback:", monitor.lrs)
