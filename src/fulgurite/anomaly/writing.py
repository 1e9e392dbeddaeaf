"""Writes rows back as they were read, with what was found out about them in columns behind their own."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import IO, Any

import numpy as np

from fulgurite.anomaly.columns import free_names
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.textfile import PIECE, Source, TextFile
from fulgurite.base.errors import DataError
from fulgurite.base.paths import atomic_write


def write_scores(
    source: Source | Series,
    columns: Mapping[str, np.ndarray],
    destination: str | os.PathLike[str],
    done: Callable[[int], object] | None = None,
) -> dict[str, str]:
    """Copy the rows of ``source`` to a CSV, the ``columns``, each in the order of the source, behind their own.

    The file is read a second time, in pieces; its cells stay the text they were, its separator and decimal mark too.
    The copy is UTF-8, and whole or not there. Numbers have nine digits, NaN is an empty cell. A `Series` is written as
    `write_series` does.

    Returns what the new columns are called in the file: where a name is taken, ``_new`` is put behind it. Raises
    ``DataError`` if the file has no longer the rows that the columns have.
    """
    if isinstance(source, Series):
        return _write(destination, _Origin.of_series(source), columns, done)
    return _write(destination, _Origin.of_text(TextFile.open(source)), columns, done)


def write_series(series: Series, destination: str | os.PathLike[str]) -> None:
    """Write a series as a CSV that `read` reads: ``time`` where it has times, its columns, ``label`` if it has one."""
    _write(destination, _Origin.of_series(series), {}, None)


class _Origin:
    """Rows as text: a header, and pieces of rows below it."""

    def __init__(self, header: list[str], pieces: Iterator[list[list[str]]], separator: str, decimal: str) -> None:
        self.header, self.pieces, self.separator, self.decimal = header, pieces, separator, decimal

    @classmethod
    def of_text(cls, text: TextFile) -> "_Origin":
        return cls(list(text.header), text.pieces(), text.separator, text.decimal)

    @classmethod
    def of_series(cls, series: Series) -> "_Origin":
        columns: dict[str, Any] = {} if series.clock is None else {"time": _moments(series)}
        columns |= {name: _numbers(series.values[:, place]) for place, name in enumerate(series.names)}
        columns |= {category.name: _words(category.codes, category.words) for category in series.categories}
        if series.label is not None:
            columns["label"] = (str(int(label)) for label in series.label)
        if series.order is not None:
            # What has been put in order of time goes back to where it was.
            back = np.argsort(series.order, kind="stable")
            columns = {name: iter(np.array(list(cells), object)[back]) for name, cells in columns.items()}
        return cls(list(columns), _pieces(map(list, zip(*columns.values(), strict=True))), ",", ".")


def _write(
    destination: str | os.PathLike[str],
    origin: _Origin,
    columns: Mapping[str, np.ndarray],
    done: Callable[[int], object] | None,
) -> dict[str, str]:
    names = free_names((cell.strip() for cell in origin.header), columns)
    wanted = {len(array) for array in columns.values()}
    written = 0
    with atomic_write(destination, "w", encoding="utf-8", newline="") as file:
        write = _writer(file, origin.separator)
        write([[*origin.header, *names.values()]])
        for rows in origin.pieces:
            part = slice(written, written + len(rows))
            written += len(rows)
            if any(size < written for size in wanted):
                break
            new = [as_text(array[part], origin.decimal) for array in columns.values()]
            write([[*row, *more] for row, more in zip(rows, zip(*new, strict=True), strict=True)] if new else rows)
            if done is not None:
                done(len(rows))
        if wanted - {written}:
            raise DataError(
                f"The columns to write have {' or '.join(map(str, sorted(wanted)))} rows, the source has "
                f"{written if max(wanted) > written else 'more'}. Was it changed in between? Score it again."
            )
    return names


def _writer(file: IO[str], separator: str) -> Callable[[list[list[str]]], object]:
    """Writes rows; where a cell holds a carriage return, which `csv` leaves bare, all cells get quotes."""
    plain = csv.writer(file, delimiter=separator, lineterminator="\n")
    quoted = csv.writer(file, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL)
    return lambda rows: (quoted if "\r" in "".join(map("".join, rows)) else plain).writerows(rows)


def as_text(column: np.ndarray, decimal: str) -> list[str]:
    """The cells of a column as they are written: nine digits, nothing for NaN."""
    if column.dtype.kind in "biu":
        return list(map(str, column.astype(np.int64).tolist()))
    if column.dtype.kind != "f":
        return list(map(str, column.tolist()))
    cells = [format(number, ".9g") if number == number else "" for number in column.tolist()]
    return [cell.replace(".", ",") for cell in cells] if decimal == "," else cells


def _numbers(column: np.ndarray) -> Iterator[str]:
    """Each number to its last digit, so that reading gives it back."""
    return (repr(number) if number == number else "" for number in column.tolist())


def _moments(series: Series) -> Iterator[str]:
    """The wall clock, with its offset where the source named one."""
    assert series.clock is not None
    offsets = (series.clock - series.time).astype("timedelta64[m]").astype(np.int64)
    # Without offsets a series in UTC and one without zones look alike, and both are written without.
    ends = {offset: _offset(offset) for offset in np.unique(offsets).tolist()} if offsets.any() else {0: ""}
    whole = (series.clock == series.clock.astype("datetime64[s]")).all()
    texts = np.datetime_as_string(series.clock, unit="s" if whole else "us")
    return (
        text.replace("T", " ") + ends[offset] for text, offset in zip(texts.tolist(), offsets.tolist(), strict=True)
    )


def _offset(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _words(codes: np.ndarray, words: tuple[str, ...]) -> Iterator[str]:
    return (words[code] if code >= 0 else "" for code in codes.tolist())


def _pieces(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while piece := list(islice(rows, PIECE)):
        yield piece
