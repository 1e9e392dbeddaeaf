"""How many floating point operations a model does."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


def measure_flops(
    model: nn.Module, forward_fn: Callable[[], Any], loss_fn: Callable[[Any], Tensor] | None = None
) -> int:
    """Return the operations of ``forward_fn()``, and of the backward pass as well if there is a ``loss_fn``.

    ``loss_fn`` gets what ``forward_fn`` returns. Counted are matrix products, convolutions and attention, a
    multiplication and an addition as two; torch knows them by shapes, so ``model`` may lie on the meta device::

        with torch.device("meta"):
            model, x = MyModel(), torch.randn(2, 32)
        measure_flops(model, lambda: model(x), lambda y: y.sum())
    """
    from torch.utils.flop_counter import FlopCounterMode  # late: it loads much that training does not need

    with FlopCounterMode(display=False) as counter:
        output = forward_fn()
        if loss_fn is not None:
            loss_fn(output).backward()
    return counter.get_total_flops()
