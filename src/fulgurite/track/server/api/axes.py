"""Charts over something other than the step: time, an epoch, or any other key of the same run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fulgurite.track.store.buckets import Chart
from fulgurite.track.store.history import FIRST_STEP, LAST_STEP, STEP, History

Array = Any  # a numpy array of numbers


@dataclass(frozen=True)
class View:
    """What of a line is to be seen: x from ``low`` to ``high`` (None: no limit) in ``buckets`` stretches at most."""

    axis: str = STEP
    buckets: int = 1000
    low: float | None = None
    high: float | None = None
    stream: int = 0


def line(history: History, run: int, path: str, view: View) -> Mapping[str, Array]:
    """``x``, ``low``, ``high`` and ``last`` of each stretch."""
    if view.axis == STEP:
        low = FIRST_STEP if view.low is None else max(math.floor(view.low), FIRST_STEP)
        high = LAST_STEP if view.high is None else min(math.ceil(view.high), LAST_STEP)
        chart: Chart = history.chart(run, path, view.buckets, low, high, view.stream)
        return {"x": chart.steps, "low": chart.low, "high": chart.high, "last": chart.last}
    x, y = _joined(history, run, path, view)
    inside = np.isfinite(x)
    if view.low is not None:
        inside &= x >= view.low
    if view.high is not None:
        inside &= x <= view.high
    return stretches(x[inside], y[inside], view.buckets)


def _joined(history: History, run: int, path: str, view: View) -> tuple[Array, Array]:
    """The values of the axis and of the key at the steps that have both, in the order of the axis."""
    values = history.read(run, path, stream=view.stream)
    places = history.read(run, view.axis, stream=view.stream)
    _, here, there = np.intersect1d(values.steps, places.steps, assume_unique=True, return_indices=True)
    x, y = places.numbers()[there], values.numbers()[here]
    if len(x) > 1 and not (np.diff(x) >= 0).all():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return x, y


def stretches(x: Array, y: Array, buckets: int) -> Mapping[str, Array]:
    """At most ``buckets`` stretches of equal width over rising ``x``, each with its lowest, highest and last ``y``."""
    if len(x) <= buckets:
        return {"x": x, "low": y, "high": y, "last": y}
    span = float(x[-1]) - float(x[0]) or 1.0
    stretch = np.minimum((x - x[0]) * (buckets / span), buckets - 1).astype(np.int64)
    starts = np.flatnonzero(np.diff(stretch, prepend=-1))
    ends = np.append(starts[1:], len(x)) - 1
    return {"x": x[ends], "low": np.fmin.reduceat(y, starts), "high": np.fmax.reduceat(y, starts), "last": y[ends]}
