import torch
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import fulgurite as pl
from fulgurite.strategies import ModelParallelStrategy
from fulgurite.testing import QUIET, batches


class Wide(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.up, self.down = torch.nn.Linear(4, 64), torch.nn.Linear(64, 1)

    def configure_model(self):
        if self.device_mesh is None or isinstance(self.up.weight, DTensor):
            return  # one process; or a second call, for the test after the fit
        plan = {"up": ColwiseParallel(), "down": RowwiseParallel()}
        parallelize_module(self, self.device_mesh["tensor_parallel"], plan)

    def training_step(self, batch, batch_idx):
        return self.down(torch.relu(self.up(batch))).pow(2).mean()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


if __name__ == "__main__":
    strategy = ModelParallelStrategy(data_parallel_size=1, tensor_parallel_size=2)
    trainer = pl.Trainer(**{**QUIET, "max_epochs": 1, "devices": 2, "strategy": strategy})
    trainer.fit(Wide(), batches(8))
    weight = trainer.lightning_module.up.weight
    trainer.print(f"{trainer.global_step} steps; here lie {tuple(weight.to_local().shape)} of {tuple(weight.shape)}")
