"""Which artifacts are asked for, and in what order: filters as MongoDB writes them, and ``-created_at``."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from fulgurite.track.store.errors import StoreError

T = TypeVar("T")
# Names that the client has for the same.
SAME = {"versionIndex": "version", "version_index": "version", "tag": "tags", "aliases": "alias", "typeName": "type"}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, wanted: _any(value, lambda each: each == wanted),
    "$ne": lambda value, wanted: not _any(value, lambda each: each == wanted),
    "$in": lambda value, wanted: _any(value, lambda each: each in wanted),
    "$nin": lambda value, wanted: not _any(value, lambda each: each in wanted),
    "$gt": lambda value, wanted: _any(value, lambda each: each is not None and each > wanted),
    "$gte": lambda value, wanted: _any(value, lambda each: each is not None and each >= wanted),
    "$lt": lambda value, wanted: _any(value, lambda each: each is not None and each < wanted),
    "$lte": lambda value, wanted: _any(value, lambda each: each is not None and each <= wanted),
    "$regex": lambda value, wanted: _any(value, lambda each: re.search(wanted, str(each)) is not None),
    "$contains": lambda value, wanted: _any(value, lambda each: str(wanted) in str(each)),
    "$exists": lambda value, wanted: (value is not None) == bool(wanted),
}


def arranged(items: Sequence[T], about: Callable[[T], Mapping[str, Any]], filters: str, order: str) -> list[T]:
    """The items whose facts (``about``) pass the filters; in the given order, or else in the one they came in."""
    asked = json.loads(filters or "{}") or {}
    if not asked and not order:
        return list(items)
    facts = [(item, about(item)) for item in items]
    facts = [(item, known) for item, known in facts if passes(known, asked)]
    if order:
        name = order.lstrip("+-")
        # What has no such fact comes last, whichever way the others are sorted.
        present = [pair for pair in facts if _fact(pair[1], name) is not None]
        present.sort(key=lambda pair: _fact(pair[1], name), reverse=order.startswith("-"))
        facts = present + [pair for pair in facts if _fact(pair[1], name) is None]
    return [item for item, _ in facts]


def exact(moment: float) -> str:
    """Seconds since 1970 as a time that compares well with the client's, which end at the second."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def passes(known: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether facts meet all conditions. Raises ``StoreError`` for a comparison that we don't know."""
    return all(_holds(known, name, wanted) for name, wanted in asked.items())


def _holds(known: Mapping[str, Any], name: str, wanted: Any) -> bool:
    if name == "$and":
        return all(passes(known, each) for each in wanted)
    if name in ("$or", "$nor"):
        return any(passes(known, each) for each in wanted) == (name == "$or")
    if name == "$not":
        return not passes(known, wanted)
    return _compares(_fact(known, name), wanted)


def _compares(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict) or not any(operator.startswith("$") for operator in wanted):
        wanted = {"$eq": wanted}
    for operator, operand in wanted.items():
        if operator == "$not":
            if _compares(value, operand):
                return False
        elif operator not in COMPARISONS:
            raise StoreError(f"The filter {operator!r} is not known. Known are {', '.join(sorted(COMPARISONS))}.")
        elif not COMPARISONS[operator](value, operand):
            return False
    return True


def _fact(known: Mapping[str, Any], name: str) -> Any:
    """A fact by one of its names; ``metadata.x`` looks into the JSON."""
    first, _, rest = name.partition(".")
    first = re.sub(r"(?<=[a-z])([A-Z])", lambda found: "_" + found[1].lower(), SAME.get(first, first))
    value = known.get(first)
    if not rest:
        return value
    inside = json.loads(value) if isinstance(value, str) else value
    for key in rest.split("."):
        inside = inside.get(key) if isinstance(inside, dict) else None
    return inside


def _any(value: Any, holds: Callable[[Any], bool]) -> bool:
    """Whether it holds for a fact, or for one of several; what can't be compared does not hold."""
    try:
        return any(holds(each) for each in value) if isinstance(value, list) else holds(value)
    except TypeError:
        return False
