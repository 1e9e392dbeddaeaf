"""All that ``self.log`` writes to: one `Metrics` a stage, one meter a (hook, name, loader).

The first call for a key decides everything (defaults, reduction, names); later calls look the meter up, compare one
tuple, and keep or add. Meters hold detached tensors and never wait for the device; values leave it when a row is due.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fulgurite.base.arguments import fitting, shown
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn, warn_once
from fulgurite.base.tree import batch_size_of

FREE, EPOCH_ONLY = "free", "epoch only"

_STEP_FIRST = (FREE, True, False)
_EPOCH_FIRST = (FREE, False, True)
_AT_THE_EDGES = (EPOCH_ONLY, False, True)

LOGGABLE: dict[str, tuple[str, bool, bool]] = {
    **dict.fromkeys(
        (
            "training_step", "on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "optimizer_zero_grad",
            "on_before_backward", "backward", "on_after_backward", "on_before_optimizer_step",
            "configure_gradient_clipping", "clip_gradients", "optimizer_step",
        ),
        _STEP_FIRST,
    ),
    **{f"{stage}_step": _EPOCH_FIRST for stage in ("validation", "test")},
    **{f"on_{stage}_batch_{edge}": _EPOCH_FIRST for stage in ("validation", "test") for edge in ("start", "end")},
    **{f"on_{stage}_start": _AT_THE_EDGES for stage in ("train", "validation", "test")},
    **{
        f"on_{stage}_epoch_{edge}": _AT_THE_EDGES
        for stage in ("train", "validation", "test")
        for edge in ("start", "end")
    },
}  # fmt: skip
"""Hook → (which flags it allows, default on_step, default on_epoch). A hook that is not here cannot log."""

REDUCTIONS: dict[Any, str] = {
    "mean": "mean", "avg": "mean", "sum": "sum", "min": "min", "max": "max",
    torch.mean: "mean", torch.sum: "sum", torch.min: "min", torch.max: "max",
}  # fmt: skip

_FULL = frozenset({torch.float32, torch.float64})


class Flags(NamedTuple):
    """The arguments of one ``self.log`` call that must stay the same for its key."""

    prog_bar: bool = False
    logger: bool | None = None
    on_step: bool | None = None
    on_epoch: bool | None = None
    reduce_fx: Any = "mean"
    enable_graph: bool = False
    sync_dist: bool = False
    sync_dist_group: Any = None
    add_dataloader_idx: bool = True
    rank_zero_only: bool = False


@dataclass(slots=True)
class Moment:
    """What happens right now: which hook runs, on which batch of which loader, and where its measurements go."""

    hook: str | None = None
    metrics: "Metrics | None" = None
    batch: Any = None
    batch_size: int | None = None
    dataloader_idx: int | None = None
    """Set only where a stage has several loaders."""
    profiler: Any = None
    """What measures the run's hooks, while one runs that is measured."""

    def begin(self, batch: Any, dataloader_idx: int | None = None) -> None:
        self.batch, self.batch_size, self.dataloader_idx = batch, None, dataloader_idx


