"""How a column of values becomes bytes and comes back. Pure functions; no SQL here.

A chunk is a run of a key's values in the order of their steps. Numbers are stored as arrays of 8 bytes each, integers
exactly; booleans as bytes; all else (text, media, lists, numbers that fit neither) as compressed JSON.
"""

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fulgurite.track.store.errors import Unkeepable
from fulgurite.track.store.transpose import FARTHEST

FLOAT, INTEGER, BOOLEAN, JSON = "d", "q", "b", "j"
DTYPES = {FLOAT: np.dtype("<f8"), INTEGER: np.dtype("<i8"), BOOLEAN: np.dtype("?")}
EXACT = 2**53  # beyond it a float skips integers
BLOCK = 64  # values that a summary for charts takes together
GLIMPSE = 16_384  # bytes of JSON that are read to see the first value
SUMMARY = np.dtype([("first", "<i8"), ("last", "<i8"), ("low", "<f8"), ("high", "<f8"), ("value", "<f8")])

Steps = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(slots=True)
class Column:
    """Values at rising steps: ``steps`` (n,), and ``cells``, an array of n numbers or a list of n others."""

    steps: Steps
    kind: str
    cells: Any

    def __len__(self) -> int:
        return len(self.steps)

    def values(self) -> list[Any]:
        """The values as they were logged."""
        return list(self.cells) if self.kind == JSON else self.cells.tolist()

    def numbers(self) -> Numbers:
        """The values as numbers for a chart; what is no number is NaN."""
        if self.kind == JSON:
            return np.array([_number(cell) for cell in self.cells], dtype=np.float64)
        return np.asarray(self.cells, dtype=np.float64)

    def kinds(self) -> str:
        """The kind, and FLOAT beside JSON where numbers are among the values."""
        return JSON + FLOAT if self.kind == JSON and not np.isnan(self.numbers()).all() else self.kind

    def is_same(self, other: "Column") -> bool:
        """Whether the same is stored for both."""
        return (
            self.kind == other.kind
            and np.array_equal(self.steps, other.steps)
            and packed_cells(self) == packed_cells(other)
        )

    def part(self, start: int, stop: int) -> "Column":
        """The values from number ``start`` to before number ``stop``."""
        return Column(self.steps[start:stop], self.kind, self.cells[start:stop])

    def between(self, low: int, high: int) -> "Column":
        """The part with ``low <= step <= high``."""
        return self.part(*np.searchsorted(self.steps, [low], "left"), *np.searchsorted(self.steps, [high], "right"))

    def cut(self, size: int) -> "list[Column]":
        """Pieces of at most ``size`` values."""
        return [self.part(start, start + size) for start in range(0, len(self), size)]


def column(steps: Sequence[int] | Steps, values: Sequence[Any]) -> Column:
    """The column of ``values`` at ``steps``, sorted; of several values at one step the last one counts.

    Raises ``Unkeepable`` if a step is too large to be kept.
    """
    places = _places(steps)
    kept = _in_order(places)
    if kept is not None:
        places, values = places[kept], [values[index] for index in kept.tolist()]
    kind = _kind(values)
    return Column(places, kind, list(values) if kind == JSON else np.array(values, dtype=DTYPES[kind]))


def joined(columns: Sequence[Column]) -> Column:
    """One column of several; of several values at one step the last column's counts."""
    if len(columns) == 1:
        return columns[0]
    steps, kinds = np.concatenate([each.steps for each in columns]), {each.kind for each in columns}
    if len(kinds) > 1 or JSON in kinds:
        return column(steps, [value for each in columns for value in each.values()])
    cells, kept = np.concatenate([each.cells for each in columns]), _in_order(steps)
    return Column(steps, kinds.pop(), cells) if kept is None else Column(steps[kept], kinds.pop(), cells[kept])


def _places(steps: Sequence[int] | Steps) -> Steps:
    try:
        places = np.asarray(steps, dtype=np.int64)
    except OverflowError:
        places = np.array([FARTHEST + 1])
    if len(places) and max(int(places.max()), -int(places.min())) > FARTHEST:
        raise Unkeepable(f"A step lies beyond ±2**62, where none can be kept. Given: {list(steps)[:5]} …")
    return places


def _in_order(steps: Steps) -> npt.NDArray[np.int64] | None:
    """Which of ``steps`` to take so that they rise, the last of equal ones; None if they do already."""
    if (steps[1:] > steps[:-1]).all():
        return None
    order = np.argsort(steps, kind="stable")
    placed = steps[order]
    return order[np.append(placed[1:] != placed[:-1], True)]


def packed_steps(steps: Steps) -> bytes | None:
    """None where steps have one distance, which the first, the last and the count tell; else distances to the first."""
    away = steps - steps[0]
    if len(steps) < 3 or (away == np.arange(len(steps)) * away[1]).all():
        return None
    return away.astype("<u4" if away[-1] < 2**32 else "<i8").tobytes()


def unpacked_steps(first: int, last: int, count: int, packed: bytes | None) -> Steps:
    if packed is None:
        return first + np.arange(count, dtype=np.int64) * ((last - first) // max(count - 1, 1))
    away = np.frombuffer(packed, "<u4" if len(packed) == 4 * count else "<i8")
    return first + away.astype(np.int64)


def packed_cells(part: Column) -> bytes:
    if part.kind == JSON:
        return zlib.compress(json.dumps(part.cells, separators=(",", ":")).encode(), 3)
    return part.cells.tobytes()


def unpacked_cells(kind: str, packed: bytes) -> Any:
    return json.loads(zlib.decompress(packed)) if kind == JSON else np.frombuffer(packed, DTYPES[kind])


def first_cell(kind: str, packed: bytes) -> Any:
    """The first of packed cells; of JSON, no more is read than it needs."""
    if kind != JSON:
        return unpacked_cells(kind, packed)[0].item()
    beginning = zlib.decompressobj().decompress(packed, GLIMPSE).decode("utf-8", "ignore")
    try:
        value, end = json.JSONDecoder().raw_decode(beginning, 1)
    except ValueError:  # it is longer
        return unpacked_cells(kind, packed)[0]
    return value if end < len(beginning) else unpacked_cells(kind, packed)[0]


def summary(part: Column) -> bytes | None:
    """What a chart from afar needs of each ``BLOCK`` values: first and last step, lowest, highest and last value."""
    if len(part) < 4 * BLOCK:
        return None
    starts = np.arange(0, len(part), BLOCK)
    ends = np.minimum(starts + BLOCK, len(part)) - 1
    numbers = part.numbers()
    blocks = np.empty(len(starts), dtype=SUMMARY)
    blocks["first"], blocks["last"] = part.steps[starts], part.steps[ends]
    blocks["low"], blocks["high"] = np.fmin.reduceat(numbers, starts), np.fmax.reduceat(numbers, starts)
    blocks["value"] = numbers[ends]
    return blocks.tobytes()


def _kind(values: Sequence[Any]) -> str:
    types = set(map(type, values))
    if types == {float}:
        return FLOAT
    if types == {bool}:
        return BOOLEAN
    if types == {int}:
        return INTEGER if -(2**63) <= min(values) and max(values) < 2**63 else JSON
    if types == {int, float} and all(type(value) is float or abs(value) <= EXACT for value in values):
        return FLOAT
    return JSON


def _number(cell: Any) -> float:
    if isinstance(cell, int | float):
        try:
            return float(cell)
        except OverflowError:
            return math.inf if cell > 0 else -math.inf
    return math.nan
