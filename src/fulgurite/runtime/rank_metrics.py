"""Measurements of several ranks: what ``self.log(..., sync_dist=True)`` means, and torchmetrics objects.

Values of an epoch meet once, at its end, all of them together. Those of a step meet when they are logged, as do those
of epoch-end hooks: there they are used at once.
"""

import math
from typing import Any

import torch
from torch import Tensor

from fulgurite.base.errors import RanksDisagree
from fulgurite.base.rank import warn_once
from fulgurite.core.ranks import in_step
from fulgurite.core.strategy import Strategy
from fulgurite.metrics import (
    EPOCH_ONLY,
    LOGGABLE,
    MaxMeter,
    MeanMeter,
    Meter,
    Metrics,
    MinMeter,
    Moment,
    ObjectMeter,
    SumMeter,
    as_tensor,
    is_metric_object,
    scalars,
)

Key = tuple[str | None, str, int | None]


class RankMetrics(Metrics):
    """The measurements of one stage on one of several ranks."""

    def __init__(self, moment: Moment, training: bool, has_logger: bool, strategy: Strategy, module: Any) -> None:
        super().__init__(moment, training, has_logger)
        self.strategy, self.module = strategy, module

    def end_epoch(self) -> None:
        self.bring_together()
        super().end_epoch()

    def end_loader(self, loader: int | None) -> None:
        self.bring_together(loader, every_loader=False)

    def bring_together(self, loader: int | None = None, every_loader: bool = True) -> None:
        """Let all ranks have the same values of what was logged with ``sync_dist``; of one loader or of all.

        Raises `RanksDisagree` where ranks logged other names. A rank that had no batch is told what the others logged.
        """
        mine = {
            key: meter
            for key, meter in self.meters.items()
            if meter.filled and meter.shared is None and _meets(meter) and (every_loader or meter.loader == loader)
        }
        told = {key: {"hook": key[0], **_on_host(meter.state())} for key, meter in mine.items()}
        lists = {key: _lists(meter.last) for key, meter in mine.items() if isinstance(meter, ObjectMeter)}
        came = self.strategy.meet("the end of an epoch", (told, lists))[:: self.strategy.data_copies]
        everybody = [told for told, _ in came]
        agreed = _agreed(everybody)
        self.load([state for key, state in agreed.items() if key not in mine], self.module, self.strategy.root_device)
        # By name: torchmetrics objects have collectives of their own, which need the same order everywhere.
        for key in sorted(agreed, key=str):
            meter = self.meters[key]
            if isinstance(meter, ObjectMeter):
                meter.last = self.module.get_submodule(meter.attribute) if key not in mine else meter.last
                _give_lists(meter.last, {name: kind for _, lists in came for name, kind in lists.get(key, {}).items()})
                meter.shared = meter.epoch_value()
            else:
                parts = [(told[key]["total"], told[key]["weight"]) for told in everybody if key in told]
                meter.shared = _like(_joined(meter, parts), meter.total, self.strategy.root_device)

    def _meter(self, hook: str | None, name: str, flags: Any, is_object: bool) -> Meter:
        meter = super()._meter(hook, name, flags, is_object)
        if flags.rank_zero_only and not self.strategy.is_global_zero:
            return SilentMeter(name, flags, meter.on_step, meter.on_epoch, None)
        if is_object or flags.rank_zero_only:
            return meter
        at_edge = LOGGABLE[str(hook)][0] is EPOCH_ONLY
        # In an evaluation ranks have other numbers of batches, and a step has nobody to meet.
        meets_in_step = meter.on_step and self.training
        if flags.sync_dist and (meets_in_step or at_edge):
            shared = SHARED[type(meter)](name, flags, meter.on_step, meter.on_epoch, None)
            shared.strategy, shared.at_edge, shared.has_met = self.strategy, at_edge, flags.sync_dist_group is not None
            return shared
        if meter.on_epoch and not flags.sync_dist:
            warn_once(
                f"self.log({name!r}, ...) keeps the value of each rank to itself: what is shown and watched for the "
                "epoch is rank 0's. Pass sync_dist=True to have the mean over all ranks."
            )
        return meter