class Metrics:
    """The measurements of one stage (train, validate, sanity check, test)."""

    def __init__(self, moment: Moment, training: bool, has_logger: bool = True) -> None:
        self.moment = moment
        self.training = training
        self.has_logger = has_logger
        self.at_epoch_end = True
        self.has_step_values = False
        self.meters: dict[tuple[str | None, str, int | None], Meter] = {}
        self.attribute_of: Callable[[Any, str | None], str] = _given_name

    def log(self, name: str, value: Any, flags: tuple[Any, ...], batch_size: int | None, attribute: str | None) -> None:
        """Take one value under ``name``. ``flags`` is a plain tuple in the order of `Flags`."""
        moment = self.moment
        try:
            meter = self.meters.get((moment.hook, name, moment.dataloader_idx))
        except TypeError:  # it has no hash, as a list has none
            meter = None
        if meter is None:
            _check_call(name, flags, batch_size)
            meter = self._open(name, value, Flags(*flags), attribute)
        elif meter.flags != flags:
            raise MisconfigurationException(
                f"self.log({name!r}, ...) was called twice in `{moment.hook}` with different arguments: "
                f"{_difference(meter.flags, flags)}. Use the same arguments, or another name."
            )
        if value.__class__ is Tensor:
            if value.ndim or value.dtype not in _FULL:
                value = _measure(name, value)
            if not meter.keeps_graph:
                value = value.detach()
        elif value.__class__ is not float:
            value = _measure(name, value) if not meter.takes_objects else value
        if meter.weighs and batch_size is None:
            batch_size = moment.batch_size
            if batch_size is None:
                batch = moment.batch
                batch_size = moment.batch_size = 1 if batch is None else batch_size_of(batch)
        meter.add(value, batch_size)

    def begin_batches(self) -> None:
        self.at_epoch_end = False

    def end_epoch(self) -> None:
        """From here on, views show what the epoch amounts to."""
        self.at_epoch_end = True

    def end_loader(self, loader: int | None) -> None:
        """The batches of this loader are over, and others follow."""

    def reset(self) -> None:
        for meter in self.meters.values():
            meter.reset()

    def state(self) -> list[dict[str, Any]]:
        """All that was logged since the last `reset`, as plain data."""
        return [{"hook": hook, **meter.state()} for (hook, _, _), meter in self.meters.items()]

    def load(self, states: list[dict[str, Any]], module: Any, device: Any) -> None:
        """Go on with what `state` gave; torchmetrics objects are found in ``module``."""
        names = {name for name, _ in module.named_modules()}
        for state in states:
            if state["attribute"] and state["attribute"] not in names:
                continue  # the module does not have it any more
            flags = Flags(**{**state["flags"], "reduce_fx": _REDUCE_FX[state["flags"]["reduce_fx"]]})
            meter = self._meter(state["hook"], state["name"], flags, bool(state["attribute"]))
            meter.on_step, meter.on_epoch, meter.loader = state["on_step"], state["on_epoch"], state["loader"]
            meter.load(state, module, device)
            self.meters[state["hook"], meter.name, meter.loader] = meter
            self.has_step_values = self.has_step_values or meter.on_step

    def values(self, on_step: bool, loader: int | None = None, every_loader: bool = True) -> "Iterator[Reading]":
        """Yield the filled meters that have a value for a step, or for an epoch; of one loader or of all."""
        for meter in self.meters.values():
            if not meter.filled or not (every_loader or meter.loader == loader):
                continue
            if on_step and meter.on_step:
                yield Reading(meter, meter.step_value(), on_step)
            elif not on_step and meter.on_epoch:
                yield Reading(meter, meter.epoch_value(), on_step)

    def row(self, on_step: bool, loader: int | None = None, every_loader: bool = True) -> dict[str, Any]:
        """Return what goes to the loggers: names with their forks and suffixes, tensors still on their device."""
        readings = self.values(on_step, loader, every_loader)
        shown = [reading for reading in readings if reading.meter.logger and reading.value is not None]
        return {reading.forked: as_tensor(reading.value) for reading in shown}

    def _open(self, name: str, value: Any, flags: Flags, attribute: str | None) -> "Meter":
        hook, loader = self.moment.hook, self.moment.dataloader_idx
        key = (hook, name, loader)
        if not flags.add_dataloader_idx and any(known[:2] == key[:2] for known in self.meters):
            raise MisconfigurationException(
                f"self.log({name!r}, ..., add_dataloader_idx=False) was called for two dataloaders with the same "
                f"name in "
                f"`{hook}`. Use a name for each, or add_dataloader_idx=True."
            )
        _when(name, hook, flags)
        if flags.add_dataloader_idx and "/dataloader_idx_" in name:
            raise MisconfigurationException(
                f"self.log({name!r}, ...): '/dataloader_idx_' is added for you. Leave it out, or pass "
                f"add_dataloader_idx=False."
            )
        if flags.logger and not self.has_logger:
            rank_zero_warn(f"self.log({name!r}, ..., logger=True) was called, but the Trainer has no logger.")
        is_object = is_metric_object(value)
        meter = self._meter(hook, name, flags, is_object)
        meter.loader, meter.attribute = loader, self.attribute_of(value, attribute) if is_object else ""
        self.meters[key] = meter
        self.has_step_values = self.has_step_values or meter.on_step
        return meter

    def _meter(self, hook: str | None, name: str, flags: Flags, is_object: bool) -> "Meter":
        on_step, on_epoch = _when(name, hook, flags)
        kind = METERS[_reduction(name, flags.reduce_fx)]
        return (ObjectMeter if is_object else kind)(name, flags, on_step, on_epoch, None)


