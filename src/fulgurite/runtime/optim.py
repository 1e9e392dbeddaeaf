"""Optimizers and schedulers: what `configure_optimizers` returned, and how they are stepped, clipped and moved."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn
from fulgurite.base.tree import move_data_to_device
from fulgurite.core.module import LightningModule
from fulgurite.core.precision import Precision
from fulgurite.runtime.hooks import call, overrides

if TYPE_CHECKING:
    from fulgurite.runtime.session import Session


@dataclass
class LRSchedulerConfig:
    """A learning rate scheduler and when it steps."""

    scheduler: Any
    name: str | None = None
    """What its learning rates are logged under."""
    interval: str = "epoch"
    frequency: int = 1
    """It steps every so many epochs, or every so many batches counted from the epoch's start."""
    reduce_on_plateau: bool = False
    """Whether a step needs the value of ``monitor``."""
    monitor: str | None = None
    strict: bool = True
    """Whether a ``monitor`` that was not logged is an error rather than a warning."""


class NoOptimizer(Optimizer):
    """Stands where `configure_optimizers` returned None: the loss is computed, nothing changes."""

    def __init__(self) -> None:
        super().__init__([torch.zeros(1)], {})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return None if closure is None else closure()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """There is nothing to clear."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Parameters are not taken."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """There is nothing to load."""

    def __repr__(self) -> str:
        return "No optimizer"


class LightningOptimizer:
    """An optimizer whose ``step`` goes through the run: it fires the hooks, follows the precision, and counts.

    ``isinstance`` takes it for the optimizer's own class, and what it does not know is answered by the optimizer.
    ``on_step(optimizer, closure, **kwargs)`` does the step; without it the optimizer steps directly.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        on_step: Callable[..., Any] | None = None,
        module: LightningModule | None = None,
    ) -> None:
        self._optimizer, self._on_step, self._module = optimizer, on_step, module

    @property
    def optimizer(self) -> Optimizer:
        return self._optimizer

    @property  # type: ignore[misc]  # a property is how an instance answers `isinstance` for another class
    def __class__(self) -> type:
        return type(self._optimizer)

    def step(self, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """Step the optimizer; ``closure`` computes the loss anew. Returns what the closure returned."""
        if closure is not None and not callable(closure):
            raise MisconfigurationException(
                f"`optimizer.step(closure)` got {closure!r} ({type(closure).__name__}); the closure must be callable."
            )
        if self._on_step is not None:
            return self._on_step(self._optimizer, closure, **kwargs)
        return self._optimizer.step(**kwargs) if closure is None else self._optimizer.step(closure, **kwargs)

    @contextmanager
    def toggle_model(self, sync_grad: bool = True) -> Iterator[None]:
        """Let only this optimizer's parameters require gradients inside.

        With ``sync_grad=False`` processes do not exchange gradients inside; on one device there is nothing to exchange.
        """
        if self._module is None:
            raise MisconfigurationException(
                "`toggle_model` needs a module: take the optimizer from `self.optimizers()`."
            )
        with self._module.toggled_optimizer(self):
            yield

    def refresh(self) -> None:
        """Kept for Lightning's scripts: attributes are always the optimizer's own."""

    def __getattr__(self, name: str) -> Any:
        if name == "_optimizer":
            # While it is unpickled there is none yet.
            raise AttributeError(name)
        return getattr(self._optimizer, name)

    def __repr__(self) -> str:
        return f"Lightning{self._optimizer!r}"


def configure(module: LightningModule) -> tuple[list[Optimizer], list[LRSchedulerConfig]]:
    """Call `configure_optimizers` and return what it means. Raises where the automatic loop could not follow it."""
    returned = module.configure_optimizers()
    optimizers, entries = _spread(returned)
    schedulers = [_config(module, entry, monitor) for entry, monitor in entries]
    _check_owners(schedulers, optimizers)
    if module.automatic_optimization and len(optimizers) > 1:
        raise RuntimeError(
            f"`configure_optimizers` returned {len(optimizers)} optimizers; the automatic loop takes one. Set "
            "`self.automatic_optimization = False` and step them yourself: `first, second = self.optimizers()`."
        )
    return optimizers, schedulers


def step_schedulers(session: "Session", interval: str, plateau: bool = False, closes: bool = True) -> None:
    """Step those schedulers that are due: of this interval, and watching a metric or not.

    Nothing happens while gradients accumulate (not ``closes``), nor with manual optimisation.
    """
    if not session.module.automatic_optimization or (interval == "step" and not closes):
        return
    progress = session.progress
    reached = progress.batches_ready if interval == "step" else progress.epoch + 1
    for config in session.schedulers:
        if config.interval != interval or config.reduce_on_plateau is not plateau or reached % config.frequency:
            continue
        metric = _monitored(config, session.trainer.callback_metrics) if plateau else None
        if plateau and session.strategy.world_size > 1:
            # All step by what rank 0 watches: rates that differ would part the weights.
            metric = session.strategy.broadcast(move_data_to_device(metric, "cpu"))
        if plateau and metric is None:
            continue
        call(session.moment, "lr_scheduler_step", session.module.lr_scheduler_step, config.scheduler, metric)
        progress.scheduler_steps += 1


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def clip(optimizer: Optimizer, value: int | float | None, algorithm: str | None, precision: Precision) -> None:
    """Clip the gradients by ``"norm"`` (default) or ``"value"``; None, zero and less clip nothing."""
    if algorithm not in (None, "norm", "value"):
        raise MisconfigurationException(f"gradient_clip_algorithm={algorithm!r}: choose 'norm' or 'value'.")
    if value is None or value <= 0:
        return
    clipped = precision.clip_grad_by_value if algorithm == "value" else precision.clip_grad_by_norm
    clipped(optimizer, value)


def optimizer_to_device(optimizer: Optimizer, device: torch.device) -> None:
    """Move the optimizer's memory to ``device``; step counts stay on the CPU where torch keeps them there."""
    counts_on_device = any(group.get("capturable") or group.get("fused") for group in optimizer.param_groups)
    for state in optimizer.state.values():
        if not isinstance(state, dict):
            continue
        for name, value in state.items():
            if name != "step" or counts_on_device:
                state[name] = move_data_to_device(value, device)


Entry = tuple[Any, str | None]
"""A scheduler, or a dict with one, and the monitor that was named beside it."""

_FORMS = (
    "an optimizer, a list of optimizers, ([optimizers], [schedulers]), "
    '{"optimizer": ..., "lr_scheduler": ..., "monitor": ...}, a list of such dicts, or None'
)


def _spread(returned: Any) -> tuple[list[Optimizer], list[Entry]]:
    if returned is None:
        rank_zero_warn(
            "`configure_optimizers` returned None: this fit runs without an optimizer, and nothing is learnt."
        )
        return [NoOptimizer()], []
    if isinstance(returned, Optimizer):
        return [returned], []
    if isinstance(returned, Mapping):
        return _spread_dicts([returned])
    if isinstance(returned, list | tuple) and returned:
        if all(isinstance(each, Optimizer) for each in returned):
            return list(returned), []
        if all(isinstance(each, Mapping) for each in returned):
            return _spread_dicts(returned)
        if len(returned) == 2 and _are_optimizers(returned[0]):
            schedulers = returned[1] if isinstance(returned[1], list | tuple) else [returned[1]]
            return list(returned[0]), [(each, None) for each in schedulers if each is not None]
    raise _unknown(returned)


def _spread_dicts(returned: Any) -> tuple[list[Optimizer], list[Entry]]:
    for each in returned:
        if not isinstance(each.get("optimizer"), Optimizer):
            raise _unknown(each)
        unknown = each.keys() - {"optimizer", "lr_scheduler", "monitor"}
        if unknown:
            _warn_of_keys(unknown, "optimizer")
    entries = [(each["lr_scheduler"], each.get("monitor")) for each in returned if each.get("lr_scheduler") is not None]
    return [each["optimizer"] for each in returned], entries


def _are_optimizers(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, Optimizer) for each in value)


