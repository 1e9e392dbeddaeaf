"""Which column is what: named by the user, or guessed from names and first cells, and said."""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fulgurite.anomaly.cells import BadCell, TimeFormat, is_numeric, labels, numbers, says_nothing, time_formats
from fulgurite.base.arguments import fitting
from fulgurite.base.errors import DataError

TIME_NAMES = ("timestamp", "datetime", "date_time", "time", "date", "ts", "ds", "epoch", "unix", "when")
VALUE_NAMES = ("value", "values", "y", "val")
LABEL_NAMES = ("label", "labels", "is_anomaly", "anomaly", "is_outlier", "outlier")
#: Words in the name of a column that marks what is to be found, and so is no input.
MARKS = frozenset({*LABEL_NAMES, "anomalies", "outliers", "changepoint", "changepoints"})
MARKS_OF_TWO = ("change_point", "ground_truth")
NO_HINT = 2 * len(TIME_NAMES)
#: A column of words with more different ones than this is a text or an id.
FEW_WORDS = 50
#: What scoring puts behind the columns of its input; a file that has all three has been scored before.
MADE_HERE = ("score", "is_anomaly", "expected")


@dataclass(frozen=True)
class Columns:
    """What the columns are for. ``formats`` are the formats that may be the times', the likeliest first."""

    value: str
    time: str | None = None
    formats: tuple[TimeFormat, ...] = ()
    continuous: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    label: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def numeric(self) -> tuple[str, ...]:
        return (self.value, *self.continuous)


@dataclass(frozen=True)
class Asked:
    """What the user named; None is to be guessed."""

    time: str | None = None
    value: str | None = None
    continuous: tuple[str, ...] | None = None
    categorical: tuple[str, ...] | None = None
    label: str | None = None
    time_format: str | None = None  # the pattern to take where several fit

    @classmethod
    def of(
        cls,
        time: str | None = None,
        value: str | None = None,
        continuous: Iterable[str] | str | None = None,
        categorical: Iterable[str] | str | None = None,
        label: str | None = None,
        time_format: str | None = None,
    ) -> "Asked":
        """As the arguments of `read` came: a single name stands for a list of one."""
        return cls(
            _text("time", time),
            _text("value", value),
            _tuple("continuous", continuous),
            _tuple("categorical", categorical),
            _text("label", label),
            time_format,
        )

    @property
    def names(self) -> list[str]:
        single = [name for name in (self.time, self.value, self.label) if name is not None]
        return [*single, *(self.continuous or ()), *(self.categorical or ())]


def choose(sample: Mapping[str, Sequence[str]], asked: Asked, decimal: str = ".", source: str = "the table") -> Columns:
    """Give every column of ``sample``, its name and its first cells, its part.

    Raises ``DataError`` for a name that is not there or has two parts, and where no column has numbers.
    """
    _check_names(list(sample), asked, source)
    return _Choice(sample, asked, decimal, source).columns()


def missing(name: str, there: Sequence[str], source: str) -> DataError:
    """The error for a column that is not there, with the name that the user may have meant."""
    by_lower = {known.lower(): known for known in there}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.5)
    hint = f" Did you mean {by_lower[near[0]]!r}?" if near else ""
    return DataError(f"There is no column {name!r} in {source}. It has {listed(there)}.{hint}")


