"""Compare a record with its golden: structure exactly, floats within a relative tolerance."""

import math
from typing import Any

from fulgurite.base import errors

RTOL = 1e-5
ATOL = 1e-7


def first_difference(ours: Any, golden: Any, where: str = "record") -> str | None:
    """Return where and how ``ours`` first differs from ``golden``, with some context, or None."""
    if _is_number(ours) and _is_number(golden):
        return None if _close(ours, golden) else f"{where}: {ours!r}, Lightning has {golden!r}"
    if type(ours) is not type(golden):
        return f"{where}: {_short(ours)}, Lightning has {_short(golden)}"
    if isinstance(golden, dict):
        return _dict_difference(ours, golden, where)
    if isinstance(golden, list):
        return _list_difference(ours, golden, where)
    return None if ours == golden or _is_kind(ours, golden) else f"{where}: {ours!r}, Lightning has {golden!r}"


def _is_kind(ours: Any, golden: Any) -> bool:
    """Whether ``ours`` names an error of our own that whoever catches Lightning's catches as well, or comes earlier."""
    own = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    names = [(kind.__name__, base.__name__) for kind in own for base in kind.__mro__[1:-2]]
    allowed = {golden.replace(theirs, mine) for mine, theirs in names if theirs in str(golden)}
    return ours in allowed | {each.replace("in fit", "at once") for each in allowed}


def _dict_difference(ours: dict, golden: dict, where: str) -> str | None:
    missing, extra = sorted(golden.keys() - ours.keys()), sorted(ours.keys() - golden.keys())
    if missing or extra:
        return f"{where}: keys missing {missing}, keys too many {extra}"
    found = (first_difference(ours[key], golden[key], f"{where}[{key!r}]") for key in golden)
    return next((difference for difference in found if difference), None)


def _list_difference(ours: list, golden: list, where: str) -> str | None:
    for index, (mine, theirs) in enumerate(zip(ours, golden, strict=False)):
        difference = first_difference(mine, theirs, f"{where}[{index}]")
        if difference:
            return difference + _context(ours, golden, index)
    if len(ours) == len(golden):
        return None
    index = min(len(ours), len(golden))
    return f"{where}: {len(ours)} entries, Lightning has {len(golden)}" + _context(ours, golden, index)


def _context(ours: list, golden: list, index: int) -> str:
    if len(golden) < 4:
        return ""
    lines = ["", "     ours" + " " * 71 + "Lightning"]
    for row in range(max(0, index - 4), min(max(len(ours), len(golden)), index + 4)):
        mine, theirs = (_short(side[row]) if row < len(side) else "-" for side in (ours, golden))
        lines.append(f"{'>' if row == index else ' '} {row:3} {mine:75} {theirs}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 150 else text[:147] + "..."


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _close(ours: float, golden: float) -> bool:
    both_nan = math.isnan(ours) and math.isnan(golden)
    return both_nan or ours == golden or math.isclose(ours, golden, rel_tol=RTOL, abs_tol=ATOL)
