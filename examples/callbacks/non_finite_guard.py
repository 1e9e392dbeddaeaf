"""One batch of the data is broken; its step is left out and training goes on as if it had not been there."""

import torch
from torch.utils.data import DataLoader

import fulgurite as pl
from fulgurite.callbacks import NonFiniteGuard
from fulgurite.testing import BoringModel


class Model(BoringModel):
    def train_dataloader(self):
        rows = torch.randn(64, 32)
        rows[40] = float("nan")
        return DataLoader(rows, batch_size=4)


pl.seed_everything(0)
model, guard = Model(), NonFiniteGuard("skip")
trainer = pl.Trainer(max_epochs=2, callbacks=[guard], logger=False, enable_checkpointing=False,
                     enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
trainer.fit(model)
finite = all(torch.isfinite(weight).all() for weight in model.parameters())
print(f"{guard.bad_steps} of {trainer.global_step} steps skipped; all weights are numbers: {finite}")
