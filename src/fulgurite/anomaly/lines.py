"""Rows that arrive as lines: the header first, then pieces of a series, parsed as a whole file is."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from fulgurite.anomaly.arrange import SECOND
from fulgurite.anomaly.cells import BadCell, TimeFormat, decimal_mark, numbers
from fulgurite.anomaly.columns import Asked, choose, listed, missing
from fulgurite.anomaly.reading import Words, told
from fulgurite.anomaly.series import Category, Series
from fulgurite.anomaly.textfile import SEPARATORS, column_names, goes_on, split_line
from fulgurite.base.errors import DataError

if TYPE_CHECKING:
    from fulgurite.anomaly.schema import Schema

_KEPT = ("separator", "rows", "line", "_pending", "_decimal", "_time", "_last")


class RowReader:
    """Turns lines of CSV into small `Series`, of the columns that ``schema`` names.

    The first line is the header; after it ``header`` holds its cells and ``separator`` what is between them. ``cells``
    are those of the rows of the last piece, as they stood. ``rows`` counts all rows so far.

    A line whose quotes are not closed waits for the next one. A row whose time lies before that of a former row comes
    too late to be judged: it takes that row's time and no number, and the notes say so.
    """

    def __init__(self, schema: "Schema") -> None:
        self.schema = schema
        self.header: list[str] = []
        self.separator = ","
        self.cells: list[list[str]] = []
        self.rows = self.line = 0
        self._pending = ""
        self._decimal: str | None = None
        self._time: str | None = None
        self._formats: tuple[TimeFormat, ...] = ()
        self._last = int(np.iinfo(np.int64).min)

    @property
    def decimal(self) -> str:
        """The mark in numbers, as far as rows have shown it."""
        return self._decimal or "."

    def begin_anew(self) -> None:
        """The lines that come next are the first ones of their source; a half record of the former is let go."""
        self.line, self._pending = 0, ""

    def feed(self, lines: Sequence[str | bytes]) -> Series | None:
        """The rows of these lines; None where they hold none. Raises ``DataError`` by line, column and cell.

        Bytes are UTF-8. A line is whole: one that is half written is to be kept back until it ends.
        """
        rows, places = [], []
        for line in lines:
            self.line += 1
            text = self._whole(line)
            if not text.strip():
                continue
            if not self.header:
                self._read_header(text)
                continue
            cells = self._split(text)
            if len(cells) != len(self.header):
                raise DataError(f"Line {self.line} has {len(cells)} cells, the header names {len(self.header)}.")
            rows.append(cells)
            places.append(self.line)
        self.cells = rows
        return self._series(rows, places) if rows else None

    def state_dict(self) -> dict[str, Any]:
        """What a new reader needs to go on behind the lines that this one has seen."""
        formats = [[form.pattern, form.zoned] for form in self._formats]
        kept = {name: getattr(self, name) for name in _KEPT}
        return {**kept, "header": list(self.header), "formats": formats}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name in _KEPT:
            setattr(self, name, state[name])
        self.header = list(state["header"])
        self._formats = tuple(TimeFormat(*form) for form in state["formats"])

    def _whole(self, line: str | bytes) -> str:
        """The record that ends with this line; nothing where it goes on in the next one."""
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        if self.line == 1:
            text = text.removeprefix("\ufeff")
        text = self._pending + text.rstrip("\r\n")
        separators = self.separator if self.header else "".join(SEPARATORS)
        self._pending = text + "\n" if '"' in text and goes_on(text, separators) else ""
        return "" if self._pending else text

    def _split(self, record: str) -> list[str]:
        try:
            return split_line(record, self.separator)
        except DataError as error:
            raise DataError(f"Line {self.line}: {error}") from error

    def _read_header(self, line: str) -> None:
        """The separator is the one under which the header has the model's columns."""
        needed = [self.schema.value, *self.schema.continuous, *self.schema.categorical]
        needed += [self.schema.time] if self.schema.clocked and self.schema.time is not None else []
        headers = {}
        for separator in SEPARATORS:
            # Under a wrong one a quote may end in the midst of a cell.
            with suppress(DataError):
                headers[separator] = split_line(line, separator)
        for separator, header in headers.items():
            if set(needed) <= set(column_names(header)):
                self.header, self.separator = header, separator
                return
        there = max(map(column_names, headers.values()), key=len, default=(line,))
        absent = [name for name in needed if name not in there]
        raise missing(absent[0], there, f"the header (line {self.line})")

    def _series(self, rows: list[list[str]], places: list[int]) -> Series:
        columns = dict(zip(column_names(self.header), zip(*rows, strict=True), strict=True))
        schema, notes = self.schema, []
        values = np.stack([self._numbers(name, columns, places) for name in (schema.value, *schema.continuous)], axis=1)
        endless = np.isinf(values)
        values[endless] = np.nan
        instants, clock = self._times(columns, places)
        late = self._late(instants)
        if late.any():
            values[late] = np.nan
            instants[late] = np.maximum.accumulate(np.maximum(instants, self._last))[late]
            notes.append(f"Rows earlier than one before them are not judged: line {_listed_lines(places, late)}.")
        if len(instants):
            self._last = max(self._last, int(instants[-1]))
        self.rows += len(rows)
        categories = tuple(_category(name, columns[name]) for name in schema.categorical)
        time, order = instants.view("datetime64[us]"), np.arange(self.rows - len(rows), self.rows)
        shown = None if clock is None else clock.view("datetime64[us]")
        names = (schema.value, *schema.continuous)
        return Series(time, shown, values, names, categories, None, order, tuple(notes))

    def _numbers(self, name: str, columns: dict[str, tuple[str, ...]], places: list[int]) -> np.ndarray:
        cells = columns[name]
        if self._decimal is None and any("." in cell or "," in cell for cell in cells):
            self._decimal = decimal_mark(cells, self.separator, self.schema.decimal)
        try:
            return numbers(cells, self.decimal)
        except BadCell as bad:
            raise _located(bad, name, places) from bad

    def _times(self, columns: dict[str, tuple[str, ...]], places: list[int]) -> tuple[np.ndarray, np.ndarray | None]:
        if not self.schema.clocked:
            count = len(columns[self.schema.value])
            return np.arange(self.rows, self.rows + count) * SECOND, None
        if not self._formats:
            self._choose_format(columns)
        assert self._time is not None
        for place, form in enumerate(self._formats):
            try:
                instants, clock = form(columns[self._time])
            except BadCell as bad:
                if place + 1 == len(self._formats):
                    raise _located(bad, self._time, places) from bad
                continue
            # What did not fit once is no longer a candidate.
            self._formats = self._formats[place:]
            return instants.copy(), clock
        raise AssertionError("the last format has returned or raised")

    def _choose_format(self, columns: dict[str, tuple[str, ...]]) -> None:
        schema = self.schema
        asked = Asked(schema.time, schema.value, schema.continuous, schema.categorical, None, schema.time_format)
        found = choose(columns, asked, self.decimal, "the lines")
        if found.time is None:
            raise DataError(
                f"The model was trained on rows with times; the header names no column of times, but {listed(columns)}."
            )
        self._time, self._formats = found.time, found.formats

    def _late(self, instants: np.ndarray) -> np.ndarray:
        before = np.concatenate([[self._last], np.maximum.accumulate(np.maximum(instants, self._last))[:-1]])
        return instants < before


def _listed_lines(places: list[int], which: np.ndarray) -> str:
    """The numbers of the lines, the first few of them."""
    found = [str(place) for place, chosen in zip(places, which, strict=True) if chosen]
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


def _located(bad: BadCell, name: str, places: list[int]) -> DataError:
    return DataError(told(bad, f"Line {places[bad.index]}, column {name!r}"))


def _category(name: str, cells: Sequence[str]) -> Category:
    words = Words()
    words.add(cells, name)
    return words.category(name)
