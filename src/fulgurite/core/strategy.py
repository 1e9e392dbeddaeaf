"""What a strategy is: where the module lives, how its steps are called, and how processes agree."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from fulgurite.base.arguments import checked
from fulgurite.base.device import as_device
from fulgurite.core.checkpoint_io import CheckpointIO, TorchCheckpointIO
from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.core.precision import Precision
from fulgurite.core.ranks import Ranks

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule

T = TypeVar("T")


class Strategy(Ranks):
    """One process on one device; strategies of several processes override what differs for them."""

    no_sync: Callable[[], AbstractContextManager[Any]] | None = None
    """The context for a batch whose gradients are not brought together yet; None where nothing is to be put off."""
    allows_inference_mode = True
    """Whether tensors made under ``torch.inference_mode`` can be exchanged."""
    sharded = False
    """Whether each process holds pieces of the weights, so that a forward pass takes all of them."""
    offloads = False
    """Whether the optimizer's memory lies elsewhere than on the device that computes."""
    restore_checkpoint_after_setup = False
    """Whether a checkpoint's weights are put into the model when it is wrapped, not before."""
    layer_sync: Any = None
    """What exchanges layers for ones that work over all processes, where that was asked for."""
    data_seed: int | None = None
    """What the order of shared-out data is drawn with; None where data are not shared out."""

    @checked
    def __init__(self, root_device: torch.device | str = "cpu", checkpoint_io: CheckpointIO | None = None) -> None:
        self._root_device = as_device(root_device, "Strategy(root_device={})")
        self.checkpoint_io = TorchCheckpointIO() if checkpoint_io is None else checkpoint_io
        self.cluster_environment: ClusterEnvironment | None = None
        self.model: nn.Module | None = None
        self._module: LightningModule | None = None

    @property
    def root_device(self) -> torch.device:
        return self._root_device

    @property
    def lightning_module(self) -> "LightningModule | None":
        return self._module

    @property
    def num_nodes(self) -> int:
        return 1

    def launch(self, trainer: Any, verb: Callable[..., T], *args: Any) -> T:
        """Run ``verb(*args)``, a method of ``trainer``, in every process, and return what it gives."""
        return verb(*args)

    def connect(self, module: "LightningModule") -> None:
        self._module = self.model = module

    def setup_environment(self) -> None:
        """Bring the device up; process groups begin here."""
        if self.root_device.type == "cuda":
            torch.cuda.set_device(self.root_device)

    def model_to_device(self) -> None:
        assert self.model is not None
        self.model.to(self.root_device)

    def model_from_device(self) -> None:
        """The run is over: its memory is given back."""
        if self._module is not None and self.root_device.type != "cpu":
            self._module.cpu()
            if self.root_device.type == "cuda":
                torch.cuda.empty_cache()

    def setup(self, trainer: Any) -> None:
        """Wrap the model for ``trainer.state.fn``; it is on its device, and has no optimizer yet."""

    def begin_epoch(self) -> None:
        """Batches to train on follow; since the last ones layers may have been frozen, or set free."""

    def precision_for(self, precision: Precision) -> Precision:
        """Return in which numbers to compute here, where ``precision`` was asked for."""
        return precision

    def bind(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return what the loop shall call for ``step``: the user's own bound method where there is one process."""
        return step

    def take_optimizers(self, session: Any) -> None:
        """Be given ``session.optimizers``, before a checkpoint is put into them."""

    def require_grad(self, parameter: nn.Parameter, required: bool) -> None:
        """Let an optimizer's ``parameter`` get gradients, or none."""
        parameter.requires_grad = required

    def pre_backward(self, loss: Tensor) -> Tensor:
        """Return what to call ``backward`` on, where a module optimises by hand."""
        return loss

    def agree_on_end(self, progress: Any) -> bool:
        """Whether a run that was asked to end does so after this batch. Processes agree on the same one."""
        return True

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

    def part(self, error: BaseException) -> None:
        """This process failed, and not as all were asked to: what it still does, it does alone."""

    def on_exception(self, exception: BaseException) -> None:
        """The run failed; stop what would hang."""

    def teardown(self) -> None:
        """Give the device's memory back, and wait for what is being written."""
        self.model_from_device()
        self.checkpoint_io.teardown()
