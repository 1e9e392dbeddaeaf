"""What the columns of a table hold: how many values, of which kind, between what, and which where they are few."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

FEW = 12  # distinct values that are told of a column
LONGEST = 100  # characters of a text that counts as a value to choose from
NOT_FINITE = ("NaN", "Infinity", "-Infinity")
BLOCK = 64  # rows whose columns are looked at together

Cells = Mapping[str, Any]
Mark = tuple[tuple[int, int], ...]  # rows by id and version


@dataclass(slots=True)
class About:
    """What a column holds over some runs. ``values`` is None if there are more than a few."""

    count: int = 0
    kinds: set[str] = field(default_factory=set)
    low: float = math.inf
    high: float = -math.inf
    values: set[Any] | None = field(default_factory=set)

    @property
    def kind(self) -> str:
        return next(iter(self.kinds)) if len(self.kinds) == 1 else "other"

    def join(self, other: "About") -> None:
        """Take in what the column holds over further runs."""
        self.count += other.count
        self.kinds |= other.kinds
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if self.values is not None:
            joined = None if other.values is None else self.values | other.values
            self.values = None if joined is None or len(joined) > FEW else joined


class Row(Protocol):
    """A row of a table. Its cells may have to be read first."""

    @property
    def cells(self) -> Cells: ...


class Blocks:
    """What is known of all columns of some rows. Where one has changed, only those near it are looked at again."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Mark, dict[str, About]]] = {}
        self._joined: dict[str, About] = {}
        self._lock = Lock()

    def columns(self, rows: Iterable[tuple[int, int, Row]]) -> dict[str, About]:
        """By name, in the order in which rows have brought them. A row stands behind its id and its version."""
        blocks: dict[int, list[tuple[int, int, Row]]] = {}
        for each in rows:
            blocks.setdefault(each[0] // BLOCK, []).append(each)
        with self._lock:
            fresh = {number: self._block(number, members) for number, members in sorted(blocks.items())}
            if fresh.keys() != self._known.keys() or any(fresh[n] is not self._known[n] for n in fresh):
                self._known, self._joined = fresh, _joined(columns for _, columns in fresh.values())
            return self._joined

    def _block(self, number: int, members: Sequence[tuple[int, int, Row]]) -> tuple[Mark, dict[str, About]]:
        """What is known of it, if it still has the same rows."""
        mark = tuple((id, version) for id, version, _ in members)
        known = self._known.get(number)
        return known if known and known[0] == mark else (mark, columns_of(row.cells for _, _, row in members))


def _joined(blocks: Iterable[Mapping[str, About]]) -> dict[str, About]:
    found: dict[str, About] = {}
    for columns in blocks:
        for name, about in columns.items():
            found.setdefault(name, About()).join(about)
    return found


def columns_of(rows: Iterable[Cells]) -> dict[str, About]:
    """What these rows hold, by column. Column by column, since a look at each single value takes four times as long."""
    values: dict[str, list[Any]] = {}
    for cells in rows:
        for name, value in cells.items():
            try:
                values[name].append(value)
            except KeyError:
                values[name] = [value]
    return {name: about(column) for name, column in values.items()}


def about(values: Sequence[Any]) -> About:
    """What is said of a column with these values."""
    there = [value for value in values if value is not None] if None in values else values
    types = set(map(type, there))
    if types <= {int, float}:
        return _about_numbers(there)
    kinds = set(map(kind_of, there))
    numbers = [value for value in there if is_finite(value)]
    found = About(len(there), kinds, values=None if "other" in kinds else _few(there))
    if numbers:
        found.low, found.high = min(numbers), max(numbers)
    return found


def _about_numbers(values: Sequence[Any]) -> About:
    if not values:
        return About()
    found = About(len(values), {"number"}, values=_few(values))
    finite = values if _all_finite(values) else list(filter(is_finite, values))
    if finite:
        found.low, found.high = min(finite), max(finite)
    return found


def is_finite(value: Any) -> bool:
    """Whether it is a number that can be computed with. A whole number may be larger than any float."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:
        return False


def _all_finite(values: Sequence[Any]) -> bool:
    try:
        # A sum is finite only if all of them are; where large ones add up to infinity, each is looked at.
        return math.isfinite(sum(values))
    except OverflowError:
        return False


def _few(values: Sequence[Any]) -> set[Any] | None:
    """The distinct ones, if they are few and short."""
    distinct = set(values)
    if len(distinct) > FEW or any(type(value) is str and len(value) > LONGEST for value in distinct):
        return None
    return distinct


def kind_of(value: Any) -> str:
    """number, boolean, text, or other. Numbers that are not finite may be kept as texts, since JSON has none."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float) or value in NOT_FINITE:
        return "number"
    return "text" if isinstance(value, str) else "other"
