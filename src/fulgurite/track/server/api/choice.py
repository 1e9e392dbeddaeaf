"""Which runs of a sheet are meant, and in what order: words, filters such as ``config.lr>0.01``, sorting, groups."""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fulgurite.track.server.api.asked import BadRequest
from fulgurite.track.server.api.sheet import OWN, Entry
from fulgurite.track.wire.filters import MISSING, BadFilter, condition, rank

FILTER = re.compile(r'\s*("(?:[^"\\]|\\.)*"|.+?)\s*(!=|<=|>=|!~|=|<|>|~)\s*(.*?)\s*', re.DOTALL)
OPERATORS = {"=": "$eq", "!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
SEARCHED = ("name", "id", "tags", "notes", "group", "job_type", "sweep")
KEYS = ("config.", "summary.")

Test = Callable[[Entry], bool]


@dataclass(frozen=True)
class Group:
    """Runs that have the same values in the columns they are grouped by; ``first`` is the place of its first run."""

    key: tuple[Any, ...]
    first: int
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Choice:
    """``search`` holds words that must all occur; ``sort`` columns, falling with a ``-`` before them."""

    search: str = ""
    filters: Sequence[str] = ()
    sort: Sequence[str] = ()
    group: Sequence[str] = ()

    def of(self, entries: Iterable[Entry]) -> tuple[list[Entry], list[Group]]:
        """The chosen ones in their order, and the groups that they lie in. Raises ``BadRequest``."""
        tests = [read_filter(text) for text in self.filters]
        words = self.search.lower().split()
        if words:
            tests.append(lambda entry: all(word in _searched(entry) for word in words))
        try:
            found = [entry for entry in entries if all(test(entry) for test in tests)]
        except BadFilter as error:
            raise BadRequest(str(error)) from error
        return self._grouped(self._sorted(found))

    def _sorted(self, entries: list[Entry]) -> list[Entry]:
        """Sorted, the newest first where nothing else is said; those without a value are last in either direction."""
        found = sorted(entries, key=lambda entry: (entry.run.created_at, entry.run.id), reverse=True)
        for text in reversed(self.sort):
            column, falls = known_column(text.removeprefix("-")), text.startswith("-")
            keyed = [(rank(entry.value(column)), entry) for entry in found]
            there = sorted((pair for pair in keyed if pair[0]), key=lambda pair: pair[0], reverse=falls)
            found = [entry for _, entry in there] + [entry for key, entry in keyed if not key]
        return found

    def _grouped(self, entries: list[Entry]) -> tuple[list[Entry], list[Group]]:
        if not self.group:
            return entries, []
        columns = [known_column(name) for name in self.group]
        groups: dict[str, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(json.dumps([entry.value(column) for column in columns], sort_keys=True), []).append(entry)
        found: list[Group] = []
        first = 0
        for members in groups.values():
            found.append(Group(tuple(members[0].value(column) for column in columns), first, members))
            first += len(members)
        return [entry for members in groups.values() for entry in members], found


def read_filter(text: str) -> Test:
    """The test of a run that ``COLUMN OPERATOR VALUE`` is."""
    name, accepts = read_condition(text)
    column = known_column(name)

    def test(entry: Entry) -> bool:
        value = entry.value(column)
        return accepts(MISSING if value is None else value)

    return test


def read_condition(text: str) -> tuple[str, Callable[[Any], bool]]:
    """The column in ``COLUMN OPERATOR VALUE``, and the test of its value: ``MISSING`` where there is none.

    A column that holds an operator stands in double quotes. The value is read as JSON where it is some, else it is a
    text; of a list, any value may be there; null is for none.
    """
    found = FILTER.fullmatch(text)
    if found is None:
        raise BadRequest(f"The filter {text!r} is not COLUMN OPERATOR VALUE, with one of = != < <= > >= ~ !~ between.")
    name, operator, wanted = found.groups()
    if name.startswith('"'):
        try:
            name = json.loads(name)
        except ValueError as error:
            raise BadRequest(f"The column of the filter {text!r} is no text in double quotes.") from error
    return name, _accepts(operator, wanted)


def _accepts(operator: str, wanted: str) -> Callable[[Any], bool]:
    try:
        if operator.endswith("~"):
            found = condition({"$regex": wanted, "$options": "i"})
            return found if operator == "~" else lambda value: not found(value)
        value = _plain(wanted)
        if isinstance(value, list) and operator in ("=", "!="):
            return condition({"$in" if operator == "=" else "$nin": value})
        return condition({OPERATORS[operator]: value})
    except BadFilter as error:
        raise BadRequest(str(error)) from error


def _plain(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, float) and not math.isfinite(value) else value


def known_column(name: str) -> str:
    """The name, if a run can have such a column. Raises ``BadRequest``."""
    if name in OWN or name.startswith(KEYS):
        return name
    raise BadRequest(f"Runs have no column {name!r}. There is: config.NAME, summary.NAME, {', '.join(OWN)}.")


def _searched(entry: Entry) -> str:
    values = [entry.value(column) for column in SEARCHED]
    return "\n".join(" ".join(value) if isinstance(value, list) else value or "" for value in values).lower()
