"""How many samples, and how many operations, the training gets through in a second."""

import csv
from pathlib import Path

import torch

import fulgurite as pl
from fulgurite.callbacks import ThroughputMonitor
from fulgurite.loggers import CSVLogger
from fulgurite.testing import BoringModel
from fulgurite.utilities import measure_flops


class Counting(BoringModel):
    """Knows what a batch costs: forward and backward of one sample of 32 numbers."""

    def setup(self, stage):
        with torch.device("meta"):
            layer, batch = torch.nn.Linear(32, 2), torch.empty(1, 32)
        self.flops_per_batch = measure_flops(layer, lambda: layer(batch), torch.Tensor.sum)


logger = CSVLogger(".")
trainer = pl.Trainer(
    max_epochs=1,
    limit_val_batches=0,
    log_every_n_steps=16,
    logger=logger,
    callbacks=[ThroughputMonitor(batch_size_fn=len, window_size=32)],
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Counting())
with open(Path(logger.log_dir, "metrics.csv"), newline="") as file:
    for row in csv.DictReader(file):
        print({name: value for name, value in row.items() if value})
