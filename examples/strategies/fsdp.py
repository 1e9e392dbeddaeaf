import torch

import fulgurite as pl
from fulgurite.strategies import FSDPStrategy
from fulgurite.testing import QUIET, batches


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x):
        return x + torch.relu(self.layer(x))


class Deep(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.Sequential(*(Block() for _ in range(4)))

    def training_step(self, batch, batch_idx):
        return self.blocks(batch).pow(2).mean()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


if __name__ == "__main__":
    strategy = FSDPStrategy(auto_wrap_policy={Block}, state_dict_type="sharded")
    trainer = pl.Trainer(**{**QUIET, "max_epochs": 1, "devices": 2, "strategy": strategy})
    trainer.fit(Deep(), batches(8))
    trainer.save_checkpoint("deep.ckpt")
    weight = trainer.lightning_module.blocks[0].layer.weight
    trainer.print(f"here lie {tuple(weight.to_local().shape)} of {tuple(weight.shape)}")
    # The folder is read by any number of processes, also by one.
    trainer.print(f"{tuple(Deep.load_from_checkpoint('deep.ckpt').blocks[0].layer.weight.shape)} in the checkpoint")
