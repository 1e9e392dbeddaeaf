"""A file of separated values: its encoding, separator and decimal mark are found out, its lines come in pieces."""

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from fulgurite.anomaly.cells import decimal_mark, has_thousands, is_numeric, time_formats
from fulgurite.base.errors import DataError

Source = str | os.PathLike[str] | IO[Any]
SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
SAMPLE = 1_000
#: Rows that are text at the same time. With ten columns they take about 10 MB.
PIECE = 16_384
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"PAR1": "Parquet: read it with pandas or polars, and hand the table over in Python",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True)
class TextFile:
    """``header`` are the cells of the first line as they stand, ``names`` what their columns are called here."""

    content: Path | bytes
    encoding: str
    separator: str
    decimal: str
    header: tuple[str, ...]
    names: tuple[str, ...]
    sample: tuple[list[str], ...]

    @classmethod
    def open(cls, source: Source) -> "TextFile":
        """Look at a path, or at an open file, which is read whole. Raises ``DataError`` for what is no such file."""
        content = _content(source)
        encoding = _encoding(content)
        separator = _separator(content, encoding)
        records = _records(content, encoding, separator)
        header = tuple(next(records, (0, []))[1])
        if not header:
            raise DataError(f"{_named(content)} is empty. The first line names the columns, e.g. timestamp,value.")
        names = _names(header, content)
        sample = tuple(islice(_of_width(records, len(header)), SAMPLE))
        decimal = decimal_mark([cell for row in sample for cell in row], separator)
        _check_header(header, decimal, content)
        return cls(content, encoding, separator, decimal, header, names, sample)

    @property
    def name(self) -> str:
        """What messages call it, in the midst of a sentence."""
        return str(self.content) if isinstance(self.content, Path) else "the input"

    @property
    def thousands(self) -> bool:
        """Whether a mark may stand between groups of three digits; a comma only if the first rows have one there."""
        return self.decimal == "," or any(has_thousands(cell) for row in self.sample for cell in row)

    def pieces(self, size: int = PIECE) -> Iterator[list[list[str]]]:
        """All rows below the header, up to ``size`` of them at a time; each has as many cells as the header."""
        records = _of_width(islice(_records(self.content, self.encoding, self.separator), 1, None), len(self.header))
        while rows := list(islice(records, size)):
            yield rows

    def line_of(self, row: int) -> int:
        """The line of the file, counted from 1, on which the row, counted from 0, ends."""
        records = _records(self.content, self.encoding, self.separator)
        return next(islice(records, row + 1, None))[0]

    def notes(self) -> list[str]:
        """What was found out about the text, where it is not what one would expect."""
        said = []
        if self.encoding not in {"utf-8", "utf-8-sig"}:
            said.append(f"The text is encoded as {self.encoding}.")
        if self.separator != ",":
            said.append(f"Cells are separated by {NAMES[self.separator]}.")
        if self.decimal == ",":
            said.append("Numbers have a decimal comma.")
        elif self.thousands:
            said.append("Commas in numbers are read as thousands: 1,234 is more than 1.234.")
        return said