def _check_call(name: str, flags: tuple[Any, ...], batch_size: int | None) -> None:
    """Raise ``MisconfigurationException`` for a name, flag or batch size that is none."""
    fitting(name, str, "self.log({}, ...)")
    for flag, value in zip(Flags._fields, flags, strict=True):
        if flag in _SWITCHES:
            fitting(value, bool | None, f"self.log({name!r}, ..., {flag}={{}})")
    size = fitting(batch_size, int | None, f"self.log({name!r}, ..., batch_size={{}})")
    if size is not None and size < 0:
        raise MisconfigurationException(f"self.log({name!r}, ..., batch_size={batch_size}): must not be negative.")


_SWITCHES = {
    "prog_bar", "logger", "on_step", "on_epoch", "enable_graph", "sync_dist", "add_dataloader_idx", "rank_zero_only",
}  # fmt: skip


class SilentMetrics(Metrics):
    """Records nothing."""

    def log(self, name: str, value: Any, flags: tuple[Any, ...], batch_size: int | None, attribute: str | None) -> None:
        warn_once("`self.log` was called, but `Trainer(barebones=True)` records nothing.")


class Meter:
    """One number on its way: the last step's value, and what the epoch adds up to."""

    __slots__ = (
        "name", "flags", "on_step", "on_epoch", "loader", "logger", "prog_bar", "keeps_graph", "weighs",
        "filled", "last", "total", "weight", "attribute", "shared",
    )  # fmt: skip
    takes_objects = False
    weighted = False
    operation = "mean"

    def __init__(self, name: str, flags: Flags, on_step: bool, on_epoch: bool, loader: int | None) -> None:
        self.name, self.flags, self.loader = name, flags, loader
        self.on_step, self.on_epoch = on_step, on_epoch
        self.logger = flags.logger is None or flags.logger
        self.prog_bar, self.keeps_graph = flags.prog_bar, flags.enable_graph
        self.weighs = self.weighted and on_epoch
        self.attribute = ""
        """Where in the module the torchmetrics object is, for one that holds it."""
        self.reset()

    def reset(self) -> None:
        self.filled = False
        self.last: Any = None
        self.total: Any = None
        self.weight: float = 0
        self.shared: Any = None
        """The epoch's value over all ranks, once they have met."""

    def add(self, value: Any, weight: int | None) -> None:
        # A copy: the user may change the tensor in place (`loss /= 2`, a running buffer) before the row is written, and
        # a view would keep the whole of a big tensor alive.
        kept = value.clone() if value.__class__ is Tensor else value
        if self.on_step:
            self.last = kept
        if self.on_epoch:
            self.total = kept if self.total is None else self.join(self.total, kept)
        self.filled = True

    def join(self, total: Any, value: Any) -> Any:
        raise NotImplementedError

    def step_value(self) -> Any:
        return self.last

    def epoch_value(self) -> Any:
        return self.total if self.shared is None else self.shared

    def state(self) -> dict[str, Any]:
        """What it holds, as plain data: tensors, numbers and names."""
        flags = self.flags._asdict()
        flags |= {"reduce_fx": _named(flags["reduce_fx"]), "sync_dist_group": None}
        kept = {name: getattr(self, name) for name in ("name", "loader", "on_step", "on_epoch", "filled", "weight")}
        values = {name: detached(getattr(self, name)) for name in ("last", "total")}
        return {**kept, **values, "attribute": self.attribute, "flags": flags}

    def load(self, state: dict[str, Any], module: Any, device: Any) -> None:
        """Take up what `state` gave."""
        self.filled, self.weight, self.attribute = state["filled"], state["weight"], state["attribute"]
        for name in ("last", "total"):
            value = state[name]
            setattr(self, name, value.to(device) if isinstance(value, Tensor) else value)

    @property
    def suffix(self) -> str:
        return "" if self.loader is None or not self.flags.add_dataloader_idx else f"/dataloader_idx_{self.loader}"


class MeanMeter(Meter):
    """Σ value·batch_size / Σ batch_size."""

    __slots__ = ()
    weighted = True

    def add(self, value: Any, weight: int | None) -> None:
        is_tensor = value.__class__ is Tensor
        if self.on_step:
            # A copy: the user may change the tensor in place (`loss /= 2`, a running buffer) before the row is written.
            self.last = value.clone() if is_tensor else value
        if self.on_epoch:
            total = self.total
            if total is None:
                self.total = value * weight
            elif is_tensor and total.__class__ is Tensor and not self.keeps_graph and total.device == value.device:
                # Multiplied first: fused into the addition it would round otherwise than Lightning does.
                total.add_(value * weight)
            else:
                self.total = _near(total, value) + value * weight
            self.weight += weight  # type: ignore[operator]
        self.filled = True

    def epoch_value(self) -> Any:
        if self.shared is not None:
            return self.shared
        # Where all batches were said to be empty, there is nothing that a mean could be of.
        return self.total / self.weight if self.weight else self.total * math.nan