class SharedAtOnce(Meter):
    """Meets the other ranks whenever a value comes."""

    __slots__ = ("strategy", "at_edge", "has_met")
    strategy: Strategy
    at_edge: bool
    has_met: bool
    """Whether all ranks have said that they log this. Steps on GPUs reduce without a name, and would take any other."""

    def add(self, value: Any, weight: int | None) -> None:
        super().add(value, weight)
        if self.on_step:
            if not self.has_met:
                self.strategy.meet(f"the first {in_step(self.name)}")
                self.has_met = True
            self.last = self.strategy.reduce_logged(self.name, as_tensor(self.last), self.operation, self.group)
        elif self.at_edge:
            total = _on_host({"total": self.total})["total"]
            everybody = self.strategy.meet(f"self.log({self.name!r}, sync_dist=True)", (total, self.weight))
            parts = everybody[:: self.strategy.data_copies]
            self.shared = _like(_joined(self, parts), self.total, self.strategy.root_device)

    @property
    def group(self) -> Any:
        return self.flags.sync_dist_group


class SharedMean(SharedAtOnce, MeanMeter):
    __slots__ = ()


class SharedSum(SharedAtOnce, SumMeter):
    __slots__ = ()


class SharedMax(SharedAtOnce, MaxMeter):
    __slots__ = ()


class SharedMin(SharedAtOnce, MinMeter):
    __slots__ = ()


class SilentMeter(Meter):
    """Stands on ranks where a value logged with ``rank_zero_only`` goes nowhere."""

    __slots__ = ()

    def add(self, value: Any, weight: int | None) -> None:
        """Do nothing."""


SHARED: dict[type[Meter], type[SharedAtOnce]] = {
    MeanMeter: SharedMean,
    SumMeter: SharedSum,
    MaxMeter: SharedMax,
    MinMeter: SharedMin,
}


def _joined(meter: Meter, parts: list[tuple[float, float]]) -> float:
    """What totals and weights of several ranks amount to."""
    totals = [total for total, _ in parts]
    if meter.operation in ("min", "max"):
        return min(totals) if meter.operation == "min" else max(totals)
    weight = 1 if meter.operation == "sum" else sum(weight for _, weight in parts)
    return sum(totals) / weight if weight else math.nan


def _meets(meter: Meter) -> bool:
    if isinstance(meter, SilentMeter) or not meter.on_epoch:
        return False
    return isinstance(meter, ObjectMeter) or (meter.flags.sync_dist and not meter.flags.rank_zero_only)


def _agreed(everybody: list[dict[Key, Any]]) -> dict[Key, Any]:
    """What was logged, as the first rank that logged it tells. Ranks that logged nothing had no batch."""
    union: dict[Key, Any] = {}
    for told in everybody:
        for key, state in told.items():
            union.setdefault(key, state)
    for rank, told in enumerate(everybody):
        missing = [key for key in union if key not in told]
        if told and missing:
            hook, name, _ = missing[0]
            others = [other for other, theirs in enumerate(everybody) if missing[0] in theirs]
            theirs = ", ".join(repr(name) for _, name, _ in told)
            raise RanksDisagree(
                f"self.log({name!r}, ..., sync_dist=True) was called in `{hook}` on rank "
                f"{', '.join(map(str, others))}, but not on rank {rank} (there: {theirs}). A value that all ranks "
                "bring together must be logged by all in each epoch; log 0 or nan where there is none, or leave "
                "sync_dist out."
            )
    return union


def _lists(metric: Any) -> dict[str, tuple[torch.dtype, torch.Size]]:
    """What the lists are made of that a torchmetrics object has gathered: of which numbers, in which rows."""
    found = {(path, name): getattr(part, name) for path, part in _parts(metric) for name in part._defaults}
    lists = {f"{path}/{name}": values for (path, name), values in found.items() if isinstance(values, list) and values}
    return {name: (values[0].dtype, values[0].shape[1:]) for name, values in lists.items()}


def _give_lists(metric: Any, known: dict[str, tuple[torch.dtype, torch.Size]]) -> None:
    """Put nothing, of the right kind, into lists that are empty here alone: they are not exchanged otherwise."""
    for path, part in _parts(metric):
        for name in part._defaults:
            values, kind = getattr(part, name), known.get(f"{path}/{name}")
            if kind is not None and isinstance(values, list) and not values:
                values.append(torch.empty((0, *kind[1]), dtype=kind[0], device=part.device))


def _parts(metric: Any) -> list[tuple[str, Any]]:
    return [(path, part) for path, part in metric.named_modules() if is_metric_object(part)]


def _on_host(state: dict[str, Any]) -> dict[str, Any]:
    """The state with its tensors as numbers: they travel between processes."""
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    return {**state, **scalars(tensors)}


def _like(value: Any, own: Any, device: Any) -> Any:
    if isinstance(own, Tensor):
        return as_tensor(value).to(own.device, own.dtype)
    return as_tensor(value).to(device)
