"""Values as a row can hold them: read when they are logged, since arrays and lists may change later."""

from collections.abc import Mapping
from typing import Any

PLAIN = {float, int, bool, str, type(None)}


def plain(value: Any) -> Any:
    """``value`` as None, bool, int, float, str, or lists and dicts of these. Arrays and tensors become numbers."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {text(str(name)): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):
        return _number(value)
    # Subclasses of numbers and of str: enumerations, NumPy's own.
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def named(row: dict[Any, Any]) -> dict[str, Any]:
    """The row under names that a store can keep; itself where they are such."""
    if all(type(name) is str and name.isascii() for name in row):
        return row
    return {text(str(name)): value for name, value in row.items()}


def text(given: str) -> str:
    """The text with a question mark for what UTF-8 has no bytes for: halves of characters, as in odd file names."""
    return given if given.isascii() else given.encode("utf-8", "replace").decode()


def _number(value: Any) -> Any:
    """A tensor's or an array's number, or its numbers as a list."""
    if hasattr(value, "detach"):
        value = value.detach()
    # Complex numbers, dates and the like are in arrays, too.
    found = plain(value.tolist())
    return found[0] if isinstance(found, list) and len(found) == 1 and type(found[0]) in PLAIN else found
