"""A logged table as it lies in its file: read row by row, so that one of a million rows needs little memory."""

import time
from array import array
from collections.abc import Iterator, Sequence
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from fulgurite.track.store.errors import StoreError

PIECE = 1 << 20
LARGEST_ROW = 16 << 20  # bytes
MOST_ROWS = 5_000_000
MOST_COLUMNS = 10_000
PATIENCE = 60.0  # seconds that one pass over a table may take
SPACE = " \t\r\n"

Order = npt.NDArray[np.int64]


class NoTable(StoreError):
    """A file can't be shown as a table; the message says why."""


class Scanner:
    """Reads JSON piece by piece.

    The text is decoded as Latin-1: then a place in it is a place in the file, and what JSON is made of is the same.
    """

    def __init__(self, file: IO[bytes], place: int = 0) -> None:
        file.seek(place)
        self._file, self._text, self._at, self._start = file, "", 0, place
        self._ended = False
        self._decode = JSONDecoder(strict=False).raw_decode

    @property
    def place(self) -> int:
        """Where in the file the next character stands."""
        return self._start + self._at

    def next(self) -> str:
        """The next character that is no space, which stays there; empty at the end."""
        while True:
            while self._at < len(self._text):
                if (found := self._text[self._at]) not in SPACE:
                    return found
                self._at += 1
            if not self._more():
                return ""

    def take(self, wanted: str) -> None:
        """Go past a character. Raises ``NoTable`` if another one stands there."""
        found = self.next()
        if found != wanted:
            raise NoTable(f"At byte {self.place} there is {found!r} where {wanted!r} belongs: the file is no table.")
        self._at += 1

    def value(self) -> Any:
        """The value that stands here."""
        self.next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except JSONDecodeError as error:
                if len(self._text) - self._at > LARGEST_ROW:
                    raise NoTable(f"The value at byte {self.place} has more than {LARGEST_ROW >> 20} MiB.") from error
                if not self._more():
                    raise NoTable(f"At byte {self._start + error.pos} the file is no JSON.") from error
                continue
            except (ValueError, RecursionError) as error:
                raise NoTable(f"The value at byte {self.place} can't be read: {error}.") from error
            # A number may go on in the next piece.
            if end < len(self._text) or not self._more():
                text, self._at = self._text[self._at : end], end
                return value if text.isascii() else self._decode(text.encode("latin-1").decode("utf-8", "replace"))[0]

    def items(self) -> Iterator[tuple[int, Any]]:
        """The values of the array that stands here, each with its place; its end is taken, too."""
        self.take("[")
        while self.next() not in ("]", ""):
            yield self.place, self.value()
            if self.next() != ",":
                break
            self._at += 1
        self.take("]")

    def _more(self) -> bool:
        """Read on; what was read is let go. A value that is long gets ever larger pieces."""
        if self._ended:
            return False
        rest = self._text[self._at :]
        piece = self._file.read(max(PIECE, len(rest)))
        self._start, self._at, self._text = self._start + self._at, 0, rest + piece.decode("latin-1")
        self._ended = not piece
        return not self._ended


class TableFile:
    """The table in the file at ``path``: its ``columns``, and where each row begins. Raises ``NoTable``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.columns: list[str] = []
        self._array = 0
        starts = array("q")
        with path.open("rb") as file:
            self._read_outline(Scanner(file), starts)
        self._starts = np.frombuffer(starts, dtype=np.int64) if starts else np.empty(0, np.int64)

    def __len__(self) -> int:
        """How many rows there are."""
        return max(len(self._starts) - 1, 0)

    def _read_outline(self, scanner: Scanner, starts: "array[int]") -> None:
        scanner.take("{")
        while scanner.next() == '"':
            key = scanner.value()
            scanner.take(":")
            if key == "data":
                self._find_rows(scanner, starts)
            else:
                value = scanner.value()
                if key == "columns" and isinstance(value, list):
                    self.columns = [name if isinstance(name, str) else str(name) for name in value]
            if scanner.next() != ",":
                break
            scanner.take(",")
        scanner.take("}")
        if len(self.columns) > MOST_COLUMNS:
            raise NoTable(f"The table has {len(self.columns)} columns, more than {MOST_COLUMNS}. Download it.")

    def _find_rows(self, scanner: Scanner, starts: "array[int]") -> None:
        del starts[:]  # of two, the last counts, as for any reader of JSON
        self._array, until = scanner.place, time.monotonic() + PATIENCE
        for place, _ in scanner.items():
            starts.append(place)
            if len(starts) > MOST_ROWS or time.monotonic() > until:
                raise NoTable(f"The table is too large to be shown: more than {len(starts) - 1} rows. Download it.")
        starts.append(scanner.place)

    def rows(self, numbers: Sequence[int]) -> list[list[Any]]:
        """The rows with these numbers, in that order."""
        found = []
        with self._path.open("rb") as file:
            for number in numbers:
                start, end = int(self._starts[number]), int(self._starts[number + 1])
                file.seek(start)
                text = file.read(end - start).decode("utf-8", "replace")
                row, _ = JSONDecoder(strict=False).raw_decode(text)
                found.append(row if isinstance(row, list) else [row])
        return found

    def pass_over(self) -> Iterator[list[Any]]:
        """All rows, one after the other. Raises ``NoTable`` when that takes too long."""
        until = time.monotonic() + PATIENCE
        if not len(self):
            return
        with self._path.open("rb") as file:
            for number, (_, row) in enumerate(Scanner(file, self._array).items()):
                if time.monotonic() > until:
                    raise NoTable(f"After {PATIENCE:.0f} seconds only {number} of {len(self)} rows were read.")
                yield row if isinstance(row, list) else [row]