def _unknown(returned: Any) -> MisconfigurationException:
    return MisconfigurationException(
        "Unknown configuration for model optimizers: "
        f"`configure_optimizers` returned {_shape(returned)}. Return {_FORMS}."
    )


def _shape(value: Any) -> str:
    """The value as its class names, nested; an optimizer's own ``repr`` fills a page."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_shape(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_shape, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return type(value).__name__


def _warn_of_keys(unknown: set[str], where: str) -> None:
    rank_zero_warn(
        f"`configure_optimizers` returned keys in the {where} dict that mean nothing here: "
        f"{', '.join(sorted(unknown))}. Remove them, or correct their spelling.",
        RuntimeWarning,
    )


def _config(module: LightningModule, entry: Any, monitor: str | None) -> LRSchedulerConfig:
    given = dict(entry) if isinstance(entry, Mapping) else {"scheduler": entry}
    unknown = given.keys() - {field.name for field in fields(LRSchedulerConfig)}
    if unknown:
        _warn_of_keys(unknown, "lr_scheduler")
        given = {key: value for key, value in given.items() if key not in unknown}
    if "scheduler" not in given:
        raise MisconfigurationException(
            f'The lr_scheduler dict must have the key "scheduler"; found: {", ".join(given) or "nothing"}.'
        )
    if not module.automatic_optimization:
        return _manual_config(given)
    config = LRSchedulerConfig(**{"monitor": monitor, **given})
    config.reduce_on_plateau = config.reduce_on_plateau or isinstance(config.scheduler, ReduceLROnPlateau)
    _check(config, overrides(module, "lr_scheduler_step", LightningModule))
    return config


def _manual_config(given: dict[str, Any]) -> LRSchedulerConfig:
    ignored = given.keys() & {"monitor", "strict", "reduce_on_plateau"}
    if ignored:
        rank_zero_warn(
            f"With manual optimisation the keys {', '.join(sorted(ignored))} of the lr_scheduler dict are not used: "
            "you call `lr_scheduler.step()` yourself. Remove them.",
            RuntimeWarning,
        )
    return LRSchedulerConfig(**{key: value for key, value in given.items() if key not in ignored})


def _check(config: LRSchedulerConfig, own_step: bool) -> None:
    name = type(config.scheduler).__name__
    if config.interval not in ("epoch", "step"):
        raise MisconfigurationException(f'interval={config.interval!r} of {name}: choose "epoch" or "step".')
    if type(config.frequency) is not int or config.frequency < 1:
        raise MisconfigurationException(f"frequency={config.frequency!r} of {name}: give an int from 1.")
    if config.reduce_on_plateau and config.monitor is None:
        raise MisconfigurationException(
            f"{name} needs a metric to watch: "
            '{"optimizer": ..., "lr_scheduler": {"scheduler": ..., "monitor": "val_loss"}}.'
        )
    if config.interval == "epoch" and isinstance(config.scheduler, OneCycleLR | CyclicLR):
        rank_zero_warn(
            f"{name} is made to step after every batch, but steps once an epoch here. "
            'Return {"scheduler": ..., "interval": "step"} for it.',
            RuntimeWarning,
        )
    if not own_step and not _steps_by_itself(config.scheduler):
        raise MisconfigurationException(
            f"The lr scheduler {name} does not follow torch's API: it needs `step()` without further arguments, "
            "`state_dict` and `load_state_dict`. Override `lr_scheduler_step(self, scheduler, metric)` otherwise."
        )


def _steps_by_itself(scheduler: Any) -> bool:
    """Whether ``scheduler.step()`` can be called, and its state saved."""
    if isinstance(scheduler, LRScheduler | ReduceLROnPlateau):
        return True
    if not all(callable(getattr(scheduler, name, None)) for name in ("step", "state_dict", "load_state_dict")):
        return False
    try:
        inspect.signature(scheduler.step).bind()
    except TypeError:
        return False
    return True


def _check_owners(schedulers: list[LRSchedulerConfig], optimizers: list[Optimizer]) -> None:
    for config in schedulers:
        owner = getattr(config.scheduler, "optimizer", None)
        if owner is not None and all(owner is not optimizer for optimizer in optimizers):
            raise MisconfigurationException(
                f"{type(config.scheduler).__name__} belongs to an optimizer that `configure_optimizers` did not "
                "return. Return that optimizer as well, or build the scheduler on a returned one."
            )


def _monitored(config: LRSchedulerConfig, metrics: Mapping[str, Any]) -> Any:
    """The value that ``config`` watches; None, after a warning, where it is missing and need not be there."""
    if config.monitor is not None and config.monitor in metrics:
        return metrics[config.monitor]
    message = (
        f"{type(config.scheduler).__name__} watches monitor={config.monitor!r}, which was not logged. "
        f"Logged so far: {', '.join(sorted(metrics)) or 'nothing'}."
    )
    if config.strict:
        raise MisconfigurationException(f"{message} Log it, watch another one, or set strict=False in the dict.")
    rank_zero_warn(f"{message} The learning rate stays as it is.", RuntimeWarning)
    return None
