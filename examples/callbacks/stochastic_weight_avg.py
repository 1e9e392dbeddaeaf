"""The last three of eight epochs at a constant rate, and their mean in the model, batch norm included."""

import torch

import fulgurite as pl
from fulgurite.callbacks import StochasticWeightAveraging


class Small(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))

    def loss(self, batch):
        return torch.nn.functional.mse_loss(self.layers(batch[0]), batch[1])

    def training_step(self, batch, batch_idx):
        return self.loss(batch)

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_train_epoch_start(self):
        print(f"epoch {self.current_epoch}: rate {self.trainer.optimizers[0].param_groups[0]['lr']:.3f}")


pl.seed_everything(0)
x = torch.randn(512, 2)
rows = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True) + torch.randn(512, 1) / 2)
loader = torch.utils.data.DataLoader(rows, batch_size=16)

averaging = StochasticWeightAveraging(swa_lrs=0.02, swa_epoch_start=6, annealing_epochs=2)
trainer = pl.Trainer(max_epochs=8, callbacks=[averaging], enable_progress_bar=False, enable_model_summary=False)
model = Small()
trainer.fit(model, loader)
(result,) = trainer.test(model, loader, verbose=False)
print(f"{averaging.state_dict()['n_averaged']} epochs' weights averaged, test loss {result['test_loss']:.3f}")
