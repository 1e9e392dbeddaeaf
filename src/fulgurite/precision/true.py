"""Everything in one type other than float32: weights, activations, gradients, the optimizer's memory."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from fulgurite.base.arguments import checked
from fulgurite.base.tree import map_tensors
from fulgurite.core.precision import Precision


class HalfPrecision(Precision):
    """``"bf16-true"`` or ``"16-true"``: half the memory, and no protection against rounding or overflow."""

    @checked
    def __init__(self, precision: str = "16-true") -> None:
        types = {"16-true": torch.float16, "bf16-true": torch.bfloat16}
        if precision not in types:
            raise ValueError(f"HalfPrecision got precision={precision!r}; choose '16-true' or 'bf16-true'.")
        self.precision = precision
        self._dtype = types[precision]

    def convert_module(self, module: Module) -> Module:
        return module.to(self._dtype)

    def convert_input(self, batch: Any) -> Any:
        return _cast(batch, self._dtype)

    def forward_context(self) -> AbstractContextManager[None]:
        return default_dtype(self._dtype)

    def module_init_context(self) -> AbstractContextManager[None]:
        return default_dtype(self._dtype)


class DoublePrecision(Precision):
    """``"64-true"``."""

    precision = "64-true"

    def convert_module(self, module: Module) -> Module:
        return module.double()

    def convert_input(self, batch: Any) -> Any:
        return _cast(batch, torch.float64)

    def forward_context(self) -> AbstractContextManager[None]:
        return default_dtype(torch.float64)

    def module_init_context(self) -> AbstractContextManager[None]:
        return default_dtype(torch.float64)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New float tensors are of ``dtype`` inside."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _cast(batch: Any, dtype: torch.dtype) -> Any:
    def cast(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point() or tensor.dtype is dtype:
            return tensor
        if tensor.is_pinned():
            # On its way to the device a copy in other memory would be waited for.
            return torch.empty_like(tensor, dtype=dtype, pin_memory=True).copy_(tensor)
        return tensor.to(dtype)

    return map_tensors(batch, cast)
