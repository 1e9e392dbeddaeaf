"""Names of values inside nested dicts: one text, from which the nesting comes back."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

BETWEEN = "\x1f"  # between the names of a path; a dot may be part of a name
DEEPEST = 64  # names in a path; what lies below is one value

# What a name may hold, but a database's text or a path may not: it is written as four hexadecimal digits.
_UNFIT = re.compile("[\0\x1e\x1f\ud800-\udfff]")
_ESCAPED = re.compile("\x1e([0-9a-f]{4})")


def path_of(*names: str) -> str:
    """The path to the value that is found by these names, one inside the other."""
    return BETWEEN.join(map(_written, names))


@lru_cache(maxsize=65_536)
def names_of(path: str) -> tuple[str, ...]:
    """The names that lead to the value."""
    return tuple(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), name) for name in path.split(BETWEEN))


def flattened(row: Mapping[str, Any], above: str = "", depth: int = DEEPEST) -> Iterator[tuple[str, Any]]:
    """The leaves of a row as (path, value). Media (dicts with ``_type``) and empty dicts are leaves."""
    for name, value in row.items():
        path = above + _written(name if type(name) is str else str(name))
        if type(value) is dict and value and depth > 1 and "_type" not in value:
            yield from flattened(value, path + BETWEEN, depth - 1)
        else:
            yield path, value


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The row whose leaves these are. Where a path runs through a value, the longer one wins."""
    row: dict[str, Any] = {}
    long = []
    for path, value in leaves.items():
        names = names_of(path)
        if len(names) == 1:
            row[names[0]] = value
        else:
            long.append((names, value))
    made = {id(row)}  # the dicts that hold other leaves, unlike those that are leaves
    for (*above, last), value in sorted(long, key=lambda leaf: len(leaf[0])):
        place: Any = row
        for name in above:
            inner = place.get(name)
            if id(inner) not in made:
                inner = place[name] = {}
                made.add(id(inner))
            place = inner
        place[last] = value
    return row


def shown(path: str) -> str:
    """The path as people write it: with dots."""
    return ".".join(names_of(path))


@lru_cache(maxsize=65_536)
def _written(name: str) -> str:
    return _UNFIT.sub(lambda found: f"\x1e{ord(found[0]):04x}", name)
