"""Training ends when the watched value has not become better for two epochs."""

import torch

import fulgurite as pl
from fulgurite.callbacks import EarlyStopping
from fulgurite.testing import BoringModel


class Stalling(BoringModel):
    """Its validation loss is 1, 1/2, 1/3, and then stays where it is."""

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", 1 / (1 + torch.tensor(min(self.current_epoch, 2))))


stopping = EarlyStopping("val_loss", patience=2)
trainer = pl.Trainer(max_epochs=50, callbacks=[stopping], enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Stalling())
print(f"stopped in epoch {stopping.stopped_epoch}: best {stopping.best_score:.2f}")