def split_line(line: str, separator: str) -> list[str]:
    """The cells of one record. Raises ``DataError`` where quotes are amiss."""
    try:
        return next(csv.reader([line], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise DataError(f"{error}. Is a quote missing or too many?") from error


def goes_on(record: str, separators: str) -> bool:
    """Whether the last cell begins with a quote that has not ended; a quote within a cell is a letter like others."""
    quoted = re.finditer(rf'(?:^|[{re.escape(separators)}])"(?:[^"]|"")*+("|\Z)', record)
    return any(not cell[1] for cell in quoted)


def column_names(header: Sequence[str]) -> tuple[str, ...]:
    """What the columns are called; one without a name has its place, counted from 1."""
    return tuple(cell.strip() or f"column {place}" for place, cell in enumerate(header, 1))


def _content(source: Source) -> Path | bytes:
    if not isinstance(source, str | os.PathLike):
        if source.seekable():
            # What was read once, to score it, is read again to be written beside its scores.
            source.seek(0)
        text = source.read()
        return text.encode() if isinstance(text, str) else text
    path = Path(source)
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    if path.is_dir():
        raise DataError(f"{path} is a folder. Give the path of one CSV file.")
    if not path.is_file():
        # A pipe gives its text once, and it is read more than once.
        with _bytes(path) as pipe:
            return pipe.read()
    return path


def _named(content: Path | bytes) -> str:
    return str(content) if isinstance(content, Path) else "The input"


def _bytes(content: Path | bytes) -> IO[bytes]:
    if isinstance(content, bytes):
        return io.BytesIO(content)
    try:
        return content.open("rb")
    except OSError as error:
        raise DataError(f"{content} cannot be read: {error.strerror}.") from error


def _encoding(content: Path | bytes) -> str:
    with _bytes(content) as file:
        head = file.read(4096)
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            raise DataError(f"{_named(content)} is no text but {kind}.")
    marked = next((name for bom, name in BOMS if head.startswith(bom)), None)
    if marked is None and b"\0" in head:
        marked = _unmarked_utf16(head)
        if marked is None:
            raise DataError(f"{_named(content)} is binary (it holds zero bytes), no text. A CSV file is needed.")
    if marked is not None and not _decodes(content, marked):
        raise DataError(f"{_named(content)} begins as {marked}, but does not go on so. Save it as UTF-8.")
    # Any byte is a letter in latin-1, so the last always fits.
    return marked or next(name for name in ("utf-8", "cp1252", "latin-1") if _decodes(content, name))


def _unmarked_utf16(head: bytes) -> str | None:
    """Letters of Latin scripts have a zero byte on one side and none on the other."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < len(head) * 0.4 or min(even, odd) > len(head) * 0.05:
        return None
    return "utf-16-be" if even > odd else "utf-16-le"


def _decodes(content: Path | bytes, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with _bytes(content) as file:
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _separator(content: Path | bytes, encoding: str) -> str:
    """The separator that cuts the first lines into the same number of cells, and into the most of them."""
    return max(SEPARATORS, key=lambda mark: (_agreement(content, encoding, mark), -SEPARATORS.index(mark)))


def _agreement(content: Path | bytes, encoding: str, separator: str) -> tuple[float, int]:
    try:
        rows = [row for _, row in islice(_records(content, encoding, separator), 50)]
    except DataError:
        return 0.0, 0
    if not rows or len(rows[0]) < 2:
        return 0.0, 0
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0])


def _records(content: Path | bytes, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not empty, with the line on which it ends."""
    with io.TextIOWrapper(_bytes(content), encoding, newline="") as file:
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            for row in reader:
                if row and (len(row) > 1 or row[0].strip()):
                    yield reader.line_num, row
        except csv.Error as error:
            raise DataError(
                f"{_named(content)}, line {reader.line_num}: {error}. Is a quote missing or too many?"
            ) from error


def _of_width(records: Iterator[tuple[int, list[str]]], width: int) -> Iterator[list[str]]:
    for line, row in records:
        if len(row) != width:
            raise DataError(
                f"Line {line} has {_cells(len(row))}, the header names {width}. Put text that holds the separator into "
                "quotes, and give every line the same cells."
            )
        yield row


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)}"


def _names(header: Sequence[str], content: Path | bytes) -> tuple[str, ...]:
    names = column_names(header)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{_named(content)} names the column {twice[0]!r} more than once. Give each its own name.")
    return names


def _check_header(header: Sequence[str], decimal: str, content: Path | bytes) -> None:
    if all(is_numeric([cell], decimal) or time_formats([cell]) for cell in header):
        raise DataError(
            f"The first line of {_named(content)} ({', '.join(header)}) holds data. It has to name the columns: put a "
            "line such as timestamp,value on top."
        )


def rows_of(text: TextFile) -> Iterator[list[str]]:
    """All rows below the header, one by one."""
    return chain.from_iterable(text.pieces())
