"""Predictions go to a file as they come, each row with its number in the data set; memory stays flat."""

import csv

import fulgurite as pl
from fulgurite.callbacks import BasePredictionWriter
from fulgurite.testing import BoringModel


class CSVWriter(BasePredictionWriter):
    def __init__(self, path):
        super().__init__(write_interval="batch")
        self.path = path

    def on_predict_start(self, trainer, pl_module):
        self.file = open(self.path, "w", newline="")

    def write_on_batch_end(self, trainer, pl_module, prediction, batch_indices, batch, batch_idx, dataloader_idx):
        csv.writer(self.file).writerows(zip(batch_indices, *prediction.T.tolist(), strict=True))

    def teardown(self, trainer, pl_module, stage):
        self.file.close()


pl.seed_everything(0)
trainer = pl.Trainer(callbacks=[CSVWriter("predictions.csv")], logger=False, enable_progress_bar=False)
trainer.predict(BoringModel(), return_predictions=False)

with open("predictions.csv") as file:
    rows = list(csv.reader(file))
print(f"{len(rows)} predictions, numbered {rows[0][0]} to {rows[-1][0]}")
