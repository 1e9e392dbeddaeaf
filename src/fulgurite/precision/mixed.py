"""Weights in float32, the heavy arithmetic in half of that."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from fulgurite.base.arguments import checked
from fulgurite.base.device import as_device
from fulgurite.base.errors import MisconfigurationException
from fulgurite.core.precision import Precision

_TYPES = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


class MixedPrecision(Precision):
    """``"16-mixed"`` or ``"bf16-mixed"``: torch's autocast. Float16 needs a gradient scaler as well, bfloat16 none.

    ``scaler`` exchanges the ``torch.amp.GradScaler`` that float16 gets by default.
    """

    @checked
    def __init__(self, precision: str, device: str, scaler: Any = None) -> None:
        if precision not in _TYPES:
            raise ValueError(f"MixedPrecision got precision={precision!r}; choose '16-mixed' or 'bf16-mixed'.")
        if scaler is not None and precision != "16-mixed":
            raise MisconfigurationException(
                f"precision={precision!r} takes no scaler: bfloat16 has the range of float32. Leave `scaler` out."
            )
        self.precision = precision
        self.device = as_device(device, "MixedPrecision(device={})").type
        self._dtype, self._caches = _TYPES[precision], _cache_is_sound()
        self.scaler = torch.amp.GradScaler(self.device) if precision == "16-mixed" and scaler is None else scaler

    @property
    def scales(self) -> bool:
        return self.scaler is not None or (type(self) is not MixedPrecision and super().scales)

    def convert_module(self, module: nn.Module) -> nn.Module:
        # Where weights change in the midst of a step, what was cast before would be used on after it.
        _forget_casts_after_steps()
        return super().convert_module(module)

    def forward_context(self) -> torch.autocast:
        return torch.autocast(self.device, dtype=self._dtype, cache_enabled=self._caches)

    def scale(self, loss: Tensor) -> Tensor:
        return loss if self.scaler is None else self.scaler.scale(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        if self.scaler is not None and self._has_gradients(optimizer):
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """Change the weights, unless a gradient overflowed; the scale is adapted either way.

        The closure runs once, before: the scaler must see the gradients first.
        """
        if self.scaler is None:
            return super().step(optimizer, closure, **kwargs)
        if isinstance(optimizer, LBFGS):
            raise MisconfigurationException(
                "LBFGS evaluates the loss several times within a step, which a gradient scaler cannot follow. "
                "Use precision='bf16-mixed' or '32-true', or another optimizer."
            )
        loss = None if closure is None else closure()
        if not self._has_gradients(optimizer):
            return loss
        stepped = self.scaler.step(optimizer, **kwargs)
        self.scaler.update()
        return stepped if closure is None else loss

    def _has_gradients(self, optimizer: Optimizer) -> bool:
        """The scaler fails where there is nothing to scale, as after a step without a loss."""
        return any(parameter.grad is not None for parameter in self.main_params(optimizer))

    def state_dict(self) -> dict[str, Any]:
        return {} if self.scaler is None else self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # A run with bfloat16 may continue from one with float16; it needs no scale.
        if self.scaler is not None and state:
            self.scaler.load_state_dict(state)


@cache
def _forget_casts_after_steps() -> None:
    """From now on torch's cache of cast weights is empty after a step of any optimizer of this process."""
    register_optimizer_step_post_hook(_forget_casts)


def _forget_casts(*_: Any) -> None:
    torch.clear_autocast_cache()


@cache
def _cache_is_sound() -> bool:
    """Whether torch's cache of cast weights keeps apart what was cast without gradients.

    Where it does not, a forward under ``no_grad`` would silently take the gradients from the next one in the same step
    (https://github.com/pytorch/pytorch/issues/158232), so the cache stays off; with it, repeated layers cost a third.
    """
    weight, row = torch.ones(1, 1, requires_grad=True), torch.ones(1, 1)
    with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            torch.mm(row, weight)
        return torch.mm(row, weight).requires_grad
