"""Reads a CSV into a `Series`: what can be repaired is repaired and said, the rest is refused by line and column."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fulgurite.anomaly.arrange import NamedSeries, Parsed, arrange, check_for_fit
from fulgurite.anomaly.cells import UNSEEN, BadCell, TimeFormat, Written, labels, numbers, says_nothing
from fulgurite.anomaly.columns import Asked, Columns, choose, missing
from fulgurite.anomaly.series import Category
from fulgurite.anomaly.textfile import Source, TextFile
from fulgurite.base.errors import DataError

__all__ = ["check_for_fit", "read", "read_columns"]

#: More different words than this in one column are no categories.
MOST_WORDS = 10_000


def read(
    source: Source,
    *,
    time: str | None = None,
    value: str | None = None,
    continuous: Iterable[str] | str | None = None,
    categorical: Iterable[str] | str | None = None,
    label: str | None = None,
    written: Written = UNSEEN,
    done: Callable[[int], object] | None = None,
) -> NamedSeries:
    """Read the CSV at a path, or from an open file. ``notes`` of the result say all that was guessed and repaired.

    Columns that are not named are guessed. Where neither ``continuous`` nor ``categorical`` is named, further columns
    of numbers and of few words are used beside the value; to use none, name them as ``()``. ``written`` says how to
    read times that the file itself leaves open; a whole file shows its decimal mark. ``done`` is told of each
    piece how many rows it had.

    Memory: lines are read in pieces of 16,384, of which only numbers stay: 24 bytes a row for times, value and place, 8
    more for each further column of numbers or where times name a zone, 4 for each of words, 1 for labels. At the end
    each column is joined, or sorted, beside its pieces; that lasts for one column after the other. Measured with 10
    million rows of a time and a value: at most 49 bytes a row, 16 s of one core.

    Raises ``DataError`` for what cannot be used; it names the line, the column and the cell.
    """
    text = TextFile.open(source)
    if not text.sample:
        raise DataError(f"There is a header in {text.name}, but no row of data below it.")
    sample = {name: [row[place] for row in text.sample] for place, name in enumerate(text.names)}
    columns = choose(
        sample, Asked.of(time, value, continuous, categorical, label, written.time), text.decimal, text.name
    )
    parsed, used = _parsed(text, columns, done)
    notes = [*text.notes(), *columns.notes, *notes_on_times(columns, used, parsed)]
    found = Written(used.pattern if used else None, text.decimal)
    return arrange(parsed, columns.numeric, columns.time, notes, found)


def read_columns(source: Source, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The named columns of numbers as they stand in the file, float64, NaN where a cell is empty."""
    text = TextFile.open(source)
    thousands = text.thousands
    for name in names:
        if name not in text.names:
            raise missing(name, text.names, text.name)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    first = 0
    for rows in text.pieces():
        for name, place in ((name, text.names.index(name)) for name in names):
            with _located(text, name, first):
                parts[name].append(numbers([row[place] for row in rows], text.decimal, thousands))
        first += len(rows)
    return {name: np.concatenate([np.zeros(0), *part]) for name, part in parts.items()}


class _located:
    """Turns the ``BadCell`` of a column into an error that names the line of the file."""

    def __init__(self, text: TextFile, name: str, first: int) -> None:
        self.text, self.name, self.first = text, name, first

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, bad: BaseException | None, trace: Any) -> None:
        if isinstance(bad, BadCell):
            line = self.text.line_of(self.first + bad.index)
            raise DataError(told(bad, f"Line {line} of {self.text.name}, column {self.name!r}")) from bad


def told(bad: BadCell, where: str) -> str:
    """The message for a cell that cannot be read."""
    may_be_empty = "number" in bad.fault or "label" in bad.fault
    way_out = f"Mend the cell, or {'leave it empty' if may_be_empty else 'name another column'}."
    return f"{where}: {bad.cell!r} {bad.fault}. {way_out}"


def _parsed(text: TextFile, columns: Columns, done: Callable[[int], object] | None) -> tuple[Parsed, TimeFormat | None]:
    """All rows; with the next likely format of times where one turns out to be wrong."""
    *others, last = columns.formats or (None,)
    for form in others:
        try:
            return _Pieces(text, columns, form).read(done), form
        except _WrongFormat:
            continue
    return _Pieces(text, columns, last, final=True).read(done), last


class _WrongFormat(Exception):
    """A later row has no time in the format that the first rows were read in."""


