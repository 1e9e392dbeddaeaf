"""A learning rate and a batch size are found before training, and the training uses them."""

import torch
from torch.utils.data import DataLoader, TensorDataset

import fulgurite as pl
from fulgurite.tuner import Tuner


class Line(pl.LightningModule):
    """Learns y = 3x; reads its rate and its batch size where the tuner writes them."""

    def __init__(self, lr=1e-6, batch_size=1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return torch.nn.functional.mse_loss(self.layer(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)

    def train_dataloader(self):
        x = torch.randn(4096, 1)
        return DataLoader(TensorDataset(x, 3 * x), batch_size=self.hparams.batch_size, shuffle=True)


pl.seed_everything(1)
trainer = pl.Trainer(max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False)
model, tuner = Line(), Tuner(trainer)

size = tuner.scale_batch_size(model, max_val=64)
found = tuner.lr_find(model, min_lr=1e-2, num_training=50)
print(f"{len(found.results['lr'])} rates tried; batch size {size}, learning rate {found.suggestion():.3g}")

trainer.fit(model)
print(f"slope {model.layer.weight.item():.2f} after {trainer.global_step} steps")
