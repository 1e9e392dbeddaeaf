"""What one cell of text says: a number, a word for nothing, a label, a time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import product

import numpy as np

from fulgurite.base.optional import require

NOTHING = frozenset({"", "na", "n/a", "#n/a", "nan", "<na>", "nat", "null", "none", "missing", "-", "--", "?"})
TRUE = frozenset({"1", "1.0", "true", "t", "yes", "y"})
FALSE = frozenset({"0", "0.0", "false", "f", "no", "n"})

DECIMAL_COMMA = re.compile(r"\s*[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?\s*")
DECIMAL_POINT = re.compile(r"\s*[+-]?\d[\d,]*\.\d+([eE][+-]?\d+)?\s*")
# Thousands: three digits after each mark, and no zero before the first.
GROUPED = {
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?"),
    ".": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?"),
}
# Only after a time of day: the end of 2024-01-01 is no offset.
ZONE = re.compile(r":\d{2}(?:[.,:]\d+)*\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$", re.IGNORECASE)
ZONE_AT_END = re.compile(r"(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$", re.IGNORECASE)

DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y"),
)
HOURS = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
# From 1973 to 2128, by what one unit is in microseconds.
EPOCHS = {"seconds": (1e8, 1e6), "milliseconds": (1e11, 1e3), "microseconds": (1e14, 1.0), "nanoseconds": (1e17, 1e-3)}
EPOCH_SPAN = 50
SPELLED = {"%Y": "year", "%y": "year", "%m": "month", "%b": "month", "%B": "month", "%d": "day", "%H": "hour"} | {
    "%I": "hour",
    "%M": "minute",
    "%S": "second",
    ".%f": "",
    "%p": "AM/PM",
}


@dataclass(frozen=True)
class Written:
    """How earlier rows wrote what can be read in more than one way: the pattern of times, the mark in numbers."""

    time: str | None = None
    decimal: str | None = None


UNSEEN = Written()


class BadCell(Exception):
    """The cell at ``index`` cannot be read; ``fault`` says what it is instead of what is wanted."""

    def __init__(self, index: int, cell: str, fault: str) -> None:
        super().__init__(index, cell, fault)
        self.index, self.cell, self.fault = index, cell, fault


def numbers(cells: Sequence[str], decimal: str = ".", thousands: bool = True) -> np.ndarray:
    """The cells as float64, NaN for a word such as ``NA`` or nothing at all. Raises ``BadCell`` for any other text.

    Without ``thousands`` a comma is none either, but in a cell that also has a point.
    """
    if decimal == "." and "_" not in "".join(cells):
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            pass
    found = (_number(i, cell, decimal, thousands) for i, cell in enumerate(cells))
    return np.fromiter(found, np.float64, len(cells))


def _number(index: int, cell: str, decimal: str, thousands: bool) -> float:
    text = cell.strip()
    if GROUPED[decimal].fullmatch(text) and (thousands or decimal in text):
        text = text.replace("." if decimal == "," else ",", "")
    try:
        # `float` reads 1_000 as a thousand; in a file that is a name.
        return float("" if "_" in text else text.replace(decimal, "."))
    except ValueError:
        if text.lower() in NOTHING:
            return np.nan
        raise BadCell(index, cell, _no_number(text, decimal)) from None


def _no_number(text: str, decimal: str) -> str:
    if decimal == "." and (DECIMAL_COMMA.fullmatch(text) or has_thousands(text)):
        return "is no number: it has a comma, which no number in the first rows shows to be a decimal or a thousand"
    return "is text, not a number"


def is_numeric(cells: Sequence[str], decimal: str) -> bool:
    """Whether each cell is a number or says nothing, and at least one is a number."""
    try:
        return not np.isnan(numbers(cells, decimal)).all()
    except BadCell:
        return False


def says_nothing(cell: str) -> bool:
    return cell.strip().lower() in NOTHING


def decimal_mark(cells: Sequence[str], separator: str = ";", before: str | None = None) -> str:
    """A comma if some cells have one where others would have a point; otherwise a point.

    Where the comma also separates cells, ``1,234`` is more likely a thousand, if the mark ``before`` was no comma.
    """
    if any(DECIMAL_POINT.fullmatch(cell) for cell in cells):
        return "."
    commas = [cell for cell in cells if DECIMAL_COMMA.fullmatch(cell)]
    likely = separator == "," and before != "," and all(map(has_thousands, commas))
    return "," if commas and not likely else "."


def has_thousands(cell: str) -> bool:
    """Whether a comma, or more than one, can stand between groups of three digits."""
    return GROUPED["."].fullmatch(cell.strip()) is not None


def labels(cells: Sequence[str]) -> np.ndarray:
    """1, true, yes as True; 0, false, no as False, and so is an empty cell. Raises ``BadCell`` for anything else."""
    known = {cell: _label(cell) for cell in set(cells)}
    if None in known.values():
        index = next(i for i, cell in enumerate(cells) if known[cell] is None)
        raise BadCell(index, cells[index], "is no label; 0, 1, true, false, yes and no are")
    return np.fromiter((known[cell] for cell in cells), bool, len(cells))


def _label(cell: str) -> bool | None:
    word = cell.strip().lower()
    return True if word in TRUE else False if word in FALSE or word in NOTHING else None


@dataclass(frozen=True)
class TimeFormat:
    """How a column writes its times: ``pattern`` is ``ISO8601``, one of `strptime`, or a unit of `EPOCHS`."""

    pattern: str
    zoned: bool = False

    def __call__(self, cells: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Instants and wall clock of the cells, each int64 microseconds. Raises ``BadCell`` where there is no time."""
        if self.pattern in EPOCHS:
            instants = self.from_numbers(_all_numbers(cells))
            return instants, instants
        if not self.zoned:
            clock = self._clock(cells)
            return clock, clock
        zones = _zones(cells)
        clock = self._clock([cell.strip()[: -len(zone)].rstrip() for cell, zone in zip(cells, zones, strict=True)])
        offsets = {zone: _offset(zone) for zone in set(zones)}
        return clock - np.fromiter(map(offsets.__getitem__, zones), np.int64, len(zones)), clock

    def from_numbers(self, numbers: np.ndarray) -> np.ndarray:
        return np.round(numbers * EPOCHS[self.pattern][1]).astype(np.int64)

    def _clock(self, cells: Sequence[str]) -> np.ndarray:
        pandas = require("pandas", "anomaly")
        if not self.zoned and self.pattern == "ISO8601" and _may_name_zones(cells):
            for index, cell in enumerate(cells):
                if ZONE.search(cell.strip()):
                    raise BadCell(index, cell, "names a zone, the first rows do not")
        found = pandas.to_datetime(np.array(cells, object), format=self.pattern, errors="coerce", utc=True)
        absent = np.flatnonzero(np.asarray(found.isna()))
        if len(absent):
            raise BadCell(int(absent[0]), cells[absent[0]], self._fault(cells[absent[0]]))
        return found.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)

    def _fault(self, cell: str) -> str:
        if says_nothing(cell):
            return "has no time; each row needs one"
        return f"is no time as the first rows write it ({self.told})"

    @property
    def told(self) -> str:
        """The format in words: ``day/month/year hour:minute``."""
        if self.pattern in EPOCHS:
            return f"{self.pattern} since 1970"
        text = self.pattern.replace("ISO8601", "ISO 8601")
        for mark, word in SPELLED.items():
            text = text.replace(mark, word)
        return text


