"""Modules that `torch.compile` has wrapped."""

from collections.abc import Callable
from typing import Any


def unwrap(model: Any) -> tuple[Any, Callable[[Any], Any] | None]:
    """Return the module inside, and what compiles a function as the module was compiled; None for a plain module.

    The class is told by its name: importing it would load all of torch's compiler.
    """
    if type(model).__name__ == "OptimizedModule" and hasattr(model, "_orig_mod"):
        return model._orig_mod, model.dynamo_ctx
    return model, None
