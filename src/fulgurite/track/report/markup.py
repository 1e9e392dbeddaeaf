"""HTML out of plain values: all text is escaped, unless it was made here."""

import json
import math
from collections.abc import Iterable
from html import escape
from typing import Any

VOID = {"img", "input", "meta", "link", "source"}


class Markup(str):
    """HTML that is safe to put into a page as it is."""

    __slots__ = ()


Child = Any  # Markup, or a text, a number, a list of children, or None for nothing


def h(tag: str, *children: Child, **attributes: Any) -> Markup:
    """An element: ``h("a", "home", href="/")``. ``kind`` is its class; attributes that are None are left out."""
    said = "".join(_attribute(name, value) for name, value in attributes.items() if value is not None)
    if tag in VOID:
        return Markup(f"<{tag}{said}>")
    return Markup(f"<{tag}{said}>{together(children)}</{tag}>")


def together(children: Iterable[Child]) -> Markup:
    """Children one after the other."""
    return Markup("".join(map(_child, children)))


def json_script(data: Any, **attributes: Any) -> Markup:
    """Data for a script, where no text can end it. Numbers that are not finite, which JSON lacks, become null."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return h("script", Markup(text), type="application/json", **attributes)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _finite(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, list | tuple):
        return together(child)
    return escape(str(child))


def _attribute(name: str, value: Any) -> str:
    name = {"kind": "class"}.get(name, name.rstrip("_").replace("_", "-"))
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