class SumMeter(Meter):
    __slots__ = ()
    operation = "sum"

    def join(self, total: Any, value: Any) -> Any:
        return _near(total, value) + value


class MaxMeter(Meter):
    __slots__ = ()
    operation = "max"

    def join(self, total: Any, value: Any) -> Any:
        return _pick(torch.maximum, max, total, value)


class MinMeter(Meter):
    __slots__ = ()
    operation = "min"

    def join(self, total: Any, value: Any) -> Any:
        return _pick(torch.minimum, min, total, value)


class ObjectMeter(Meter):
    """A torchmetrics object: it reduces itself."""

    __slots__ = ()
    takes_objects = True

    def add(self, value: Any, weight: int | None) -> None:
        self.last, self.filled = value, True

    def state(self) -> dict[str, Any]:
        # The object's own state is kept with the module: it may be updated without being logged.
        return {**super().state(), "last": None}

    def load(self, state: dict[str, Any], module: Any, device: Any) -> None:
        super().load(state, module, device)
        self.last = module.get_submodule(self.attribute) if self.filled else None

    def step_value(self) -> Any:
        return self._checked(self.last._forward_cache)

    def epoch_value(self) -> Any:
        return self._checked(self.last.compute()) if self.shared is None else self.shared

    def reset(self) -> None:
        metric = getattr(self, "last", None)
        if metric is not None and self.on_epoch:
            metric.reset()
        self.filled, self.last, self.total, self.weight, self.shared = False, None, None, 0, None

    def _checked(self, value: Any) -> Any:
        if value is not None and not isinstance(value, Tensor):
            raise ValueError(
                f"The metric logged as {self.name!r} must compute a tensor, but gave {type(value).__name__}. "
                "Log its parts one by one, or use self.log_dict with a MetricCollection."
            )
        return value


METERS: dict[str, type[Meter]] = {"mean": MeanMeter, "sum": SumMeter, "min": MinMeter, "max": MaxMeter}


class Reading(NamedTuple):
    """A meter and the value it shows at this point."""

    meter: Meter
    value: Any
    on_step: bool

    @property
    def name(self) -> str:
        return self.meter.name + self.meter.suffix

    @property
    def forked(self) -> str:
        meter = self.meter
        if not (meter.on_step and meter.on_epoch):
            return self.name
        return f"{meter.name}_{'step' if self.on_step else 'epoch'}{meter.suffix}"


class Board:
    """The three dicts that users read. Filled from the open `Metrics` when read, and kept from stage to stage."""

    def __init__(self) -> None:
        self.callback: dict[str, Any] = {}
        self.logged: dict[str, Any] = {}
        self.bar: dict[str, Any] = {}

    def clear(self) -> None:
        # New dicts: what somebody kept from an earlier call stays as it was.
        self.callback, self.logged, self.bar = {}, {}, {}

    def take(self, metrics: Metrics, on_step: bool, loader: int | None = None, every_loader: bool = True) -> None:
        for reading in metrics.values(on_step, loader, every_loader):
            if reading.value is None:
                continue
            value, meter = as_tensor(reading.value), reading.meter
            if meter.logger:
                self.logged[reading.forked] = value
            if meter.prog_bar:
                self.bar[reading.forked] = value
            if metrics.training or not on_step:
                self.callback[reading.name] = self.callback[reading.forked] = value


def _given_name(metric: Any, name: str | None) -> str:
    return name or ""


