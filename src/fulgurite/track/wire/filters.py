"""Which runs a client means: its filters, written as MongoDB writes them, and its orders.

A filter such as ``{"$and": [{"config.lr": {"$lt": 0.1}}, {"tags": "good"}]}`` becomes a test of a `Candidate`, which
decodes no more of a run than the test looks at.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.runs import ENTITY, state_now
from fulgurite.track.wire.patterns import BadPattern, Pattern

DEEPEST = 40
MISSING: Any = object()

# What clients call a column, and the column.
NAMES = {
    "name": "name", "id": "name", "run_id": "name", "display_name": "display_name", "displayName": "display_name",
    "state": "state", "tags": "tags", "group": "group_name", "group_name": "group_name", "groupName": "group_name",
    "job_type": "job_type", "jobType": "job_type", "notes": "notes", "description": "notes", "sweep": "sweep",
    "sweep_name": "sweep", "sweepName": "sweep", "exit_code": "exit_code", "exitCode": "exit_code",
    "history_line_count": "row_count", "historyLineCount": "row_count",
    "created_at": "created_at", "createdAt": "created_at", "heartbeat_at": "seen_at", "heartbeatAt": "seen_at",
    "updated_at": "seen_at", "updatedAt": "seen_at", "ended_at": "ended_at",
}  # fmt: skip
INSIDE = {"config": "config", "summary_metrics": "summary", "summaryMetrics": "summary", "summary": "summary"}
FACTS = {"host": "host", "program": "program", "commit": "commit"}
OWNERS = {"username", "user", "user.name", "user.username", "entity"}
TIMES = {"created_at", "seen_at", "ended_at"}

Test = Callable[[Any], bool]  # of a `Candidate`, or of what a subclass of `Reading` reads
Reader = Callable[[Any], Any]


class BadFilter(StoreError):
    """A filter or an order can't be understood; the message says what was expected."""


class Candidate:
    """A run of which some columns were read. ``row`` has them by name; JSON is decoded when a test looks at it."""

    __slots__ = ("row", "_decoded")

    def __init__(self, row: Any) -> None:
        self.row = row
        self._decoded: dict[str, Any] = {}

    def inside(self, column: str) -> Any:
        """The dict or list that a JSON column holds."""
        if column not in self._decoded:
            self._decoded[column] = json.loads(self.row[column])
        return self._decoded[column]


@dataclass(frozen=True)
class Filter:
    """``columns`` are what ``accepts`` looks at."""

    columns: frozenset[str]
    accepts: Test


