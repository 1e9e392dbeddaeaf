"""Numbers, times and values as people read them."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def number(value: float) -> str:
    """In few digits; whole numbers in full."""
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return str(int(value))
    return f"{value:.5g}" if math.isfinite(value) else {math.inf: "∞", -math.inf: "-∞"}.get(value, "NaN")


def moment(seconds: float) -> str:
    """A time since 1970, in UTC: whoever reads it may live elsewhere."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def duration(seconds: float) -> str:
    """``1h 5m``: the two largest units."""
    left, parts = max(0, round(seconds)), []
    for size, unit in UNITS:
        count, left = divmod(left, size)
        parts.append((count, unit))
    first = next((i for i, (count, _) in enumerate(parts) if count), len(parts) - 1)
    shown = [f"{count}{unit}" for count, unit in parts[first : first + 2] if count]
    return " ".join(shown) or "0s"


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def counted(count: int, what: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def brief(value: Any) -> str:
    """Any value in one line."""
    if value is None:
        return "–"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "_type" in value:
        return str(value["_type"])
    return json.dumps(value)


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dicts by dotted name; what a client keeps for itself (``_…``) is left out."""
    for name, value in values.items():
        if name.startswith("_") and not above:
            continue
        if isinstance(value, dict) and value and "_type" not in value:
            yield from leaves(value, f"{above}{name}.")
        else:
            yield above + name, value
