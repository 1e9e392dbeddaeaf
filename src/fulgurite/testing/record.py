"""Which hooks a run calls, in their order."""

import functools
from collections.abc import Callable
from typing import Any

from fulgurite.core.callback import Callback
from fulgurite.core.datamodule import LightningDataModule
from fulgurite.core.hooks import DataHooks
from fulgurite.core.module import LightningModule
from fulgurite.core.module_hooks import ModelHooks
from fulgurite.runtime.hooks import overrides

STEPS = ("training_step", "validation_step", "test_step", "predict_step")
SHAPING = (
    "configure_callbacks", "configure_model", "configure_optimizers", "backward", "optimizer_step",
    "optimizer_zero_grad", "configure_gradient_clipping", "lr_scheduler_step", "train_dataloader", "val_dataloader",
    "test_dataloader", "predict_dataloader", "on_before_batch_transfer", "transfer_batch_to_device",
    "on_after_batch_transfer",
    "on_validation_model_train", "on_test_model_train",
)  # fmt: skip
"""Hooks whose presence changes what a run does: recorded only where they are overridden already."""


def record_hooks(*listeners: Any) -> list[str]:
    """Return a list that fills with "<class>.<hook>" as runs call hooks of these modules, datamodules and callbacks.

    What the listeners do stays as it is. Call it before the run: hooks are looked up when it begins.
    """
    calls: list[str] = []
    for listener in listeners:
        for name in _recordable(listener):
            setattr(listener, name, _recorded(getattr(listener, name), f"{type(listener).__name__}.{name}", calls))
    return calls


def _recordable(listener: Any) -> list[str]:
    base: type
    if isinstance(listener, Callback):
        return [name for name in vars(Callback) if name.startswith("on_") or name in ("setup", "teardown")]
    if isinstance(listener, LightningDataModule):
        names, base = [*vars(DataHooks), "on_exception"], LightningDataModule
    elif isinstance(listener, LightningModule):
        names, base = [*vars(ModelHooks), *vars(DataHooks), *STEPS, *SHAPING], LightningModule
    else:
        raise TypeError(
            f"record_hooks({listener!r}): a LightningModule, a LightningDataModule or a Callback was expected."
        )
    hooks = dict.fromkeys(name for name in names if not name.startswith("_") and callable(getattr(listener, name)))
    return [name for name in hooks if name not in (*STEPS, *SHAPING) or overrides(listener, name, base)]


def _recorded(hook: Callable[..., Any], name: str, calls: list[str]) -> Callable[..., Any]:
    @functools.wraps(hook)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return hook(*args, **kwargs)

    return recorded
