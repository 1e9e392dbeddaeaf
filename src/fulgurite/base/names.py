"""What a file may name: classes of modules that are imported already, and building blocks to give to ``__init__``.

A name that is looked up calls nothing, but what it brings is called later, by the user's own code. So only building
blocks come back as such: torch's losses, activations, optimizers and schedulers, and classes of ``nn.Module``.
"""

import sys
import types
from typing import Any

import torch
from torch import nn

_FUNCTIONS = types.FunctionType | types.BuiltinFunctionType
#: The modules whose names outlast torch's versions.
_SHELVES: dict[str, types.ModuleType] = {
    shelf.__name__: shelf for shelf in (torch.nn, torch.nn.functional, torch.optim, torch.optim.lr_scheduler, torch)
}
_ACTIVATIONS = frozenset(
    "relu relu_ selu selu_ celu celu_ rrelu rrelu_ prelu threshold hardshrink tanh sigmoid softmax log_softmax sin cos "
    "exp erf square abs".split()
)
#: Where the functions of ``torch.nn.functional`` come from; its neighbours' tools are no building blocks.
_SOURCES = ("torch.nn.functional", "torch", "torch._C._nn")


class ClassIsAbsent(LookupError):
    """No imported module holds the class."""


def class_name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def find_class(name: str) -> type:
    """The class of that name in a module that is imported already. Nothing is imported and no code of it runs."""
    module, _, path = name.partition(":")
    scope: Any = vars(sys.modules[module]) if module in sys.modules else {}
    for part in path.split("."):
        found = scope.get(part)
        if not isinstance(found, type):
            raise ClassIsAbsent(name)
        scope = vars(found)
    return found


def block_name(value: Any) -> str | None:
    """The name under which ``find_block`` finds this very class or function; None if it finds none."""
    if not isinstance(value, type | _FUNCTIONS):
        return None
    name = value.__name__
    names = [f"{shelf}:{name}" for shelf, held in _SHELVES.items() if vars(held).get(name) is value]
    if isinstance(value, type):
        names.append(class_name(value))
    return next((name for name in names if _finds(name, value)), None)


def find_block(name: str) -> Any:
    """The building block of that name. Raises ``ClassIsAbsent`` if nothing is there, or something else."""
    shelf, _, path = name.partition(":")
    found = vars(_SHELVES[shelf]).get(path) if shelf in _SHELVES else find_class(name)
    if not (_is_class(found) or _is_function(shelf, path, found)):
        raise ClassIsAbsent(name)
    return found


def _finds(name: str, value: Any) -> bool:
    try:
        return find_block(name) is value
    except ClassIsAbsent:
        return False


def _is_class(found: Any) -> bool:
    if not isinstance(found, type):
        return False
    ours = issubclass(found, torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler)
    return issubclass(found, nn.Module) or (ours and found.__module__.startswith("torch.optim."))


def _is_function(shelf: str, name: str, found: Any) -> bool:
    if not isinstance(found, _FUNCTIONS) or name.startswith("_"):
        return False
    if shelf == "torch":
        return name in _ACTIVATIONS
    # What torch compiled says no module.
    return shelf == "torch.nn.functional" and found.__module__ in (None, *_SOURCES)