def time_formats(cells: Sequence[str], hinted: bool = False) -> list[TimeFormat]:
    """The formats in which all cells are times, the likeliest first; none if the column holds something else.

    ``hinted``: the column is said or named to be a time, so that plain numbers count from 1970 or spell a date.
    """
    told = [cell.strip() for cell in cells if not says_nothing(cell)]
    if not told:
        return []
    if is_numeric(told, "."):
        return _numeric_formats(told) if hinted else []
    zoned = all(ZONE.search(cell) for cell in told)
    first = told[0][: -len(ZONE_AT_END.search(told[0])[0])].rstrip() if zoned else told[0]  # type: ignore[index]
    fitting = [TimeFormat(pattern, zoned) for pattern in _patterns(first)]
    return sorted((found for found in fitting if _reads(found, told)), key=lambda found: _span(found, told))


def _numeric_formats(cells: Sequence[str]) -> list[TimeFormat]:
    found = numbers(cells)
    lengths = {len(cell) for cell in cells}
    compact = COMPACT.get(lengths.pop()) if len(lengths) == 1 else None
    if compact and _reads(TimeFormat(compact), cells) and ("19000101" <= min(cells) and max(cells) < "2200"):
        return [TimeFormat(compact)]
    units = [
        unit for unit, (low, _) in EPOCHS.items() if low <= np.nanmin(found) and np.nanmax(found) < low * EPOCH_SPAN
    ]
    return [TimeFormat(unit) for unit in units]


