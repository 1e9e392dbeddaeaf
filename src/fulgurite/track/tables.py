"""Rows as columns in one file, Parquet or CSV, written stretch by stretch so that memory stays bounded."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from fulgurite.base.optional import require
from fulgurite.track.store.cells import BOOLEAN, FLOAT, INTEGER, JSON, Column, Steps
from fulgurite.track.store.history import HISTORY, STEP, History
from fulgurite.track.store.paths import shown

STRETCH = 200_000  # rows that are in memory at once
TEXT = "text"


class Table(Protocol):
    """Takes stretches of rows: for each column its values, and at which of the ``count`` rows they stand."""

    def write(self, count: int, columns: Mapping[str, Column]) -> None: ...


def write_history(history: History, run: int, path: Path, stream: int = HISTORY) -> int:
    """Write what a run logged to ``path`` (``.parquet`` or ``.csv``), a row for each step; return how many rows.

    Nested names get dots. Numbers and booleans keep their types; text stays text; all else is JSON in text.
    """
    kinds = {key: _kind(history, run, key, stream) for key in history.keys(run, stream)}
    if not kinds:
        return 0
    written = 0
    with _opened(path, {shown(key): kind for key, kind in kinds.items()}) as table:
        for steps in _stretches(history, run, list(kinds), stream):
            low, high = int(steps[0]), int(steps[-1])
            parts = {shown(key): history.read(run, key, low, high, stream) for key in kinds}
            table.write(len(steps), {name: _placed(part, steps) for name, part in parts.items()})
            written += len(steps)
    return written


def _kind(history: History, run: int, key: str, stream: int) -> str:
    """What a column can hold so that every value of the key fits."""
    kinds = set(history.keys(run, stream)[key]["kinds"])
    if kinds == {JSON} and all(isinstance(value, str) for value in history.read(run, key, stream=stream).cells):
        return TEXT
    if kinds <= {FLOAT, INTEGER}:
        return FLOAT if FLOAT in kinds else INTEGER
    return kinds.pop() if len(kinds) == 1 else JSON


def _stretches(history: History, run: int, keys: list[str], stream: int) -> Iterator[Steps]:
    if stream == HISTORY:
        steps = history.read(run, STEP).steps
    else:
        steps = np.unique(np.concatenate([history.read(run, key, stream=stream).steps for key in keys]))
    for start in range(0, len(steps), STRETCH):
        yield steps[start : start + STRETCH]


def _placed(part: Column, steps: Steps) -> Column:
    """The same values, at their rows' numbers instead of their steps."""
    return Column(np.searchsorted(steps, part.steps), part.kind, part.cells)


@contextmanager
def _opened(path: Path, kinds: Mapping[str, str]) -> Iterator[Table]:
    if path.suffix == ".parquet":
        pyarrow = require("pyarrow", "export")
        parquet = require("pyarrow.parquet", "export")
        types = {
            FLOAT: pyarrow.float64(),
            INTEGER: pyarrow.int64(),
            BOOLEAN: pyarrow.bool_(),
        }
        schema = pyarrow.schema([(name, types.get(kind, pyarrow.string())) for name, kind in kinds.items()])
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            yield _Parquet(writer, schema, kinds)
    else:
        with open(path, "w", newline="", encoding="utf-8") as file:
            yield _Csv(file, kinds)


class _Parquet:
    def __init__(self, writer: Any, schema: Any, kinds: Mapping[str, str]) -> None:
        self._writer, self._schema, self._kinds = writer, schema, kinds

    def write(self, count: int, columns: Mapping[str, Column]) -> None:
        pyarrow = require("pyarrow", "export")
        arrays = [
            _array(pyarrow, count, columns[field.name], self._kinds[field.name], field.type) for field in self._schema
        ]
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))


def _array(pyarrow: Any, count: int, part: Column, kind: str, kept_as: Any) -> Any:
    """A column with nulls where the key was not logged."""
    missing = np.ones(count, dtype=bool)
    missing[part.steps] = False
    if kind in (JSON, TEXT):
        cells = np.full(count, None, dtype=object)
        cells[part.steps] = [_text(value, kind) for value in part.values()]
        return pyarrow.array(cells, type=kept_as)
    cells = np.zeros(count, dtype={FLOAT: np.float64, INTEGER: np.int64, BOOLEAN: np.bool_}[kind])
    cells[part.steps] = part.cells
    return pyarrow.array(cells, type=kept_as, mask=missing)


class _Csv:
    def __init__(self, file: IO[str], kinds: Mapping[str, str]) -> None:
        self._rows, self._kinds = csv.writer(file), kinds
        self._rows.writerow(kinds)

    def write(self, count: int, columns: Mapping[str, Column]) -> None:
        cells = np.full((count, len(columns)), "", dtype=object)
        for place, (name, kind) in enumerate(self._kinds.items()):
            part = columns[name]
            cells[part.steps, place] = [_text(value, kind) for value in part.values()]
        self._rows.writerows(cells.tolist())


def _text(value: Any, kind: str) -> Any:
    if kind == JSON:
        return json.dumps(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value
