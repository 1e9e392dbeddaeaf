"""Names of values inside nested dicts: one text, from which the nesting comes back."""

from collections.abc import Iterator, Mapping
from typing import Any

BETWEEN = "\x1f"  # between the names of a path; a dot may be part of a name


def flattened(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a row as (path, value). Media (dicts with ``_type``) and empty dicts are leaves."""
    for name, value in row.items():
        if type(value) is dict and value and "_type" not in value:
            yield from flattened(value, f"{above}{name}{BETWEEN}")
        else:
            yield above + name, value


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The row whose leaves these are. Where a path runs through a value, the longer one wins."""
    row: dict[str, Any] = {}
    for path, value in leaves.items():
        if BETWEEN not in path:
            row[path] = value
            continue
        *above, name = path.split(BETWEEN)
        place = row
        for key in above:
            inner = place.get(key)
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place = inner
        place[name] = value
    return row


def shown(path: str) -> str:
    """The path as people write it: with dots."""
    return path.replace(BETWEEN, ".")
