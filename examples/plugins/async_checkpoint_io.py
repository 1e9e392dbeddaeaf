"""Training goes on while its checkpoints are written; when `fit` returns, they are all there."""

import time

import torch

import fulgurite as pl
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.plugins import AsyncCheckpointIO
from fulgurite.testing import BoringModel


class Large(BoringModel):
    """Takes 40 MB on the disk."""

    def __init__(self):
        super().__init__()
        self.ballast = torch.nn.Parameter(torch.zeros(10_000_000))

    def configure_optimizers(self):
        return torch.optim.SGD(self.layer.parameters(), lr=0.1)


class Stopwatch(ModelCheckpoint):
    """Says how long its saves keep training waiting."""

    def on_train_epoch_end(self, trainer, pl_module):
        begun = time.perf_counter()
        super().on_train_epoch_end(trainer, pl_module)
        self.waited = time.perf_counter() - begun


for plugins in ([], [AsyncCheckpointIO()]):
    kept = Stopwatch(dirpath="async" if plugins else "plain")
    trainer = pl.Trainer(
        plugins=plugins,
        callbacks=[kept],
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Large())
    weights = torch.load(kept.best_model_path)["state_dict"]
    print(f"{kept.best_model_path}: training waited {kept.waited:.3f} s, {len(weights)} tensors are there")
