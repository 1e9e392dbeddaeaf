"""Anomaly windows of a file: from the form of the Numenta benchmark, a plain list, or a CSV of starts and ends."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fulgurite.anomaly.cells import BadCell, time_formats
from fulgurite.anomaly.columns import listed
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.textfile import TextFile, rows_of
from fulgurite.base.errors import DataError

#: Start and end of one anomaly, both of them part of it, on the wall clock of the source.
Window = tuple[np.datetime64, np.datetime64]


class Moments(tuple[np.datetime64, np.datetime64]):
    """A window that names its offset from UTC: start and end are instants, whatever the clock of the source shows."""


def read_windows(path: str | os.PathLike[str], csv_name: str | os.PathLike[str] | None = None) -> list[Window]:
    """The windows of a file, sorted.

    A JSON holds a list of ``[start, end]``, or maps file names to such lists, of which that of ``csv_name`` is taken,
    by its whole name, else by the end of its path. A CSV has a start and an end in its first two columns. Raises
    ``DataError`` for anything else.
    """
    pairs = _of_json(Path(path), csv_name) if str(path).lower().endswith(".json") else _of_csv(path)
    windows = []
    for place, pair in enumerate(pairs):
        if not isinstance(pair, Sequence) or len(pair) != 2 or not all(isinstance(word, str) for word in pair):
            raise DataError(f"{path}: window {place + 1} is {pair!r}; it has to be a start and an end.")
        (start, zoned), (end, also) = (_moment(word, path) for word in pair)
        if zoned != also:
            raise DataError(f"{path}: window {place + 1} is {pair!r}; only one of them names an offset from UTC.")
        if end < start:
            raise DataError(f"{path}: window {place + 1} ends ({pair[1]}) before it starts ({pair[0]}).")
        windows.append(Moments((start, end)) if zoned else (start, end))
    return sorted(windows)


def labels_of(series: Series, windows: Sequence[Window]) -> np.ndarray:
    """Which rows of the series lie in a window, (n,) bool. Raises ``DataError`` for a series without times.

    Where rows name no offset, but windows do, those rows count as UTC.
    """
    if series.clock is None:
        raise DataError("Windows are times, and these rows have none. Name their column of times.")
    label = np.zeros(len(series), bool)
    for window in windows:
        times = series.time if isinstance(window, Moments) else series.clock
        label |= (times >= window[0]) & (times <= window[1])
    return label


def _of_json(path: Path, csv_name: str | os.PathLike[str] | None) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}.") from error
    if isinstance(found, list):
        return found
    if not isinstance(found, dict):
        raise DataError(f"{path} holds neither a list of windows nor one for each file.")
    return found[_key(list(found), csv_name, path)]


def _key(keys: list[str], csv_name: str | os.PathLike[str] | None, path: Path) -> str:
    if csv_name is None:
        raise DataError(f"{path} holds windows for {listed(keys[:8])}. Say for which file.")
    wanted = Path(csv_name).as_posix()
    fitting = [key for key in keys if key == wanted] or [key for key in keys if f"/{wanted}".endswith(f"/{key}")]
    fitting = fitting or [key for key in keys if key.split("/")[-1] == Path(csv_name).name]
    if len(fitting) != 1:
        found = f"more than one entry for {wanted}: {listed(fitting)}" if fitting else f"no windows for {wanted}"
        raise DataError(f"{path} holds {found}. It has {listed(keys[:8])}{' …' if len(keys) > 8 else ''}.")
    return fitting[0]


def _of_csv(path: str | os.PathLike[str]) -> list[Any]:
    text = TextFile.open(path)
    if len(text.header) < 2:
        raise DataError(f"{path} has one column. Windows are two: a start and an end.")
    return [row[:2] for row in rows_of(text)]


def _moment(word: str, path: str | os.PathLike[str]) -> tuple[np.datetime64, bool]:
    """The time, and whether it is an instant."""
    formats = time_formats([word], hinted=True)
    try:
        return formats[0]([word])[0].view("datetime64[us]")[0], formats[0].zoned
    except (IndexError, BadCell) as error:
        raise DataError(f"{path}: {word!r} is no time such as 2014-01-31 15:45:00.") from error