def as_tensor(value: Any) -> Tensor:
    """Return a number as a tensor: rounded alike, whoever made it."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.get_default_dtype())


def scalars(row: dict[str, Any]) -> dict[str, float]:
    """Return the row as Python floats, with one copy from each device."""
    tensors = {name: value for name, value in row.items() if isinstance(value, Tensor) and not value.is_cpu}
    if len(tensors) > 1:
        row = {**row, **dict(zip(tensors, _fetched(list(tensors.values())), strict=True))}
    return {name: _scalar(value) for name, value in row.items()}


def is_metric_object(value: Any) -> bool:
    torchmetrics = sys.modules.get("torchmetrics")
    return torchmetrics is not None and isinstance(value, torchmetrics.Metric)


def _fetched(tensors: list[Tensor]) -> list[float]:
    # No wider than what was logged: Apple's GPUs have no float64.
    wide = torch.float64 if any(tensor.dtype is torch.float64 for tensor in tensors) else torch.float32
    return torch.stack([tensor.detach().reshape(()).to(wide) for tensor in tensors]).tolist()


def _scalar(value: Any) -> float:
    return value.item() if isinstance(value, Tensor) else float(value)


def _when(name: str, hook: str | None, flags: Flags) -> tuple[bool, bool]:
    if hook is None:
        raise MisconfigurationException(
            f"self.log({name!r}, ...) was called outside a hook that the Trainer runs, so there is no step it "
            f"belongs to."
        )
    allowed, on_step, on_epoch = LOGGABLE.get(hook, (None, False, False))
    if allowed is None:
        raise MisconfigurationException(
            f"You can't `self.log()` inside `{hook}`: no step or epoch takes the value there."
        )
    if allowed is EPOCH_ONLY and flags.on_step:
        raise MisconfigurationException(
            f"You can't `self.log(on_step=True)` inside `{hook}`: there is no step. Use on_epoch."
        )
    if allowed is EPOCH_ONLY and flags.on_epoch is False:
        raise MisconfigurationException(f"You can't `self.log(on_epoch=False)` inside `{hook}`: there is nothing else.")
    on_step = on_step if flags.on_step is None else flags.on_step
    on_epoch = on_epoch if flags.on_epoch is None else flags.on_epoch
    if not on_step and not on_epoch:
        raise MisconfigurationException(
            f"self.log({name!r}, on_step=False, on_epoch=False) is not useful: the value would go nowhere."
        )
    return on_step, on_epoch


def _reduction(name: str, reduce_fx: Any) -> str:
    try:
        found = REDUCTIONS.get(reduce_fx)
    except TypeError:
        found = None
    if found is None:
        raise MisconfigurationException(
            f"self.log({name!r}, reduce_fx={reduce_fx!r}): only mean, sum, min and max (or the torch functions) are "
            f"supported. "
            "For anything else log a `torchmetrics.Metric`, or log the value in an epoch-end hook."
        )
    return found


def _measure(name: str, value: Any) -> Any:
    """Turn what was given into a float or a floating-point tensor of one element, or say what is wrong with it."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(
                f"self.log({name!r}, ...): a tensor of one element was expected, but it has the shape "
                f"{tuple(value.shape)}. "
                "Reduce it first, for example with .mean()."
            )
        value = value.as_subclass(Tensor) if value.__class__ is not Tensor else value
        if value.dtype in _FULL:
            return value.reshape(())
        if not value.is_floating_point():
            default = torch.get_default_dtype()
            warn_once(f"self.log({name!r}, ...): the tensor has the dtype {value.dtype}; it is kept as {default}.")
            return value.to(default).reshape(())
        return value.float().reshape(())
    number = value.item() if hasattr(value, "item") and getattr(value, "size", None) == 1 else value
    if isinstance(number, bool | float) or isinstance(number, int) and abs(number) <= sys.float_info.max:
        return float(number)
    if isinstance(value, dict):
        raise ValueError(f"self.log({name!r}, {{...}}): a dict was given. Use self.log_dict for several values.")
    raise ValueError(
        f"self.log({name!r}, {shown(value)}): a number, a tensor of one element or a torchmetrics.Metric was expected, "
        f"not {type(value).__name__}."
    )


_REDUCE_FX: dict[str, Any] = {_name: _name for _name in REDUCTIONS if isinstance(_name, str)} | {
    f"torch.{_function.__name__}": _function for _function in REDUCTIONS if not isinstance(_function, str)
}


def _named(reduce_fx: Any) -> str:
    return next(name for name, known in _REDUCE_FX.items() if known is reduce_fx or known == reduce_fx)


def detached(value: Any) -> Any:
    """A tensor without its graph; anything else as it is."""
    return value.detach() if isinstance(value, Tensor) else value


def _difference(before: tuple[Any, ...], now: tuple[Any, ...]) -> str:
    changes = [
        f"{field}={old!r} then {new!r}"
        for field, old, new in zip(Flags._fields, before, now, strict=True)
        if old != new
    ]
    return ", ".join(changes)


def _near(total: Any, value: Any) -> Any:
    moves = isinstance(total, Tensor) and isinstance(value, Tensor) and total.device != value.device
    return total.to(value.device) if moves else total


def _pick(on_tensors: Callable[..., Any], on_numbers: Callable[..., Any], total: Any, value: Any) -> Any:
    if isinstance(total, Tensor) or isinstance(value, Tensor):
        return on_tensors(_near(as_tensor(total), value), as_tensor(value))
    return on_numbers(total, value)
