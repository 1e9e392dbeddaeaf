"""One optimisation step, in three shapes. Which one is decided once at the start of a run.

`AutomaticStep` for everything usual; `ClosureStep` where ``optimizer_step`` is overridden or the optimizer wants a
closure; `ManualStep` where the module optimises by hand.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.pieces import alike
from fulgurite.base.rank import warn_once
from fulgurite.core.module import LightningModule
from fulgurite.core.precision import Precision
from fulgurite.core.profiler import Profiler
from fulgurite.runtime.hooks import overrides
from fulgurite.runtime.optim import LightningOptimizer, clip, parameters_of
from fulgurite.runtime.profiling import of_module, of_strategy
from fulgurite.runtime.session import Session

Outputs = dict[str, Any]
Step = Callable[[Any, int, bool, bool], Outputs]


def choose_step(session: Session) -> Step:
    """Return the shape of the step for this run, called as ``step(batch, batch_idx, opens, closes)``.

    ``opens`` and ``closes`` say whether the batch is the first or the last of an accumulation window.
    """
    if not session.module.automatic_optimization:
        return ManualStep(session)
    if overrides(session.module, "optimizer_step", LightningModule) or _wants_closure(session.optimizers[0]):
        return ClosureStep(session)
    return AutomaticStep(session)


class AutomaticStep:
    """Forward, zero_grad, backward; and when the window closes: clip, optimizer step."""

    def __init__(self, session: Session) -> None:
        self.session, self.moment, self.hooks = session, session.moment, session.hooks
        self.progress, self.precision = session.progress, session.precision
        self.training_step = session.steps["training_step"]
        module = session.module
        self.backward = _override(session, "backward")
        self.own_clipping = _override(session, "configure_gradient_clipping")
        self.own_zero_grad = _override(session, "optimizer_zero_grad")
        # The default hook only passes the Trainer's values on; an overridden `clip_gradients` must still be reached.
        if self.own_clipping is None and overrides(module, "clip_gradients", LightningModule):
            self.own_clipping = module.configure_gradient_clipping
        self.scaled = self.precision.scales
        self.change_weights = self.precision.step if self.scaled else None
        self.use(session.optimizers)
        self.no_sync = session.strategy.no_sync
        own = type(self.precision).backward is not Precision.backward
        self.precisions_backward = self.precision.backward if own else None

    def use(self, optimizers: list[Optimizer]) -> None:
        """Step with the first of these from now on."""
        self.optimizer = optimizer = optimizers[0]
        patched = "zero_grad" in vars(optimizer) or type(optimizer).zero_grad is not Optimizer.zero_grad
        self.plain_zero_grad = self.own_zero_grad is None and not patched

    def __call__(self, batch: Any, batch_idx: int, opens: bool, closes: bool) -> Outputs:
        if closes or self.no_sync is None:
            loss, outputs = self.forward_backward(batch, batch_idx, opens)
        else:
            with self.no_sync():
                loss, outputs = self.forward_backward(batch, batch_idx, opens)
        if closes:
            optimizer, hooks = self.optimizer, self.hooks
            if self.scaled:
                # Gradients are unscaled before clipping: a threshold on scaled gradients would drift with the scaler.
                self.precision.unscale(optimizer)
            if self.session.plan.exact_accumulation:
                self.divide_by_true_window(batch_idx)
            if hooks.on_before_optimizer_step is not None:
                hooks.on_before_optimizer_step(optimizer)
            self.clip()
            if self.change_weights is not None:
                self.change_weights(optimizer)
            else:
                optimizer.step()
            self.progress.global_step += 1
        return outputs

    def forward_backward(self, batch: Any, batch_idx: int, opens: bool) -> tuple[Tensor | None, Outputs]:
        """Run ``training_step`` and, unless it returned None, backward. Return the divided loss and the outputs."""
        moment, hooks = self.moment, self.hooks
        outer, moment.hook = moment.hook, "training_step"
        output = self.training_step(batch, batch_idx)
        moment.hook = outer
        loss = output if output.__class__ is Tensor else _loss_of(output)
        divisor = self.session.plan.accumulate_grad_batches
        if divisor != 1 and loss is not None:
            loss = loss / divisor
        if opens:
            self.zero_grad(batch_idx)
        if loss is None:
            return None, {}
        scaled = self.precision.scale(loss) if self.scaled else loss
        if hooks.on_before_backward is not None:
            hooks.on_before_backward(scaled)
        if self.backward is not None:
            self.run_own_backward(scaled)
        elif self.precisions_backward is not None:
            # It scales by itself, as `Precision.backward` does.
            self.precisions_backward(loss)
        else:
            scaled.backward()
        if hooks.on_after_backward is not None:
            hooks.on_after_backward()
        outputs = {"loss": loss.detach()}
        if output.__class__ is not Tensor and isinstance(output, Mapping):
            outputs.update((key, value) for key, value in output.items() if key != "loss")
        return loss, outputs

    def zero_grad(self, batch_idx: int) -> None:
        optimizer, hooks = self.optimizer, self.hooks
        self.progress.windows_opened += 1
        if hooks.on_before_zero_grad is not None:
            hooks.on_before_zero_grad(optimizer)
        if self.own_zero_grad is not None:
            outer, self.moment.hook = self.moment.hook, "optimizer_zero_grad"
            self.own_zero_grad(self.progress.epoch, batch_idx, optimizer)
            self.moment.hook = outer
        elif self.plain_zero_grad:
            # What `Optimizer.zero_grad` does, without its profiler records.
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
        else:
            optimizer.zero_grad()

    def run_own_backward(self, loss: Tensor) -> None:
        outer, self.moment.hook = self.moment.hook, "backward"
        self.backward(loss)  # type: ignore[misc]
        self.moment.hook = outer

    def divide_by_true_window(self, batch_idx: int) -> None:
        """Each loss was divided by the full window; at an epoch's end the last one may have fewer batches."""
        window = self.session.plan.accumulate_grad_batches
        batches = batch_idx % window + 1
        if batches != window:
            for gradients in alike(_gradients(self.optimizer)):
                torch._foreach_mul_(gradients, window / batches)

    def clip(self) -> None:
        plan = self.session.plan
        if self.own_clipping is not None:
            outer, self.moment.hook = self.moment.hook, "configure_gradient_clipping"
            self.own_clipping(self.optimizer, plan.gradient_clip_val, plan.gradient_clip_algorithm)
            self.moment.hook = outer
        elif plan.gradient_clip_val is not None and plan.gradient_clip_val > 0:
            clip(self.optimizer, plan.gradient_clip_val, plan.gradient_clip_algorithm or "norm", self.precision)


