"""The data hooks that a module and a data module share, with their defaults."""

from typing import Any

import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.tree import move_data_to_device


class DataHooks:
    """Where data come from and how a batch gets to its device. A data module's hooks go before the module's."""

    #: Whether ``prepare_data`` runs once on every node, or once in all.
    prepare_data_per_node: bool = True
    allow_zero_length_dataloader_with_multiple_devices: bool = False

    def prepare_data(self) -> None:
        """Download and write what all processes will read. Runs in one process, so set no attributes here."""

    def setup(self, stage: str) -> None:
        """Build what ``stage`` ("fit", "validate", "test" or "predict") needs. Runs in every process."""

    def teardown(self, stage: str) -> None:
        """Clean up after ``stage``; runs after an error too."""

    def train_dataloader(self) -> Any:
        """Return what to train on: a DataLoader, any iterable, or a nest of them."""
        raise _unimplemented("train_dataloader")

    def val_dataloader(self) -> Any:
        """Return what to validate on: one iterable or several."""
        raise _unimplemented("val_dataloader")

    def test_dataloader(self) -> Any:
        """Return what to test on: one iterable or several."""
        raise _unimplemented("test_dataloader")

    def predict_dataloader(self) -> Any:
        """Return what to predict: one iterable or several."""
        raise _unimplemented("predict_dataloader")

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch before it is moved; returns the batch."""
        return batch

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch; override it for batches of your own classes that have no ``to``."""
        return move_data_to_device(batch, device)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch on its device, for augmentation say; returns the batch."""
        return batch


def _unimplemented(hook: str) -> MisconfigurationException:
    return MisconfigurationException(
        f"`{hook}` is missing. Implement it, or pass the loaders to the trainer: `trainer.fit(model, loader)`."
    )
