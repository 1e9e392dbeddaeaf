"""Charts over something other than the step: time, an epoch, or any other key of the same run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fulgurite.track.store.buckets import Chart, stretches
from fulgurite.track.store.history import FIRST_STEP, LAST_STEP, STEP, History

Array = Any  # a numpy array of numbers
ENOUGH = 4  # summaries to a stretch: of fewer the edges would show


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
        low = FIRST_STEP if view.low is None else min(max(math.floor(view.low), FIRST_STEP), LAST_STEP)
        high = LAST_STEP if view.high is None else max(min(math.ceil(view.high), LAST_STEP), FIRST_STEP)
        chart: Chart = history.chart(run, path, view.buckets, low, high, view.stream)
        return {"x": chart.steps, "low": chart.low, "high": chart.high, "last": chart.last}
    x, y = history.blocks(run, view.axis, view.stream), history.blocks(run, path, view.stream)
    if not _rise_together(x, y):
        return _one_by_one(history, run, path, view, FIRST_STEP, LAST_STEP)
    seen = _between(x["low"], x["high"], view)
    x, y = x[seen], y[seen]
    if len(x) >= ENOUGH * view.buckets:
        return _gathered(x["value"], y["low"], y["high"], y["value"], view.buckets)
    if not len(x):
        return _one_by_one(history, run, path, view, 0, -1)
    return _one_by_one(history, run, path, view, int(x["first"][0]), int(x["last"][-1]))


def _rise_together(x: Array, y: Array) -> bool:
    """Whether the summaries are of the same steps and those of the axis rise, so that one stands for its place."""
    if len(x) != len(y) or not ((x["first"] == y["first"]) & (x["last"] == y["last"])).all():
        return False
    return bool((x["high"] == x["value"]).all() and (x["low"][1:] >= x["high"][:-1]).all())


def _between(lowest: Array, highest: Array, view: View) -> Array:
    """Which stretches of the axis, from ``lowest`` to ``highest``, reach into what is to be seen."""
    seen = np.isfinite(highest)
    if view.low is not None:
        seen &= highest >= view.low
    if view.high is not None:
        seen &= lowest <= view.high
    return seen


def _one_by_one(history: History, run: int, path: str, view: View, first: int, last: int) -> Mapping[str, Array]:
    """The line from each single value at the steps from ``first`` to ``last``."""
    values = history.read(run, path, first, last, view.stream)
    places = history.read(run, view.axis, first, last, view.stream)
    _, here, there = np.intersect1d(values.steps, places.steps, assume_unique=True, return_indices=True)
    x, y = places.numbers()[there], values.numbers()[here]
    inside = _between(x, x, view)
    x, y = x[inside], y[inside]
    if len(x) > 1 and not (np.diff(x) >= 0).all():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return _gathered(x, y, y, y, view.buckets)


def _gathered(x: Array, low: Array, high: Array, last: Array, buckets: int) -> Mapping[str, Array]:
    """At most ``buckets`` stretches of equal width over rising ``x``, each with its lowest, highest and last value."""
    if len(x) <= buckets:
        return {"x": x, "low": low, "high": high, "last": last}
    starts, ends = stretches(x, buckets)
    return {
        "x": x[ends],
        "low": np.fmin.reduceat(low, starts),
        "high": np.fmax.reduceat(high, starts),
        "last": last[ends],
    }
