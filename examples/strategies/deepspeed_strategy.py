import torch

import fulgurite as pl
from fulgurite.strategies import DeepSpeedStrategy
from fulgurite.testing import QUIET, batches


class Deep(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))

    def training_step(self, batch, batch_idx):
        return self.layers(batch).pow(2).mean()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


if __name__ == "__main__":
    strategy = DeepSpeedStrategy(stage=2, config={"communication_data_type": "fp32"})
    trainer = pl.Trainer(**{**QUIET, "max_epochs": 1, "devices": 2, "strategy": strategy, "gradient_clip_val": 1.0})
    trainer.fit(Deep(), batches(8))
    here = sum(each["exp_avg"].numel() for each in trainer.optimizers[0].state.values())
    trainer.print(f"here lie {here} of {sum(each.numel() for each in trainer.model.parameters())} averages of AdamW")
    trainer.save_checkpoint("deep.ckpt")
    # The file is read by any number of processes, also by one, and without DeepSpeed.
    trainer.print(f"{tuple(Deep.load_from_checkpoint('deep.ckpt').layers[0].weight.shape)} in the checkpoint")
