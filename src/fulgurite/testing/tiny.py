"""A model that trains in milliseconds, and data for it."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fulgurite.core.module import LightningModule

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
"""Trainer arguments for a run on the CPU that prints nothing and writes nothing."""


class TinyModule(LightningModule):
    """One linear layer from four numbers to one, with the same weights each time.

    It logs ``loss``, ``val_loss`` and ``test_loss``.
    """

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.lr = lr
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(4, 1)

    def forward(self, batch: Tensor) -> Tensor:
        return self.layer(batch)

    def loss(self, batch: Tensor) -> Tensor:
        return self(batch).square().mean()

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("val_loss", self.loss(batch))

    def test_step(self, batch: Tensor, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("test_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def batches(number: int = 4, size: int = 2) -> DataLoader[Tensor]:
    """Return a loader of ``number`` batches of ``size`` samples, in order and the same at every call."""
    samples = torch.randn(number * size, 4, generator=torch.Generator().manual_seed(1))
    return DataLoader(samples, batch_size=size)  # type: ignore[arg-type]
