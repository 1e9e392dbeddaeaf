"""The small functions of Lightning's `utilities` that user code calls and Fulgurite itself has no need of."""

import gc
import os
import pickle
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fulgurite.base.rank import PossibleUserWarning
from fulgurite.base.state import Word
from fulgurite.base.tree import batch_size_of as extract_batch_size
from fulgurite.core.callback import Callback
from fulgurite.core.flops import measure_flops

__all__ = [
    "GradClipAlgorithmType",
    "LightningEnum",
    "disable_possible_user_warnings",
    "extract_batch_size",
    "find_shared_parameters",
    "garbage_collection_cuda",
    "grad_norm",
    "is_overridden",
    "is_picklable",
    "measure_flops",
    "recursive_detach",
    "suggested_max_num_workers",
]

LightningEnum = Word


class GradClipAlgorithmType(Word):
    """How gradients are clipped."""

    VALUE = "value"
    NORM = "norm"


def grad_norm(module: nn.Module, norm_type: float | int | str, group_separator: str = "/") -> dict[str, Tensor]:
    """Return the norm of every gradient of ``module`` and, under ``..._total``, that of all together."""
    order = float(norm_type)
    if not order > 0:
        raise ValueError(f"norm_type={norm_type!r}; it is a positive number or 'inf'.")
    start = f"grad_{order}_norm"
    norms = {
        f"{start}{group_separator}{name}": parameter.grad.detach().norm(order)
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    total = {f"{start}_total": torch.stack(list(norms.values())).norm(order)} if norms else {}
    return norms | total


def is_overridden(method_name: str, instance: object | None = None, parent: type | None = None) -> bool:
    """Whether ``instance`` has its own ``method_name`` instead of that of ``parent`` (guessed from its class)."""
    if instance is None:
        return False
    parent = parent or _parent_of(instance)
    own, inherited = getattr(instance, method_name, None), getattr(parent, method_name, None)
    return own is not None and inherited is not None and getattr(own, "__func__", own) is not inherited


def _parent_of(instance: object) -> type:
    from fulgurite.core.datamodule import LightningDataModule
    from fulgurite.core.module import LightningModule

    for parent in (LightningModule, LightningDataModule, Callback):
        if isinstance(instance, parent):
            return parent
    raise ValueError(f"{type(instance).__name__} is no module, datamodule or callback; pass `parent`.")


def find_shared_parameters(module: nn.Module) -> list[list[str]]:
    """Return the names of each parameter that ``module`` holds under more than one name."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [shared for shared in names.values() if len(shared) > 1]


def suggested_max_num_workers(local_world_size: int) -> int:
    """Return how many workers each of ``local_world_size`` processes can have on this machine's free CPUs."""
    if local_world_size < 1:
        raise ValueError(f"local_world_size={local_world_size}; it is at least 1.")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cpus // local_world_size - 1)


def is_picklable(obj: object) -> bool:
    try:
        pickle.dumps(obj)
    except (pickle.PickleError, AttributeError, RuntimeError, TypeError):
        return False
    return True


def disable_possible_user_warnings(module: str = "") -> None:
    """Silence the warnings about what may be meant as it is."""
    warnings.filterwarnings("ignore", module=module, category=PossibleUserWarning)


def recursive_detach(in_dict: Any, to_cpu: bool = False) -> Any:
    """Return the nested dict with its tensors detached, and on the CPU if wanted."""
    if isinstance(in_dict, Mapping):
        return {name: recursive_detach(value, to_cpu) for name, value in in_dict.items()}
    if not isinstance(in_dict, Tensor):
        return in_dict
    return in_dict.detach().cpu() if to_cpu else in_dict.detach()


def garbage_collection_cuda() -> None:
    """Collect what nobody holds any more and give cached CUDA memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
