"""The scored rows that a picture shows, thinned so that a screen can hold them and no spike is lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fulgurite.anomaly.verdict import Verdict

Spans = Sequence[tuple[np.datetime64, np.datetime64]]


@dataclass(frozen=True)
class Rows:
    """Rows in order of time, (n,) each; ``name`` is that of the watched column.

    ``time`` is datetime64[us], or int64 where the rows have only numbers. ``parts`` sum to ``score``. NaN stands for
    what is not known.
    """

    name: str
    time: np.ndarray
    value: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    score: np.ndarray
    flags: np.ndarray
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def of(cls, verdict: "Verdict") -> "Rows":
        series, scored = verdict.series, verdict.scored
        parts = {name: scored.parts[:, place] for place, name in enumerate(verdict.part_names)}
        time = series.time if series.clock is not None else series.time.astype(np.int64) // 1_000_000
        return cls(series.names[0], time, series.value, scored.expected, scored.low, scored.high, verdict.score,
                   verdict.flags, parts)  # fmt: skip

    @property
    def clocked(self) -> bool:
        """Whether the rows have times, and not only numbers."""
        return self.time.dtype.kind == "M"

    def place(self, moment: np.datetime64) -> Any:
        """A moment as ``time`` counts it."""
        return moment if self.clocked else int(moment.astype("datetime64[us]").astype(np.int64)) // 1_000_000

    def changed(self, change: Callable[[str, np.ndarray], np.ndarray]) -> "Rows":
        """Rows whose columns are what ``change`` makes of each, given its name."""
        names = [each.name for each in fields(self) if each.name not in ("name", "parts")]
        columns: dict[str, Any] = {name: change(name, getattr(self, name)) for name in names}
        return replace(self, parts={name: change(name, part) for name, part in self.parts.items()}, **columns)


def drawable(rows: Rows, columns: int, also: Sequence[int] | np.ndarray = ()) -> tuple[Rows, str]:
    """Rows for a picture of so many pixel columns, and a sentence that says what was left out ("" if nothing was).

    They are thinned to what the eye would see of all of them and the places ``also``, and have a row of NaNs in each
    gap, so that lines break.
    """
    if len(rows) < 3:
        return rows, ""
    ticks = rows.time.astype(np.int64)
    steps = np.diff(ticks)
    limit = 3 * max(np.quantile(steps, 0.9), np.median(steps))
    if len(rows) <= 4 * columns:
        return _broken(rows, limit), ""
    few = np.union1d(_telling(rows, ticks, columns), np.asarray(also, dtype=np.int64))
    note = f"Drawn are {len(few):,} of {len(rows):,} rows: the lowest, highest and strangest of each pixel column."
    pixel = (ticks[-1] - ticks[0]) / columns
    return _broken(rows.changed(lambda _, column: column[few]), max(limit, 3 * pixel)), note


def spans(time: np.ndarray, label: np.ndarray) -> list[tuple[np.datetime64, np.datetime64]]:
    """First and last time of each run of labelled rows."""
    edges = np.diff(np.concatenate([[0], label.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(time[starts], time[stops - 1], strict=True))


def alone(column: np.ndarray) -> np.ndarray:
    """Which values have no neighbour, so that no line would show them, (n,) bool."""
    there = np.concatenate([[False], np.isfinite(column), [False]])
    return there[1:-1] & ~there[:-2] & ~there[2:]


def _telling(rows: Rows, ticks: np.ndarray, columns: int) -> np.ndarray:
    """The places of the rows that tell of each column of equal time; of one without values, one row."""
    first, width = int(ticks[0]), int(ticks[-1] - ticks[0])
    edges = np.array([first - (-column * width // columns) for column in range(columns)])
    starts = np.unique(np.searchsorted(ticks, edges))
    stops = np.append(starts[1:], len(rows))
    low, high, strange = _filled(rows.value, np.inf), _filled(rows.value, -np.inf), _filled(rows.score, -np.inf)
    flagged = np.where(rows.flags, strange, -np.inf)
    kept = [0, len(rows) - 1]
    for start, stop in zip(starts, stops, strict=True):
        part = slice(start, stop)
        found = (low[part].argmin(), *(column[part].argmax() for column in (high, strange, flagged)))
        kept += [start + place for place in found]
    return np.unique(kept)


def _filled(column: np.ndarray, filling: float) -> np.ndarray:
    return np.where(np.isnan(column), filling, column)


def _broken(rows: Rows, limit: float) -> Rows:
    gaps = np.flatnonzero(np.diff(rows.time.astype(np.int64)).astype(np.float64) > limit) + 1
    middles = rows.time[gaps - 1] + (rows.time[gaps] - rows.time[gaps - 1]) // 2
    fillings = {"time": middles, "flags": False}
    return rows.changed(lambda name, column: np.insert(column, gaps, fillings.get(name, np.nan)))