class _Pieces:
    """Collects what stays of each piece of the file."""

    def __init__(self, text: TextFile, columns: Columns, form: TimeFormat | None, final: bool = False) -> None:
        self.text, self.columns, self.form, self.final = text, columns, form, final
        self.thousands = text.thousands
        self.times: list[np.ndarray] = []
        self.clocks: list[np.ndarray] = []
        self.values: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        self.words = {name: Words() for name in columns.categorical}
        self.rows = 0

    def read(self, done: Callable[[int], object] | None) -> Parsed:
        for rows in self.text.pieces():
            self._add(rows)
            self.rows += len(rows)
            if done is not None:
                done(len(rows))
        times = _joined(self.times)
        clocks = _joined(self.clocks) if self.clocks else times
        categories = tuple(words.category(name) for name, words in self.words.items())
        values = _joined(self.values) if self.values else np.zeros((0, len(self.columns.numeric)))
        return Parsed(times, clocks, values, categories, _joined(self.labels))  # type: ignore[arg-type]

    def _add(self, rows: list[list[str]]) -> None:
        columns = dict(zip(self.text.names, zip(*rows, strict=True), strict=True))
        if self.form is not None:
            self._add_times(columns)
        values = np.empty((len(rows), len(self.columns.numeric)))
        for place, name in enumerate(self.columns.numeric):
            with _located(self.text, name, self.rows):
                values[:, place] = numbers(columns[name], self.text.decimal, self.thousands)
        self.values.append(values)
        for name, words in self.words.items():
            words.add(columns[name], name)
        if self.columns.label is not None:
            with _located(self.text, self.columns.label, self.rows):
                self.labels.append(labels(columns[self.columns.label]))

    def _add_times(self, columns: dict[str, tuple[str, ...]]) -> None:
        assert self.form is not None and self.columns.time is not None
        try:
            instants, clock = self.form(columns[self.columns.time])
        except BadCell as bad:
            if not self.final and not says_nothing(bad.cell):
                raise _WrongFormat from bad
            with _located(self.text, self.columns.time, self.rows):
                raise
        self.times.append(instants)
        if self.form.zoned:
            self.clocks.append(clock)


class Words:
    """Codes for the words of one column, in the order in which they first come."""

    def __init__(self) -> None:
        self.places: defaultdict[str, int] = defaultdict()
        self.places.default_factory = self.places.__len__
        self.codes: list[np.ndarray] = []

    def add(self, cells: Sequence[str], name: str) -> None:
        codes = map(self.places.__getitem__, map(str.strip, cells))
        self.codes.append(np.fromiter(codes, np.int32, len(cells)))
        if len(self.places) > MOST_WORDS:
            raise DataError(
                f"The column {name!r} has more than {MOST_WORDS:,} different words, which are no categories. Name the "
                "columns to use: categorical=…, continuous=…."
            )

    def category(self, name: str) -> Category:
        """The codes so far, -1 where a cell says nothing."""
        words = [word for word in self.places if not says_nothing(word)]
        place = {word: code for code, word in enumerate(words)}
        known = np.array([place.get(word, -1) for word in self.places], np.int32)
        codes = _joined(self.codes)
        return Category(name, np.zeros(0, np.int32) if codes is None else known[codes], tuple(words))


def _joined(parts: list[np.ndarray]) -> np.ndarray | None:
    """One array of all parts, which are let go; None where there are none."""
    if not parts:
        return None
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def notes_on_times(columns: Columns, used: TimeFormat | None, parsed: Parsed) -> Iterator[str]:
    """What is to be said of how times were read."""
    if used is None or parsed.time is None:
        return
    if len(columns.formats) > 1:
        yield f"The first times can be read in more than one way; they are read as {used.told}."
    elif used.pattern != "ISO8601":
        yield f"Times are read as {used.told}."
    if used.zoned:
        assert parsed.clock is not None
        hours = np.unique(parsed.clock - parsed.time) / 3.6e9
        names = [f"{'-' if hour < 0 else '+'}{int(abs(hour)):02d}:{round(abs(hour) % 1 * 60):02d}" for hour in hours]
        if len(names) > 1:
            yield (
                f"Times change their offset from UTC ({', '.join(names)}), as in summer: rows are ordered by the "
                "moment, hours and days are those of the local clock."
            )
        elif names[0] != "+00:00":
            yield f"Times are {names[0]} from UTC; hours and days are those of that clock."
