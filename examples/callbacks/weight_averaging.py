"""Noisy steps, validated and saved as their exponential average."""

import torch

import fulgurite as pl
from fulgurite.callbacks import EMAWeightAveraging


class Noisy(pl.LightningModule):
    """Learns y = 3x from rows with a lot of noise, one row a step."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        return (self.slope * x - y).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.2)


pl.seed_everything(0)
x = torch.randn(500, 1)
rows = torch.utils.data.TensorDataset(x, 3 * x + torch.randn(500, 1))
averaging = EMAWeightAveraging(decay=0.98)
trainer = pl.Trainer(max_epochs=2, callbacks=[averaging], enable_progress_bar=False, enable_model_summary=False)
model = Noisy()
trainer.fit(model, torch.utils.data.DataLoader(rows, shuffle=True))

file = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)
print(f"slope of the last step {file['current_model_state']['slope'].item():.2f}, averaged {model.slope.item():.2f}")
