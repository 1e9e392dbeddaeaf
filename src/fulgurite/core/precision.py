"""In which numbers a run computes: the interface, and its plain form, float32 throughout."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from fulgurite.base.pieces import clip_by_norm, clip_by_value

CONTEXTS = {
    "training_step": "train_step_context",
    "validation_step": "val_step_context",
    "test_step": "test_step_context",
    "predict_step": "predict_step_context",
}


class Precision:
    """Float32 in weights, activations and gradients. Subclass it to compute otherwise.

    A step calls, in this order: ``convert_input``, the module under ``forward_context``, ``scale`` on the loss and its
    backward, and where the weights change ``unscale``, the clipping, ``step``. Override what differs. The step asks
    once, through ``converts_input``, ``needs_context`` and ``scales``, what it may leave out.
    """

    precision: str = "32-true"
    scaler: Any = None
    """The gradient scaler, where there is one: an object with the methods of ``torch.amp.GradScaler``."""

    @property
    def converts_input(self) -> bool:
        return type(self).convert_input is not Precision.convert_input

    @property
    def needs_context(self) -> bool:
        return type(self).forward_context is not Precision.forward_context

    @property
    def scales(self) -> bool:
        """Whether backward and step are its own; if not, ``loss.backward()`` and ``optimizer.step()`` say the same."""
        kind = type(self)
        return any(
            getattr(kind, name) is not getattr(Precision, name) for name in ("scale", "backward", "unscale", "step")
        )

    def convert_module(self, module: Module) -> Module:
        """Return the module with its weights as they are to be trained."""
        return module

    def convert_input(self, batch: Any) -> Any:
        return batch

    def forward_context(self) -> AbstractContextManager[Any]:
        """Where the steps of a module run; a new one for each."""
        return nullcontext()

    def train_step_context(self) -> AbstractContextManager[Any]:
        """Where ``training_step`` runs; `forward_context`, unless it is overridden. So of the other three."""
        return self.forward_context()

    def val_step_context(self) -> AbstractContextManager[Any]:
        return self.forward_context()

    def test_step_context(self) -> AbstractContextManager[Any]:
        return self.forward_context()

    def predict_step_context(self) -> AbstractContextManager[Any]:
        return self.forward_context()

    def context_of(self, step: str) -> Callable[[], AbstractContextManager[Any]] | None:
        """Where the module's ``step`` runs; None where it needs no context."""
        name = CONTEXTS[step]
        own: Callable[[], AbstractContextManager[Any]] = getattr(self, name)
        is_own = getattr(type(self), name) is not getattr(Precision, name)
        return own if is_own else self.forward_context if self.needs_context else None

    def module_init_context(self) -> AbstractContextManager[Any]:
        """Where a module is built, so that its weights are made in their final type."""
        return nullcontext()

    def scale(self, loss: Tensor) -> Tensor:
        """Return what the backward pass starts from."""
        return loss

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        self.scale(loss).backward(*args, **kwargs)

    def unscale(self, optimizer: Optimizer) -> None:
        """Give the gradients of ``optimizer`` their true size, before anyone looks at them."""

    def step(self, optimizer: Optimizer, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """Change the weights; return what the optimizer returns, which is the closure's loss where there is one."""
        return optimizer.step(**kwargs) if closure is None else optimizer.step(closure, **kwargs)

    def main_params(self, optimizer: Optimizer) -> Iterator[Tensor]:
        """The weights that ``optimizer`` changes."""
        for group in optimizer.param_groups:
            yield from group["params"]

    def clip_grad_by_norm(self, optimizer: Optimizer, clip_val: int | float) -> None:
        """Shrink all gradients together so that their norm is at most ``clip_val``."""
        clip_by_norm(self.main_params(optimizer), clip_val)

    def clip_grad_by_value(self, optimizer: Optimizer, clip_val: int | float) -> None:
        """Cut each element of the gradients at ``clip_val`` and its negative."""
        clip_by_value(self.main_params(optimizer), clip_val)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, under the name of the class; empty if nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def teardown(self) -> None: ...
