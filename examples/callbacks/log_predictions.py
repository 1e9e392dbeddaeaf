"""After each validation, pictures of digits' shadows with what they are and what the model took them for."""

import torch
from torch.utils.data import DataLoader, TensorDataset

import fulgurite as pl
from fulgurite.callbacks import LogPredictions
from fulgurite.loggers import CSVLogger, TrackLogger


class Bars(pl.LightningModule):
    """Tells upright bars from lying ones."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return torch.nn.functional.cross_entropy(self(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        scores = self(x)
        self.log("val_accuracy", (scores.argmax(1) == y).float().mean())
        return scores

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def bars(number):
    x, y = torch.zeros(number, 1, 8, 8), torch.arange(number) % 2
    for index in range(number):
        where = index // 2 % 8
        x[index, 0, :, where] += y[index]
        x[index, 0, where, :] += 1 - y[index]
    return DataLoader(TensorDataset(x, y), batch_size=16)


torch.manual_seed(1)
# Each logger is given the same pictures; the second says that it has no place for them.
loggers = [TrackLogger(".", store="store", console=False, system=False, code=False), CSVLogger("csv")]
trainer = pl.Trainer(
    max_epochs=3,
    logger=loggers,
    callbacks=[LogPredictions(num_samples=4, class_names=["lying", "upright"])],
    log_every_n_steps=1,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Bars(), bars(64), bars(16))
print("fulgurite ui --data store shows the pictures of", trainer.current_epoch, "validations")
