"""From the word that the user passed to the precision that computes."""

import inspect
from typing import Any

import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn
from fulgurite.core.precision import Precision
from fulgurite.precision.mixed import MixedPrecision
from fulgurite.precision.true import DoublePrecision, HalfPrecision

CHOICES = ("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true")
_INSTEAD = {
    "pre_backward": "`scale(self, loss)`, which returns what the backward pass starts from",
    "post_backward": "the hook `on_after_backward` of a callback or of the module",
    "optimizer_step": "`step(self, optimizer, closure=None, **kwargs)`",
    "clip_gradients": "`clip_grad_by_norm` or `clip_grad_by_value`",
    "connect": "`convert_module(self, module)`",
    "tensor_init_context": "`module_init_context`",
    "on_save_checkpoint": "`state_dict`",
    "on_load_checkpoint": "`load_state_dict`",
}
"""Methods of Lightning's that are not called here, and what is."""
_SHORT = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}


def parse_precision(value: Any) -> str:
    """Return the full name of a precision: ``16``, ``"16"`` and ``"16-mixed"`` are one; None is float32.

    Raises ``ValueError`` for anything else.
    """
    if value is None:
        return "32-true"
    word = str(value)
    name = _SHORT.get(word, word)
    if name not in CHOICES:
        raise ValueError(
            f"precision={value!r} is not known; choose one of {', '.join(map(repr, CHOICES))}, or pass a Precision of "
            "your own as `plugins=`."
        )
    return name


def choose(value: Any, device: torch.device) -> Precision:
    """Return the precision that ``value`` names, for computing on ``device``. An instance comes back as it is.

    Raises ``MisconfigurationException`` for float64 on a GPU of Apple's, which has no such numbers.
    """
    if isinstance(value, Precision):
        _check(value)
        return value
    name = parse_precision(value)
    if name == "16-mixed" and device.type == "cpu":
        rank_zero_warn(
            f"precision={value!r} is not for the CPU, which gains nothing by float16: the run uses 'bf16-mixed'. "
            "Pass precision='bf16-mixed' to say so yourself."
        )
        name = "bf16-mixed"
    if name.endswith("-mixed"):
        return MixedPrecision(name, device.type)
    if name == "64-true":
        if device.type == "mps":
            raise MisconfigurationException(
                f"precision={value!r}: Apple's GPUs compute in 32 bits at most. Pass precision='32-true', or "
                "accelerator='cpu'."
            )
        return DoublePrecision()
    return Precision() if name == "32-true" else HalfPrecision(name)


def _check(own: Precision) -> None:
    """Raise ``MisconfigurationException`` for what is overridden in vain."""
    kind = type(own)
    for name, instead in _INSTEAD.items():
        if hasattr(kind, name):
            raise MisconfigurationException(
                f"{kind.__name__} overrides `{name}`, which is not called here. Override {instead}."
            )
    try:
        inspect.signature(own.backward).bind("loss")
    except TypeError:
        raise MisconfigurationException(
            f"{kind.__name__}.backward{inspect.signature(own.backward)} is called with the loss and what "
            "`manual_backward` was given beside it; neither module nor optimizer come with them. Define "
            "`backward(self, loss, *args, **kwargs)`."
        ) from None
