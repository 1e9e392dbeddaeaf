"""The whole of it in twenty lines: a model, its loss, its optimizer; the Trainer does the rest."""

import torch
from torch.utils.data import DataLoader, TensorDataset

import fulgurite as pl


class Line(pl.LightningModule):
    def __init__(self, lr=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.layer(x), y)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


x = torch.linspace(-1, 1, 64).unsqueeze(1)
trainer = pl.Trainer(max_epochs=20, log_every_n_steps=1)
trainer.fit(Line(), DataLoader(TensorDataset(x, 3 * x + 1), batch_size=16, shuffle=True))
print({name: round(value.item(), 2) for name, value in trainer.lightning_module.state_dict().items()})
