"""Freezes and frees parameters of a model in pieces while some of its layers are together."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import nn


class Freezing:
    """Keeps what computes, a layer that is together, like the pieces that an optimizer has.

    torch looks at the pieces twice: each time it brings them together, and before the first forward of all, to settle
    in which numbers gradients travel. What is frozen then would never be given any.
    """

    def __init__(self, module: nn.Module, units: Iterable[nn.Module]) -> None:
        """``units`` are those layers of ``module`` that are brought together; now none of them is."""
        self._units = tuple(units)
        self._holders = {
            parameter: (owner, name)
            for owner in module.modules()
            for name, parameter in owner._parameters.items()
            if parameter is not None
        }
        self._frozen: dict[nn.Parameter, None] = {}
        self._hooks: dict[nn.Module, list[Any]] = {}
        self._is_used = False

    def require_grad(self, parameter: nn.Parameter, required: bool) -> None:
        if not self._is_used:
            self._is_used = True
            self._expect_first_forwards()
        if required:
            self._frozen.pop(parameter, None)
        elif parameter.requires_grad:
            self._frozen[parameter] = None
        self._set(parameter, required)

    def end(self) -> None:
        for unit in list(self._hooks):
            self._forget(unit)

    def _set(self, parameter: nn.Parameter, required: bool) -> None:
        parameter.requires_grad = required
        if parameter in self._holders:
            owner, name = self._holders[parameter]
            computing = owner._parameters[name]
            if computing is not None:
                computing.requires_grad = required

    def _set_frozen(self, required: bool, *_: Any) -> None:
        for parameter in self._frozen:
            self._set(parameter, required)

    def _expect_first_forwards(self) -> None:
        # torch's own hook runs between the two.
        for unit in self._units:
            first = unit.register_forward_pre_hook(partial(self._set_frozen, True), prepend=True)
            last = unit.register_forward_pre_hook(self._after_first)
            self._hooks[unit] = [first, last]

    def _after_first(self, unit: nn.Module, *_: Any) -> None:
        self._set_frozen(False)
        self._forget(unit)

    def _forget(self, unit: nn.Module) -> None:
        for hook in self._hooks.pop(unit):
            hook.remove()
