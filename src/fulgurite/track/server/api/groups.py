"""Several lines as one: their mean, how far they lie from it, and the lowest and highest of them all."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fulgurite.track.store.buckets import stretches

Array = Any  # a numpy array of numbers


def together(lines: Sequence[Mapping[str, Array]], buckets: int) -> Mapping[str, Array]:
    """The mean of ``lines`` (as of ``axes.line``) at ``x``, their ``deviation`` from it, and ``low`` and ``high``.

    ``x`` are the places at which any line has a point, or the ends of ``buckets`` stretches where these are more. At
    each a line counts with its last value up to there, from its first point to the end of the stretch in which it
    ends; so lines with points at different places are not mistaken for fewer lines. The mean and the (population)
    deviation are over lines, each with the same weight. What is not finite counts in no mean.
    """
    lines = [line for line in lines if len(line["x"])]
    if not lines:
        return dict.fromkeys(("x", "last", "low", "high", "deviation"), np.empty(0))
    x = np.unique(np.concatenate([line["x"] for line in lines]))
    if len(x) > buckets:
        x = x[stretches(x, buckets)[1]]
    last, low, high = (np.array(parts) for parts in zip(*(_laid_on(x, line) for line in lines), strict=True))
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # Where no line has a number, there is none: that is no fault.
        warnings.simplefilter("ignore", RuntimeWarning)
        last[~np.isfinite(last)] = np.nan
        return {
            "x": x,
            "last": np.nanmean(last, axis=0),
            "low": np.fmin.reduce(low, axis=0),
            "high": np.fmax.reduce(high, axis=0),
            "deviation": np.nanstd(last, axis=0),
        }


def _laid_on(x: Array, line: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """Last, lowest and highest value of the line in each stretch of ``x``; NaN where the line is not there."""
    place: Array = np.searchsorted(line["x"], x, "right") - 1  # the line's last point in each stretch, or before it
    before: Array = np.concatenate([[-1], place[:-1]])
    there = (place >= 0) & (before < len(line["x"]) - 1)
    last, low, high = (np.where(there, line[name][place], np.nan).astype(float) for name in ("last", "last", "last"))
    # Where several points of the line lie in one stretch, their extremes count; what lay before the first is one more.
    fresh = np.flatnonzero(there & (place > before))
    if len(fresh):
        starts = before[fresh] + 1
        low[fresh] = np.fmin.reduceat(line["low"], starts)
        high[fresh] = np.fmax.reduceat(line["high"], starts)
    return last, low, high
