"""The learning rate is searched when training begins, and again in the third epoch."""

import torch
from torch.utils.data import DataLoader

import fulgurite as pl
from fulgurite.callbacks import LearningRateFinder
from fulgurite.testing import BoringModel, RandomDataset


class AtMilestones(LearningRateFinder):
    """Searches in certain epochs."""

    def __init__(self, milestones, **options):
        super().__init__(**options)
        self.milestones = milestones

    def on_fit_start(self, trainer, pl_module):
        return

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch in self.milestones:
            self.lr_find(trainer, pl_module)
            print(f"epoch {trainer.current_epoch}: learning rate {pl_module.lr:.3g}")


class Model(BoringModel):
    lr = 1e-6

    def train_dataloader(self):
        return DataLoader(RandomDataset(32, 640), batch_size=32)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


pl.seed_everything(0)
finder = AtMilestones((0, 2), min_lr=1e-3, num_training_steps=50)
trainer = pl.Trainer(max_epochs=4, callbacks=[finder], logger=False, enable_checkpointing=False,
                     enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
trainer.fit(Model())
