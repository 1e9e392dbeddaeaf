"""What a strategy is: where the module lives, how its steps are called, and how processes agree."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fulgurite.base.arguments import checked
from fulgurite.base.device import as_device
from fulgurite.core.checkpoint_io import CheckpointIO, TorchCheckpointIO

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule


class Strategy:
    """One process on one device; strategies of several processes override what differs for them."""

    @checked
    def __init__(self, root_device: torch.device | str = "cpu", checkpoint_io: CheckpointIO | None = None) -> None:
        self._root_device = as_device(root_device, "Strategy(root_device={})")
        self.checkpoint_io = TorchCheckpointIO() if checkpoint_io is None else checkpoint_io
        self.model: nn.Module | None = None
        self._module: LightningModule | None = None

    @property
    def root_device(self) -> torch.device:
        return self._root_device

    @property
    def lightning_module(self) -> "LightningModule | None":
        return self._module

    @property
    def world_size(self) -> int:
        return 1

    @property
    def global_rank(self) -> int:
        return 0

    @property
    def local_rank(self) -> int:
        return 0

    @property
    def node_rank(self) -> int:
        return 0

    @property
    def is_global_zero(self) -> bool:
        return self.global_rank == 0

    def connect(self, module: "LightningModule") -> None:
        self._module = self.model = module

    def setup_environment(self) -> None:
        """Bring the device up; process groups begin here."""
        if self.root_device.type == "cuda":
            torch.cuda.set_device(self.root_device)

    def model_to_device(self) -> None:
        assert self.model is not None
        self.model.to(self.root_device)

    def bind(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return what the loop shall call for ``step``: the user's own bound method where there is one process."""
        return step

    def barrier(self, name: str | None = None) -> None:
        """Wait for all processes."""

    def broadcast(self, value: Any, src: int = 0) -> Any:
        return value

    def reduce(self, tensor: Any, group: Any = None, reduce_op: str | None = "mean") -> Any:
        return tensor

    def all_gather(self, tensor: Tensor, group: Any = None, sync_grads: bool = False) -> Tensor:
        return tensor

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        return decision

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, filepath, storage_options=storage_options)

    def load_checkpoint(self, path: str | os.PathLike[str], weights_only: bool | None = None) -> dict[str, Any]:
        return self.checkpoint_io.load_checkpoint(path, map_location="cpu", weights_only=weights_only)

    def remove_checkpoint(self, filepath: str | os.PathLike[str]) -> None:
        if self.is_global_zero:
            self.checkpoint_io.remove_checkpoint(filepath)

    def tensor_init_context(self, empty_init: bool | None = None) -> AbstractContextManager[Any]:
        return self.root_device if self.root_device.type != "cpu" else nullcontext()

    def on_exception(self, exception: BaseException) -> None:
        """The run failed; stop what would hang."""

    def teardown(self) -> None:
        """Give the device's memory back, and wait for what is being written."""
        if self._module is not None and self.root_device.type != "cpu":
            self._module.cpu()
            if self.root_device.type == "cuda":
                torch.cuda.empty_cache()
        self.checkpoint_io.teardown()
