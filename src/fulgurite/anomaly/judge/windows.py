"""Known anomalies that are told as times, not as a column: for each file the windows in which they lie."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np

from fulgurite.anomaly.series import Series
from fulgurite.base.errors import DataError

Window = tuple[np.datetime64, np.datetime64]


def read_windows(path: str | os.PathLike[str]) -> dict[str, list[Window]]:
    """Read ``{file: [[start, end], ...]}``, as the Numenta Anomaly Benchmark writes it; folders of files are dropped.

    Raises `DataError` for a file that is something else.
    """
    try:
        found = json.loads(Path(path).read_text())
        return {PurePath(file).name: [_window(*pair) for pair in pairs] for file, pairs in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f'{path} holds no windows: expected {{"FILE.csv": [["START", "END"], ...]}}. {error}'
        ) from error


def labelled(series: Series, windows: Sequence[Window]) -> Series:
    """The series with a label that is True within the windows, both ends included, by the wall clock of its source."""
    if series.clock is None:
        raise DataError("Windows are told in times, and the series has none. Name its column of times.")
    label = np.zeros(len(series), dtype=bool)
    for start, end in windows:
        label |= (series.clock >= start) & (series.clock <= end)
    return replace(series, label=label)


def windows_of(files: dict[str, list[Window]], name: str | os.PathLike[str]) -> list[Window]:
    """The windows of the file of that name, whatever folder it lies in. Raises `DataError` if there are none told."""
    wanted = PurePath(name).name
    if wanted not in files:
        raise DataError(
            f"No windows are told for {wanted}. There are some for: {', '.join(sorted(files)) or 'no file'}."
        )
    return files[wanted]


def _window(start: str, end: str) -> Window:
    window = np.datetime64(start, "us"), np.datetime64(end, "us")
    if window[1] < window[0]:
        raise ValueError(f"{start} to {end} ends before it starts.")
    return window
