"""The rows that everything here reads: times, numbers, categories, in order of time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Category:
    """One column of words: ``codes`` (n,) int32 are places in ``words``, -1 where the cell is empty."""

    name: str
    codes: np.ndarray
    words: tuple[str, ...]

    def rows(self, part: slice) -> "Category":
        return replace(self, codes=self.codes[part])


@dataclass(frozen=True)
class Series:
    """Rows in order of time.

    ``time`` (n,) datetime64[us]: instants (UTC where the source names a zone), never decreasing. ``clock`` (n,)
    datetime64[us]: the same moments on the wall clock of the source, from which the calendar is read; None where the
    source has no times, and then ``time`` counts rows as seconds. ``values`` (n, c) float64, NaN where there is no
    finite number; column 0 is the one that is watched, ``names`` are the columns' names. ``label`` (n,) bool, True in
    an anomaly. ``order`` (n,) is each row's place in the source. ``notes``: what was guessed or repaired, in sentences.
    """

    time: np.ndarray
    clock: np.ndarray | None
    values: np.ndarray
    names: tuple[str, ...]
    categories: tuple[Category, ...] = ()
    label: np.ndarray | None = None
    order: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.time)

    @property
    def value(self) -> np.ndarray:
        """The watched column."""
        return self.values[:, 0]

    @property
    def step(self) -> float:
        """The median distance of two rows in seconds; 0 for fewer than two rows."""
        return float(np.median(np.diff(self.time).astype(np.int64)) / 1e6) if len(self) > 1 else 0.0

    @property
    def days(self) -> float:
        """How many days of the wall clock the rows span; 0 without a clock."""
        if self.clock is None or not len(self):
            return 0.0
        return float((self.clock[-1] - self.clock[0]) / np.timedelta64(1, "D"))

    def rows(self, start: int | None = None, stop: int | None = None) -> "Series":
        """The rows from ``start`` up to ``stop``, as a slice counts them, without their notes."""
        part = slice(start, stop)
        return replace(
            self,
            time=self.time[part],
            clock=None if self.clock is None else self.clock[part],
            values=self.values[part],
            categories=tuple(column.rows(part) for column in self.categories),
            label=None if self.label is None else self.label[part],
            order=None if self.order is None else self.order[part],
            notes=(),
        )


def chunks(series: Series, size: int) -> Sequence[Series]:
    """The series in pieces of at most ``size`` rows."""
    return [series.rows(start, start + size) for start in range(0, len(series), size)]