class ClosureStep(AutomaticStep):
    """Forward and backward run inside ``optimizer.step(closure)``, as often as the optimizer or the override asks."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        if self.precision.scaler is not None and isinstance(self.optimizer, LBFGS):
            raise MisconfigurationException(
                "LBFGS evaluates the loss several times a step, which scaled 16-bit gradients do not allow. "
                "Use precision='bf16-mixed' or another optimizer."
            )
        self.batch_idx = 0
        self.optimizer_step = session.module.optimizer_step

    def use(self, optimizers: list[Optimizer]) -> None:
        super().use(optimizers)
        self.wrapped = LightningOptimizer(self.optimizer, on_step=self.step, module=self.session.module)

    def __call__(self, batch: Any, batch_idx: int, opens: bool, closes: bool) -> Outputs:
        if not closes:
            with self.no_sync() if self.no_sync is not None else nullcontext():
                return self.forward_backward(batch, batch_idx, opens)[1]
        self.batch_idx = batch_idx
        outputs: Outputs | None = None

        def closure() -> Tensor | None:
            nonlocal outputs
            with torch.enable_grad():
                loss, outputs = self.forward_backward(batch, batch_idx, opens)
            return loss

        outer, self.moment.hook = self.moment.hook, "optimizer_step"
        self.optimizer_step(self.progress.epoch, batch_idx, self.wrapped, closure)
        self.moment.hook = outer
        if outputs is None:
            raise MisconfigurationException(
                "`optimizer_step` did not execute the closure, so nothing was computed. Call "
                "`optimizer.step(closure=optimizer_closure)` "
                "or `optimizer_closure()` in it."
            )
        self.progress.global_step += 1
        return outputs

    def step(self, optimizer: Optimizer, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """What ``optimizer.step(closure)`` means to the user's override."""
        if self.scaled:
            answer = closure() if closure is not None else None
            self.precision.unscale(optimizer)
            self.before_step(optimizer)
            self.precision.step(optimizer, **kwargs)
            return answer

        def evaluated() -> Any:
            loss = closure() if closure is not None else None
            self.before_step(optimizer)
            return loss

        return optimizer.step(evaluated, **kwargs)

    def before_step(self, optimizer: Optimizer) -> None:
        if self.session.plan.exact_accumulation:
            self.divide_by_true_window(self.batch_idx)
        if self.hooks.on_before_optimizer_step is not None:
            self.hooks.on_before_optimizer_step(optimizer)
        self.clip()