def _patterns(cell: str) -> list[str]:
    if re.match(r"\d{4}-\d{2}-\d{2}([T ]\d{2}(:\d{2}(:\d{2}([.,]\d+)?)?)?)?$", cell):
        return ["ISO8601"]
    return [pattern for pattern, shape in _shapes() if shape.fullmatch(cell) and _fits(pattern, cell)]


@cache
def _shapes() -> list[tuple[str, re.Pattern[str]]]:
    """Every pattern with the look of what it reads: `strptime` takes far longer to say no."""
    joins = (" ", "T", ", ")
    patterns = dict.fromkeys(join.join(filter(None, pair)) for pair in product(DATES, HOURS) for join in joins)
    return [(pattern, re.compile(re.sub(r"%\w", _look, re.escape(pattern)))) for pattern in patterns]


def _look(mark: re.Match[str]) -> str:
    return {"%Y": r"\d{4}", "%f": r"\d{1,6}", "%b": r"\w{3,4}", "%B": r"\w{3,}", "%p": "[AaPp][Mm]"}.get(
        mark[0], r"\d{1,2}"
    )


def _fits(pattern: str, cell: str) -> bool:
    try:
        datetime.strptime(cell, pattern)
    except ValueError:
        return False
    return True


def _reads(found: TimeFormat, cells: Sequence[str]) -> bool:
    try:
        found(cells)
    except BadCell:
        return False
    return True


def _span(found: TimeFormat, cells: Sequence[str]) -> int:
    """With day and month swapped, a few days become many months: the shorter reading is the likelier."""
    instants = found(cells)[0]
    return int(np.abs(np.diff(instants)).sum())


def _may_name_zones(cells: Sequence[str]) -> bool:
    """A quick look: whether anything but the two hyphens of a date and digits could be an offset."""
    text = "".join(cells).upper()
    return text.count("-") > 2 * len(cells) or any(mark in text for mark in "+ZUG")


def _zones(cells: Sequence[str]) -> list[str]:
    ends = [cell.strip()[-6:] for cell in cells]
    known = {end: ZONE_AT_END.search(end) for end in set(ends)}
    for index, end in enumerate(ends):
        if known[end] is None:
            fault = (
                "has no time; each row needs one" if says_nothing(cells[index]) else "names no zone, the first rows do"
            )
            raise BadCell(index, cells[index], fault)
    words = {end: match[0] for end, match in known.items() if match}
    return [words[end] for end in ends]


def _offset(zone: str) -> int:
    """What is to be taken off the wall clock to have UTC, in microseconds."""
    if zone.upper() in {"Z", "UTC", "GMT"}:
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return (-minutes if zone[0] == "-" else minutes) * 60_000_000


def _all_numbers(cells: Sequence[str]) -> np.ndarray:
    found = numbers(cells)
    if (absent := np.flatnonzero(~np.isfinite(found))).size:
        raise BadCell(int(absent[0]), cells[absent[0]], "has no time; each row needs one")
    return found
