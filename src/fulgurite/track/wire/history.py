"""Rows of a run for a client: all within a range of steps, or so many of them, with all keys or with some.

Each function reads many series; call it inside ``Database.reading``, so that all are read as of one moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fulgurite.track.store.cells import JSON, Column, Steps
from fulgurite.track.store.history import FIRST_STEP, HISTORY, LAST_STEP, STEP, History
from fulgurite.track.store.paths import names_of, nested, path_of, shown

TIMESTAMP = "_timestamp"
MOST = 100_000  # rows in one answer


def sampled(history: History, run: int, count: int, stream: int = HISTORY) -> list[dict[str, Any]]:
    """At most ``count`` whole rows, evenly over the run: the first and the last are among them."""
    return _rows(history, run, _even(_steps(history, run, stream), count), stream)


def page(history: History, run: int, low: int, high: int, count: int, stream: int = HISTORY) -> list[dict[str, Any]]:
    """The first ``count`` whole rows with ``low <= step < high``."""
    return _rows(history, run, _steps(history, run, stream, low, high - 1)[:count], stream)


def with_keys(
    history: History, run: int, keys: Sequence[str], low: int, high: int, count: int, even: bool
) -> list[dict[str, Any]]:
    """At most ``count`` rows with ``low <= step < high`` that have all of ``keys``, with these only.

    A key names nested values with dots. ``even`` spreads the rows over the range; else they are its first ones.
    """
    columns = _columns(history, run, keys, low, high - 1)
    steps = _common(columns.values())
    picked = _even(steps, count) if even else steps[:count]
    rows: list[dict[str, Any]] = [{} for _ in range(len(picked))]
    for key, parts in columns.items():
        for row, value in zip(rows, _together(key, parts, picked), strict=True):
            row[key] = value
    return rows


def _steps(history: History, run: int, stream: int, low: int = FIRST_STEP, high: int = LAST_STEP) -> Steps:
    """The steps at which the run has rows."""
    steps = history.read(run, STEP if stream == HISTORY else TIMESTAMP, low, high, stream).steps
    if len(steps):
        return steps
    all_steps = [history.read(run, path, low, high, stream).steps for path in history.keys(run, stream)]
    return np.unique(np.concatenate(all_steps)) if all_steps else steps


def _even(steps: Steps, count: int) -> Steps:
    count = max(min(count, MOST), 1)
    if len(steps) <= count:
        return steps
    return steps[np.linspace(0, len(steps) - 1, count).round().astype(np.int64)]


def _rows(history: History, run: int, picked: Steps, stream: int) -> list[dict[str, Any]]:
    """The whole rows at the steps ``picked``."""
    picked = picked[:MOST]
    if not len(picked):
        return []
    rows: list[dict[str, Any]] = [{} for _ in range(len(picked))]
    for path, about in history.keys(run, stream).items():
        if about["last"] < picked[0] or about["first"] > picked[-1]:
            continue
        places, values = _at(history.read(run, path, int(picked[0]), int(picked[-1]), stream), picked)
        for place, value in zip(places, values, strict=True):
            rows[place][path] = value
    return [nested(row) for row in rows]


def _at(part: Column, picked: Steps) -> tuple[list[int], list[Any]]:
    """Which of the steps ``picked`` the column has (places in ``picked``), and its values there."""
    if not len(part):
        return [], []
    places = np.searchsorted(part.steps, picked)
    inside = np.minimum(places, len(part) - 1)
    found = np.flatnonzero(part.steps[inside] == picked)
    chosen = inside[found]
    values = [part.cells[i] for i in chosen] if part.kind == JSON else part.cells[chosen].tolist()
    return found.tolist(), values


def _columns(history: History, run: int, keys: Iterable[str], low: int, high: int) -> dict[str, dict[str, Column]]:
    """For each key the columns that it names: one, or all that lie inside it."""
    paths = {shown(path): path for path in history.keys(run)}
    columns: dict[str, dict[str, Column]] = {}
    for key in dict.fromkeys(keys):
        inside = [path for name, path in paths.items() if name == key or name.startswith(f"{key}.")]
        columns[key] = {path: history.read(run, path, low, high) for path in inside}
    return columns


def _common(columns: Iterable[Mapping[str, Column]]) -> Steps:
    """The steps at which every key has a value."""
    steps: Steps | None = None
    for parts in columns:
        own = np.unique(np.concatenate([part.steps for part in parts.values()])) if parts else np.empty(0, np.int64)
        steps = own if steps is None else np.intersect1d(steps, own, assume_unique=True)
    return np.empty(0, np.int64) if steps is None else steps


def _together(key: str, parts: Mapping[str, Column], picked: Steps) -> list[Any]:
    """A key's value at each of the steps: a number or another leaf, or the dict of those that lie inside it."""
    leaves: list[dict[str, Any]] = [{} for _ in range(len(picked))]
    for path, part in parts.items():
        for place, value in zip(*_at(part, picked), strict=True):
            leaves[place][path] = value
    return [_value(key, each) for each in leaves]


def _value(key: str, leaves: Mapping[str, Any]) -> Any:
    for path, value in leaves.items():
        if shown(path) == key:
            return value
    return nested({path_of(*_below(key, names_of(path))): value for path, value in leaves.items()})


def _below(key: str, names: Sequence[str]) -> Sequence[str]:
    """What is left of ``names`` behind those that ``key`` shows; a name may hold dots itself."""
    count = next(n for n in range(1, len(names)) if ".".join(names[:n]) == key)
    return names[count:]