class ManualStep:
    """The user's ``training_step`` does it all; its optimizers count their steps."""

    def __init__(self, session: Session) -> None:
        self.moment, self.training_step = session.moment, session.steps["training_step"]

    def use(self, optimizers: list[Optimizer]) -> None:
        """Nothing is held: the module asks for its optimizers at each step."""

    def __call__(self, batch: Any, batch_idx: int, opens: bool, closes: bool) -> Outputs:
        outer, self.moment.hook = self.moment.hook, "training_step"
        output = self.training_step(batch, batch_idx)
        self.moment.hook = outer
        if output is None:
            return {}
        if isinstance(output, Tensor):
            return {"loss": output.detach()}
        if isinstance(output, Mapping):
            return {
                key: value.detach() if key == "loss" and isinstance(value, Tensor) else value
                for key, value in output.items()
            }
        raise MisconfigurationException(
            f"With manual optimisation `training_step` must return a tensor, a dict or None, not "
            f"{type(output).__name__}."
        )


def watch_parts(step: Any, session: Session, profiler: Profiler) -> None:
    """Let the profiler see what an automatic step is made of. The parts of a manual one are the user's calls."""
    if isinstance(step, ManualStep):
        return
    backward = of_strategy(session, "backward")
    if step.backward is None and step.precisions_backward is not None:
        step.precisions_backward = profiler.watched(step.precisions_backward, backward)
    else:
        step.backward = profiler.watched(step.backward or Tensor.backward, backward)
    step.zero_grad = profiler.watched(step.zero_grad, of_module(session, "optimizer_zero_grad"))
    step.clip = profiler.watched(step.clip, of_module(session, "configure_gradient_clipping"))
    name = of_module(session, "optimizer_step")
    if isinstance(step, ClosureStep):
        step.optimizer_step = profiler.watched(step.optimizer_step, name)
    else:
        step.change_weights = profiler.watched(step.change_weights or (lambda optimizer: optimizer.step()), name)


def manual_optimizer_step(session: Session, optimizer: Optimizer, closure: Any = None, **kwargs: Any) -> Any:
    """What ``self.optimizers().step()`` does: hooks, precision, and one more ``global_step``."""
    precision, hooks = session.precision, session.hooks
    if precision.scales:
        answer = closure() if closure is not None else None
        precision.unscale(optimizer)
        if hooks.on_before_optimizer_step is not None:
            hooks.on_before_optimizer_step(optimizer)
        precision.step(optimizer, **kwargs)
    else:

        def evaluated() -> Any:
            with torch.enable_grad():
                loss = closure() if closure is not None else None
            if hooks.on_before_optimizer_step is not None:
                hooks.on_before_optimizer_step(optimizer)
            return loss

        answer = optimizer.step(evaluated, **kwargs)
    session.progress.global_step += 1
    return answer


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    return [parameter.grad for parameter in parameters_of(optimizer) if parameter.grad is not None]


def _override(session: Session, name: str) -> Callable[..., Any] | None:
    return getattr(session.module, name) if overrides(session.module, name, LightningModule) else None


def _wants_closure(optimizer: Optimizer) -> bool:
    """LBFGS does; of an optimizer that is not torch's own nobody knows, so it gets one as well."""
    return isinstance(optimizer, LBFGS) or not type(optimizer).__module__.startswith("torch.optim.")


def _loss_of(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    if output is None:
        warn_once(
            "`training_step` returned None: the batch is skipped. If this was on purpose, ignore this; otherwise "
            "return the loss. Of several processes all must skip the same step, or some wait for the others for ever: "
            "where one has nothing to learn from, let it return `0 * sum(p.sum() for p in self.parameters())`."
        )
        return None
    if isinstance(output, Mapping):
        if "loss" not in output:
            raise MisconfigurationException(
                "`training_step` returned a dict without the key 'loss', so there is nothing to step on; "
                f"found: {', '.join(map(repr, output)) or 'nothing'}."
            )
        if not isinstance(output["loss"], Tensor):
            raise MisconfigurationException(
                f"In automatic optimisation the 'loss' that `training_step` returns must be a tensor, "
                f"not {output['loss']!r}. Return None instead of a dict to skip the batch."
            )
        return output["loss"]
    raise MisconfigurationException(
        f"In automatic optimisation `training_step` must return a tensor, a dict with the key 'loss', or None, "
        f"not {type(output).__name__}."
    )