def free_names(there: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """What new columns are called beside those that are there: where a name is taken, ``_new`` is put behind it."""
    taken, names = set(there), {}
    for name in wanted:
        free = name
        while free in taken:
            free += "_new"
        taken.add(free)
        names[name] = free
    return names


def listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _text(part: str, name: Any) -> str | None:
    """The name of a column, which pandas may have as a number."""
    fitting(name, str | int | None, f"{part}={{}}")
    return None if name is None else str(name)


def _tuple(part: str, names: Any) -> tuple[str, ...] | None:
    given = [*names] if isinstance(names, Iterator) else [names] if isinstance(names, str) else names
    fitting(given, Collection[str | int] | None, f"{part}={{}}")
    return None if given is None else tuple(map(str, given))


def _check_names(there: list[str], asked: Asked, source: str) -> None:
    for name in asked.names:
        if name not in there:
            raise missing(name, there, source)
    twice = [name for name in asked.names if asked.names.count(name) > 1]
    if twice:
        raise DataError(f"The column {twice[0]!r} was named for two things. Each column has one part.")


class _Choice:
    """One choice in the making: ``left`` are the columns that have no part yet."""

    def __init__(self, sample: Mapping[str, Sequence[str]], asked: Asked, decimal: str, source: str) -> None:
        self.sample, self.asked, self.decimal, self.source = sample, asked, decimal, source
        self.left = [name for name in sample if name not in asked.names]
        self.notes: list[str] = []

    def columns(self) -> Columns:
        self._leave_out_earlier_scores()
        time, formats = self._time()
        # A column may have an empty name, as that of an index in a CSV.
        label = self._guessed_label() if self.asked.label is None else self.asked.label
        value = self._guessed_value() if self.asked.value is None else self.asked.value
        continuous, categorical = self._further()
        formats.sort(key=lambda form: form.pattern != self.asked.time_format)
        return Columns(value, time, tuple(formats), continuous, categorical, label, tuple(self.notes))

    def _take(self, name: str) -> str:
        self.left.remove(name)
        return name

    def _leave_out_earlier_scores(self) -> None:
        if set(MADE_HERE) <= set(self.left):
            made = [name for name in self.left if name in MADE_HERE or name.startswith(("score_", "expected_"))]
            self.left = [name for name in self.left if name not in made]
            self.notes.append(f"Columns of an earlier scoring are left out: {listed(made)}.")

    def _time(self) -> tuple[str | None, list[TimeFormat]]:
        if self.asked.time is not None:
            formats = time_formats(self.sample[self.asked.time], hinted=True)
            if not formats:
                raise self._no_times(self.asked.time)
            return self.asked.time, formats
        for formats_of in (time_formats, _formats_of_some):
            for name in sorted(self.left, key=_time_rank):
                if formats := formats_of(self.sample[name], _time_rank(name) < NO_HINT):
                    self.notes.append(f"The times are read from the column {name!r}.")
                    return self._take(name), formats
        for name in sorted(self.left, key=_time_rank):
            if _time_rank(name) < NO_HINT and self._number_share(name) < 0.5:
                raise self._no_times(name)  # it is meant to hold times; to count rows instead would hide that
        self.notes.append("No column holds times: rows are counted instead, and nothing is known of hours and days.")
        return None, []

    def _no_times(self, name: str) -> DataError:
        cells = self.sample[name]
        shown = next((cell for cell in cells if not says_nothing(cell)), "")
        bad = _first_odd_time(cells)
        told = f"{shown!r} is a time, {bad!r} is none that is written alike" if bad is not None else f"e.g. {shown!r}"
        return DataError(
            f"The column {name!r} in {self.source} does not hold times: {told}. Accepted are "
            "2024-01-31 15:45:00 with or without an offset such as +01:00, 31.01.2024 15:45, 01/31/2024 3:45 PM and "
            "the like, and seconds or milliseconds since 1970."
        )

    def _guessed_label(self) -> str | None:
        named, marks = ([name for name in self.left if fits(name)] for fits in (_names_labels, _marks))
        for name in named or (marks if len(marks) == 1 else []):
            if _is_label(self.sample[name]):
                self.notes.append(f"The column {name!r} is taken for labels: no model sees it.")
                return self._take(name)
        return None

    def _guessed_value(self) -> str:
        # A column with some text among its numbers is not passed over in silence: reading will name the cell.
        found = [name for name in self.left if self._number_share(name) > 0.5]
        named = [name for wanted in VALUE_NAMES for name in found if name.lower() == wanted]
        able = named or [name for name in found if not self._counts_rows(name)] or found
        able = [name for name in able if not _marks(name)] or able
        if not able:
            raise DataError(f"No column of {self.source} holds numbers to watch. It has {listed(self.sample)}.")
        if len(self.sample) > 1:
            self.notes.append(f"The watched value is the column {able[0]!r}.")
        return self._take(able[0])

    def _further(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        asked = self.asked
        if asked.continuous is not None or asked.categorical is not None:
            named = {*(asked.continuous or ()), *(asked.categorical or ())}
            if idle := [name for name in self.left if name not in named]:
                self.notes.append(f"Not used, since only some of the further columns were named: {listed(idle)}.")
            return asked.continuous or (), asked.categorical or ()
        self._leave_out_marks()
        whole = [name for name in self.left if self._number_share(name) == 1 and not self._counts_rows(name)]
        categorical = [name for name in self.left if name not in whole and self._few_words(name)]
        nearly = [name for name in self.left if name not in categorical and 0.9 < self._number_share(name) < 1]
        continuous = [name for name in self.left if name in whole or name in nearly]
        idle = [name for name in self.left if name not in continuous and name not in categorical]
        for kind, names in (("continuous", continuous), ("categorical", categorical)):
            if names:
                self.notes.append(f"Used beside the value, as {kind}: {listed(names)}.")
        if idle:
            self.notes.append(f"Not used, being empty, times, ids, counts or free text: {listed(idle)}.")
        return tuple(continuous), tuple(categorical)

    def _leave_out_marks(self) -> None:
        if marks := [name for name in self.left if _marks(name)]:
            self.left = [name for name in self.left if name not in marks]
            self.notes.append(
                f"Not used, since the name says that it marks anomalies: {listed(marks)}. To use it all the same, name "
                "the further columns."
            )

    def _number_share(self, name: str) -> float:
        """How many of the cells that say something are numbers."""
        told = [cell for cell in self.sample[name] if not says_nothing(cell)]
        if is_numeric(told, self.decimal):
            return 1.0
        return sum(is_numeric([cell], self.decimal) for cell in told) / max(1, len(told))

    def _counts_rows(self, name: str) -> bool:
        """Whether the column goes up by one from row to row, as an index does."""
        if self._number_share(name) < 1:
            return False
        found = numbers(self.sample[name], self.decimal)
        return len(found) > 2 and bool((found == found[0] + np.arange(len(found))).all())

    def _few_words(self, name: str) -> bool:
        cells = self.sample[name]
        words = {cell.strip() for cell in cells if not says_nothing(cell)}
        return 0 < len(words) <= min(FEW_WORDS, max(1, len(cells) // 2)) and not time_formats(cells)


def _time_rank(name: str) -> int:
    """Places in `TIME_NAMES`, of whole names before those of single words in a name; any other name comes last."""
    words = _words(name)
    if "_".join(words) in TIME_NAMES:
        return TIME_NAMES.index("_".join(words))
    return min((len(TIME_NAMES) + TIME_NAMES.index(word) for word in words if word in TIME_NAMES), default=NO_HINT)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def _names_labels(name: str) -> bool:
    return name.lower() in LABEL_NAMES


def _marks(name: str) -> bool:
    words = _words(name)
    return not MARKS.isdisjoint(words) or any(pair in "_".join(words) for pair in MARKS_OF_TWO)


def _formats_of_some(cells: Sequence[str], hinted: bool) -> list[TimeFormat]:
    """The formats of a column in which only some cells are times: reading will name the first that is not."""
    return next((found for cell in cells[:5] if (found := time_formats([cell], hinted))), [])


def _first_odd_time(cells: Sequence[str]) -> str | None:
    """The first cell that is no time where the first cell is one."""
    formats = time_formats(cells[:1], hinted=True)
    if not formats:
        return None
    try:
        formats[0](cells)
    except BadCell as bad:
        return bad.cell
    return None


def _is_label(cells: Sequence[str]) -> bool:
    try:
        labels(cells)
    except BadCell:
        return False
    return True
