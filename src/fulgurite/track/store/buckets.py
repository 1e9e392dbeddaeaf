"""A million values as a line of a thousand pixels: lowest, highest and last value of each stretch, never a sample."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fulgurite.track.store.cells import Column, Numbers, Steps


@dataclass(slots=True)
class Chart:
    """``n`` stretches: the step of each one's last value, its lowest, highest and last value (each (n,)).

    Numbers that are not there (NaN) count as neither lowest nor highest; a stretch of them alone is NaN.
    """

    steps: Steps
    low: Numbers
    high: Numbers
    last: Numbers

    def __len__(self) -> int:
        return len(self.steps)


def chart_of(part: Column) -> Chart:
    """Each value as a stretch of its own."""
    numbers = part.numbers()
    return Chart(part.steps, numbers, numbers, numbers)


def bucketed(part: Column, buckets: int) -> Chart:
    """At most ``buckets`` stretches of equal width over the steps of ``part``."""
    if len(part) <= buckets:
        return chart_of(part)
    numbers = part.numbers()
    starts, ends = stretches(part.steps, buckets)
    return Chart(part.steps[ends], np.fmin.reduceat(numbers, starts), np.fmax.reduceat(numbers, starts), numbers[ends])


def from_blocks(blocks: Any, buckets: int) -> Chart:
    """The same from summaries (``cells.SUMMARY``) of blocks of values, in their order."""
    starts, ends = stretches(blocks["first"], buckets)
    return Chart(
        blocks["last"][ends],
        np.fmin.reduceat(blocks["low"], starts),
        np.fmax.reduceat(blocks["high"], starts),
        blocks["value"][ends],
    )


def stretches(places: Any, buckets: int) -> tuple[Any, Any]:
    """Where in rising ``places`` each of ``buckets`` stretches of equal width begins and ends, if it holds one."""
    span = float(places[-1]) - float(places[0]) or 1.0
    stretch = np.minimum((places - places[0]) * (buckets / span), buckets - 1).astype(np.int64)
    starts = np.flatnonzero(np.diff(stretch, prepend=-1))
    return starts, np.append(starts[1:], len(places)) - 1
