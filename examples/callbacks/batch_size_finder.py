"""The batch size is doubled until memory ends, which here is said to hold 500 rows."""

import torch
from torch.utils.data import DataLoader

import fulgurite as pl
from fulgurite.callbacks import BatchSizeFinder
from fulgurite.testing import BoringModel, RandomDataset


class Model(BoringModel):
    batch_size = 2

    def training_step(self, batch, batch_idx):
        if len(batch) > 500:
            raise torch.OutOfMemoryError("what a GPU would raise here")
        return super().training_step(batch, batch_idx)

    def train_dataloader(self):
        return DataLoader(RandomDataset(32, 8192), batch_size=self.batch_size)


finder = BatchSizeFinder(mode="binsearch", margin=0.1)
trainer = pl.Trainer(max_epochs=1, callbacks=[finder], logger=False, enable_checkpointing=False,
                     enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
trainer.fit(Model())
print(f"batch size {finder.optimal_batch_size}: {trainer.global_step} steps an epoch")
