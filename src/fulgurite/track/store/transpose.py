"""Rows as columns. Most rows of a run have the same names and hold plain values, which are taken name by name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fulgurite.track.store.paths import flattened, path_of

FARTHEST = 2**62  # the step farthest from 0 that is kept: distances between steps fit 64 bits

Row = tuple[int, Mapping[str, Any]]
Series = tuple[list[int], list[Any]]


def transposed(rows: Iterable[Row]) -> tuple[list[int], dict[str, Series]]:
    """The steps of ``rows``, and for each path the steps at which it has a value, with these values, in their order."""
    rows = list(rows)
    steps = [step for step, _ in rows]
    kinds: dict[frozenset[str], list[Row]] = {}
    for row in rows:
        kinds.setdefault(frozenset(row[1]), []).append(row)
    # Which of two values at one step is the later one shows only in the order of the rows.
    together = len(kinds) == 1 or len(set(steps)) == len(steps)
    series: dict[str, Series] = {}
    for names, alike in kinds.items() if together else [(None, rows)]:
        if names is None or not all(type(name) is str for name in names):
            _by_leaf(alike, series)
        else:
            _by_name(names, alike, series)
    return steps, series


def _by_name(names: Iterable[str], alike: Sequence[Row], series: dict[str, Series]) -> None:
    """Take rows that have the same names."""
    steps = [step for step, _ in alike]
    for name in names:
        values = [row[name] for _, row in alike]
        if dict in set(map(type, values)):
            _by_leaf([(step, {name: value}) for step, value in zip(steps, values, strict=True)], series)
        else:
            known = series.setdefault(path_of(name), ([], []))
            known[0].extend(steps)
            known[1].extend(values)


def _by_leaf(rows: Iterable[Row], series: dict[str, Series]) -> None:
    """Take rows of any shape, value by value."""
    for step, row in rows:
        for path, value in flattened(row):
            known = series.get(path)
            if known is None:
                known = series[path] = ([], [])
            known[0].append(step)
            known[1].append(value)
