"""What the weights of a module are called, whether they are being pruned or not."""

from __future__ import annotations

from torch import Tensor
from torch.nn import Module, Parameter

ORIGINAL, MASK = "_orig", "_mask"
"""What torch's pruning adds to a weight's name: for the parameter that is trained, and for what hides parts of it."""


def named_weights(module: Module) -> dict[str, Parameter]:
    """All parameters by name; one that is being pruned has the name that it had before."""
    masks = set(named_masks(module))
    return {
        name.removesuffix(ORIGINAL) if name.removesuffix(ORIGINAL) in masks else name: parameter
        for name, parameter in module.named_parameters()
    }


def named_masks(module: Module) -> dict[str, Tensor]:
    """The masks of all weights that are being pruned, by the name that the weight had before."""
    trained = {name for name, _ in module.named_parameters() if name.endswith(ORIGINAL)}
    return {
        name.removesuffix(MASK): mask
        for name, mask in module.named_buffers()
        if name.endswith(MASK) and name.removesuffix(MASK) + ORIGINAL in trained
    }


def named_buffers(module: Module) -> dict[str, Tensor]:
    """All buffers that a file has, but for masks."""
    masks = {name + MASK for name in named_masks(module)}
    kept = module.state_dict(keep_vars=True).keys()
    return {name: buffer for name, buffer in module.named_buffers() if name in kept and name not in masks}
