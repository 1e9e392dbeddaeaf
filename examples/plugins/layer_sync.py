"""Batch norms over all processes. On one device there is nothing to bring together, so they stay as they are."""

import torch

import fulgurite as pl
from fulgurite.plugins import TorchSyncBatchNorm
from fulgurite.testing import BoringModel


class Normed(BoringModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.BatchNorm1d(32), torch.nn.Linear(32, 2))


model = Normed()
data = torch.utils.data.DataLoader(torch.randn(64, 32), batch_size=8)
trainer = pl.Trainer(
    plugins=[TorchSyncBatchNorm()],  # the same as sync_batchnorm=True
    max_epochs=1,
    limit_val_batches=0,
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(model, data)
print("on one device:", type(model.layer[0]).__name__)

synced = TorchSyncBatchNorm().apply(model)
print("as a strategy of several processes has it:", type(synced.layer[0]).__name__)
