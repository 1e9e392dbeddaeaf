"""The two best epochs stay on the disk, and the last one, whatever its score."""

import os

import torch

import fulgurite as pl
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.testing import BoringModel


class Wavering(BoringModel):
    """Its validation loss is best in epochs 1 and 3."""

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", torch.tensor([0.9, 0.3, 0.8, 0.4, 0.7][self.current_epoch]))


kept = ModelCheckpoint(
    dirpath="kept", filename="{epoch}-{val_loss:.1f}", monitor="val_loss", save_top_k=2, save_last=True
)
trainer = pl.Trainer(
    max_epochs=5, callbacks=[kept], logger=False, enable_progress_bar=False, enable_model_summary=False
)
trainer.fit(Wavering())
print(*sorted(os.listdir("kept")), sep="\n")

best = Wavering.load_from_checkpoint(kept.best_model_path)
print(f"the best, {os.path.basename(kept.best_model_path)}, has a loss of {kept.best_model_score:.1f}")
