"""Layers that several processes keep in step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fulgurite.base.errors import MisconfigurationException

WITHOUT = ("cpu", "mps")
"""Devices for which torch has no synchronised batch norm."""


class LayerSync:
    """Exchanges layers of a model for ones that work over all processes, and back. One process needs none of it."""

    def check(self, model: nn.Module, device: torch.device) -> None:
        """Raise where the exchanged layers could not be trained on ``device``; called first, and only for `fit`."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Return ``model`` with its layers exchanged; called before it is wrapped for several processes."""
        raise NotImplementedError(f"{type(self).__name__} is a LayerSync without `apply`.")

    def revert(self, model: nn.Module) -> nn.Module:
        """Return ``model`` with the layers that it had."""
        raise NotImplementedError(f"{type(self).__name__} is a LayerSync without `revert`.")


class TorchSyncBatchNorm(LayerSync):
    """Batch norms whose statistics are those of the batches of all processes: ``Trainer(sync_batchnorm=True)``.

    On one device a strategy does not call it, as there is nothing to bring together.
    """

    def check(self, model: nn.Module, device: torch.device) -> None:
        """Raise ``MisconfigurationException`` for a model with batch norms on a device that torch can't do it on."""
        norms = [name for name, each in model.named_modules() if isinstance(each, _BatchNorm)]
        if norms and device.type in WITHOUT:
            raise MisconfigurationException(
                f"sync_batchnorm=True: torch brings batch norms of several processes together on GPUs alone, and this "
                f"run trains {', '.join(norms[:3])}{' and others' * (len(norms) > 3)} on {str(device)!r}. Leave it "
                "out, so that each process takes the statistics of its own batches, or use a norm without such "
                "statistics, as nn.GroupNorm."
            )

    def apply(self, model: nn.Module) -> nn.Module:
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)

    def revert(self, model: nn.Module) -> nn.Module:
        return _exchanged(model, nn.SyncBatchNorm, _back)


class _AnyBatchNorm(_BatchNorm):
    """A batch norm of whatever number of dimensions: a synchronised one has forgotten which it was."""

    def _check_input_dim(self, input: Tensor) -> None: ...


def _exchanged(module: nn.Module, kind: type[nn.Module], make: Callable[[Any], nn.Module]) -> nn.Module:
    if isinstance(module, kind):
        return make(module)
    for name, child in module.named_children():
        setattr(module, name, _exchanged(child, kind, make))
    return module


def _back(synced: nn.SyncBatchNorm) -> nn.Module:
    with torch.no_grad():
        made = _AnyBatchNorm(
            synced.num_features, synced.eps, synced.momentum, synced.affine, synced.track_running_stats
        )
    made.train(synced.training)
    # The very parameters and buffers: an optimizer may hold them.
    made._parameters, made._buffers = synced._parameters, synced._buffers
    return made