@dataclass(frozen=True)
class Order:
    """By which values, the weightiest first, each with whether it falls."""

    columns: frozenset[str]
    by: tuple[tuple[Reader, bool], ...]

    def sorted(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Sorted; those without a value come last in either direction."""
        found = list(candidates)
        for read, falls in reversed(self.by):
            keyed = [(rank(read(each)), each) for each in found]
            there = sorted((pair for pair in keyed if pair[0]), key=lambda pair: pair[0], reverse=falls)
            found = [each for _, each in there] + [each for rank, each in keyed if not rank]
        return found


def read_filter(text: str | None) -> Filter:
    """The filter that a client sent as JSON. Raises ``BadFilter``."""
    try:
        asked = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise BadFilter(f"The filter {_short(text)} is no JSON: {error}.") from error
    reading = Reading()
    test = reading.all_of(asked if asked is not None else {}, 0)
    return Filter(frozenset(reading.columns), test)


def read_order(text: str | None) -> Order:
    """The order that a client sent, such as ``-summary_metrics.loss,+created_at``. Raises ``BadFilter``."""
    reading, by = Reading(), []
    for part in filter(None, (each.strip() for each in (text or "-created_at").split(","))):
        by.append((reading.field(part.lstrip("+-")), part.startswith("-")))
    return Order(frozenset(reading.columns), tuple(by))


class Reading:
    """Turns a filter into a test, and notes the columns that it needs."""

    def __init__(self) -> None:
        self.columns: set[str] = set()

    def all_of(self, asked: Any, depth: int) -> Test:
        """A dict of fields and of ``$and``, ``$or``, ``$nor``, ``$not``: each must hold."""
        if depth > DEEPEST:
            raise BadFilter(f"A filter may be nested {DEEPEST} deep at most.")
        if not isinstance(asked, Mapping):
            raise BadFilter(f'A filter is an object such as {{"state": "finished"}}, not {_short(asked)}.')
        tests = [self._entry(name, wanted, depth) for name, wanted in asked.items()]
        return tests[0] if len(tests) == 1 else lambda candidate: all(test(candidate) for test in tests)

    def _entry(self, name: str, wanted: Any, depth: int) -> Test:
        if name == "$not":
            inner = self.all_of(wanted, depth + 1)
            return lambda candidate: not inner(candidate)
        if name in ("$and", "$or", "$nor"):
            return self._several(name, wanted, depth)
        if name.startswith("$"):
            raise BadFilter(f"{name} is not known as an operator here. Known: $and, $or, $nor, $not.")
        read, test = self.field(name), condition(wanted, _is_time(name), depth)
        return lambda candidate: test(read(candidate))

    def _several(self, name: str, wanted: Any, depth: int) -> Test:
        if not isinstance(wanted, Sequence) or isinstance(wanted, str):
            raise BadFilter(f"{name} takes a list of filters, not {_short(wanted)}.")
        tests = [self.all_of(each, depth + 1) for each in wanted]
        if name == "$and":
            return lambda candidate: all(test(candidate) for test in tests)
        some = name == "$or"
        return lambda candidate: any(test(candidate) for test in tests) == some

    def field(self, name: str) -> Reader:
        """How to read a field from a run."""
        above, _, path = name.partition(".")
        if above in INSIDE and path:
            return self._inside(INSIDE[above], path)
        if name in FACTS:
            self.columns.add("facts")
            fact = FACTS[name]
            return lambda candidate: candidate.inside("facts").get(fact, MISSING)
        if name in OWNERS:
            return lambda candidate: ENTITY
        if name not in NAMES:
            known = ", ".join(sorted({each for each in NAMES if "_" in each or each.islower()}))
            raise BadFilter(
                f"Runs have no field {name!r}. Fields are config.NAME, summary_metrics.NAME, {known}, host, username."
            )
        return self._column(NAMES[name])

    def _inside(self, column: str, path: str) -> Reader:
        self.columns.add(column)
        names = tuple(path.split("."))
        # Clients write config.lr.value: they send {"lr": {"value": 0.1}}, which is kept as {"lr": 0.1}.
        plain = names[:1] + tuple(each for each in names[1:] if each != "value")

        def read(candidate: Candidate) -> Any:
            found = dug(candidate.inside(column), names)
            return dug(candidate.inside(column), plain) if found is MISSING and plain != names else found

        return read

    def _column(self, column: str) -> Reader:
        self.columns.add(column)
        if column == "tags":
            return lambda candidate: candidate.inside("tags")
        if column == "state":
            self.columns.add("seen_at")
            return lambda candidate: state_now(candidate.row["state"], candidate.row["seen_at"])
        if column == "display_name":
            self.columns.add("name")
            return lambda candidate: candidate.row["display_name"] or candidate.row["name"]
        return lambda candidate: MISSING if candidate.row[column] is None else candidate.row[column]


def condition(wanted: Any, is_time: bool = False, depth: int = 0) -> Callable[[Any], bool]:
    """What a value must be like: equal to ``wanted``, or as its operators say."""
    if not (isinstance(wanted, Mapping) and any(str(name).startswith("$") for name in wanted)):
        return _operator("$eq", wanted, is_time)
    if depth > DEEPEST:
        raise BadFilter(f"A filter may be nested {DEEPEST} deep at most.")
    tests: list[Callable[[Any], bool]] = []
    for name, operand in wanted.items():
        if name == "$not":
            tests.append(_negated(condition(operand, is_time, depth + 1)))
        elif name == "$regex":
            tests.append(_pattern(operand, wanted.get("$options", "")))
        elif name != "$options":
            tests.append(_operator(name, operand, is_time))
    return lambda value: all(test(value) for test in tests)


def _negated(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: not test(value)


def _operator(name: str, operand: Any, is_time: bool) -> Callable[[Any], bool]:
    if name in ("$in", "$nin", "$all"):
        if not isinstance(operand, Sequence) or isinstance(operand, str):
            raise BadFilter(f"{name} takes a list of values, not {_short(operand)}.")
        tests = [_operator("$eq", each, is_time) for each in operand]
        if name == "$all":
            return lambda value: all(test(value) for test in tests)
        some = name == "$in"
        return lambda value: any(test(value) for test in tests) == some
    if is_time:
        operand = _seconds(operand)
    if name in COMPARED:
        return COMPARED[name](operand)
    raise BadFilter(f"{name} is not known as an operator here. Known: {', '.join([*COMPARED, '$in', '$nin', '$all'])}, "
                    "$regex, $not.")  # fmt: skip


def _equal(operand: Any) -> Callable[[Any], bool]:
    def test(value: Any) -> bool:
        if isinstance(value, list) and not isinstance(operand, list):
            return any(_same(each, operand) for each in value)
        return _same(None if value is MISSING else value, operand)

    return test


def _other(operand: Any) -> Callable[[Any], bool]:
    equal = _equal(operand)
    return lambda value: not equal(value)


def _there(operand: Any) -> Callable[[Any], bool]:
    return lambda value: (value is not MISSING) == bool(operand)


def _compared(accepts: Callable[[Any, Any], bool]) -> Callable[[Any], Callable[[Any], bool]]:
    """Numbers are compared with numbers and texts with texts; all else is neither more nor less."""

    def of(operand: Any) -> Callable[[Any], bool]:
        kind = str if isinstance(operand, str) else int | float

        def test(value: Any) -> bool:
            if isinstance(value, list):
                return any(test(each) for each in value)
            return isinstance(value, kind) and isinstance(operand, kind) and accepts(value, operand)

        return test

    return of


COMPARED: dict[str, Callable[[Any], Callable[[Any], bool]]] = {
    "$eq": _equal,
    "$ne": _other,
    "$exists": _there,
    "$gt": _compared(lambda value, operand: bool(value > operand)),
    "$gte": _compared(lambda value, operand: bool(value >= operand)),
    "$lt": _compared(lambda value, operand: bool(value < operand)),
    "$lte": _compared(lambda value, operand: bool(value <= operand)),
}


def _pattern(pattern: Any, options: Any) -> Callable[[Any], bool]:
    if not isinstance(pattern, str):
        raise BadFilter(f"$regex takes a pattern as a text, not {_short(pattern)}.")
    try:
        read = Pattern(pattern, ignore_case="i" in str(options))
    except BadPattern as error:
        raise BadFilter(f"The pattern {_short(pattern)} {error}.") from error

    def test(value: Any) -> bool:
        if isinstance(value, list):
            return any(test(each) for each in value)
        try:
            return isinstance(value, str) and read.is_in(value)
        except BadPattern as error:
            raise BadFilter(f"The pattern {_short(pattern)} {error}.") from error

    return test


def _same(value: Any, operand: Any) -> bool:
    return bool(value == operand) and isinstance(value, bool) == isinstance(operand, bool)


def dug(values: Any, names: tuple[str, ...]) -> Any:
    """The value at a path. A key may itself hold dots: the longest one that fits is followed."""
    if not names:
        return values
    if isinstance(values, Mapping):
        for count in range(len(names), 0, -1):
            key = ".".join(names[:count])
            if key in values and (found := dug(values[key], names[count:])) is not MISSING:
                return found
    return MISSING


def _is_time(name: str) -> bool:
    return NAMES.get(name) in TIMES


def _seconds(moment: Any) -> Any:
    """A time in seconds since 1970, from ISO text (UTC unless it says otherwise), seconds or milliseconds."""
    if isinstance(moment, str):
        try:
            parsed = datetime.fromisoformat(moment.rstrip("#").removesuffix("T"))
        except ValueError as error:
            raise BadFilter(f"{_short(moment)} is no time. Write it like 2026-01-31T12:00:00Z.") from error
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    if isinstance(moment, int | float) and not isinstance(moment, bool):
        return moment / 1000 if abs(moment) > 1e11 else moment
    return moment


def rank(value: Any) -> tuple[Any, ...]:
    """A key to sort by: numbers before texts before all else; empty where there is nothing to sort by."""
    if value is MISSING or value is None or value != value:
        return ()
    if isinstance(value, int | float):
        return (0, value, "")
    return (1, 0, value) if isinstance(value, str) else (2, 0, json.dumps(value, sort_keys=True))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
