"""What takes the time? Here the loader does, and the report says so in its first line."""

import time

import torch
from torch.utils.data import DataLoader, Dataset

import fulgurite as pl
from fulgurite.profilers import SimpleProfiler
from fulgurite.testing import BoringModel


class SlowToRead(Dataset):
    """Each row takes 2 ms, as if it came from a slow disk."""

    def __len__(self):
        return 64

    def __getitem__(self, index):
        time.sleep(0.002)
        return torch.randn(32)


class Model(BoringModel):
    def training_step(self, batch, batch_idx):
        with self.trainer.profiler.profile("my augmentation"):
            batch = batch + 0.1 * torch.randn_like(batch)
        return super().training_step(batch, batch_idx)


trainer = pl.Trainer(
    profiler=SimpleProfiler(dirpath="reports", filename="speed"),
    max_epochs=2,
    limit_val_batches=0,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Model(), DataLoader(SlowToRead(), batch_size=4))
print(open("reports/fit-speed.txt").read())
