"""Arguments held against their annotations: what can't be meant is refused by name, before anything depends on it."""

import functools
import inspect
import os
import sys
import types
from collections.abc import Callable, Collection, Mapping
from numbers import Integral
from pathlib import PurePath
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from fulgurite.base.errors import WrongKind

P = ParamSpec("P")
R = TypeVar("R")
LONGEST = 100
WORDS: Mapping[Any, str] = {
    bool: "True or False", int: "an int", float: "a number", str: "a str", type(None): "None", os.PathLike: "a path",
}  # fmt: skip


def checked(init: Callable[P, R]) -> Callable[P, R]:
    """Let a constructor raise ``WrongKind`` for values that its annotations rule out.

    Numbers of NumPy and tensors of one number are handed on as plain ones. Annotations that only a type checker can
    resolve are not looked at.
    """
    signature = inspect.signature(init)
    owner = init.__qualname__.split(".")[-2]
    kinds: dict[str, Any] = {}

    @functools.wraps(init)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{owner}(): {error}.") from None
        if not kinds:
            kinds.update(kinds_of(init))
        for name, value in given.arguments.items():
            if name in kinds:
                given.arguments[name] = fitting(value, kinds[name], f"{owner}({name}={{}})")
        return init(*given.args, **given.kwargs)

    return with_checks


def fitting(value: Any, kind: Any, what: str) -> Any:
    """``value``, if it is of the annotated ``kind``; a number of NumPy or torch as a plain one.

    Raises ``WrongKind`` where it is not. In ``what``, the last ``{}`` stands for the value.
    """
    if _fits(value, kind):
        return value
    number = _plain_number(value)
    if number is not value and _fits(number, kind):
        return number
    expected = " or ".join(_words(kind))
    # The last of them: what comes before may be a text of the user's own.
    before, _, after = what.rpartition("{}")
    raise WrongKind(f"{before}{shown(value)}{after}: {expected} was expected, not {type(value).__name__}.")


def shown(value: Any) -> str:
    """``repr(value)``, not longer than a message may be, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # an object of the user's own may not be ready to be shown
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def kinds_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of its parameters, as far as they can be resolved."""
    names = vars(sys.modules[function.__module__])
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        kind = parameter.annotation
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if variadic or kind is parameter.empty:
            continue
        try:
            found[name] = eval(kind, names) if isinstance(kind, str) else kind
        except Exception:  # a name that is imported for type checkers alone
            continue
    return found


def _fits(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if kind in (None, type(None)):
        return value is None
    if kind is bool:
        # 0 and 1 have always been taken for it.
        return isinstance(value, bool) or isinstance(value, int) and value in (0, 1)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, str) and "\0" in value:
        return False  # neither in a path nor in the run store has a zero character a place
    if isinstance(kind, type) and not get_args(kind):
        # A path is whatever can say that it is one.
        return isinstance(value, os.PathLike if issubclass(kind, PurePath) else kind)
    return _fits_parts(value, get_origin(kind), get_args(kind))


def _fits_parts(value: Any, origin: Any, parts: tuple[Any, ...]) -> bool:
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if not isinstance(origin, type):
        return True
    if not isinstance(value, origin) or isinstance(value, str | bytes) and issubclass(origin, Collection):
        return False
    return _fits_items(value, origin, parts)


def _fits_items(value: Any, origin: Any, parts: tuple[Any, ...]) -> bool:
    if issubclass(origin, Mapping):
        return all(_fits(key, parts[0]) and _fits(item, parts[1]) for key, item in value.items())
    # What is in a list of pairs or the like, the constructor itself knows how to tell.
    if not issubclass(origin, Collection) or len(parts) != 1 or get_origin(parts[0]) is tuple:
        return True
    # An array of no dimension is a Collection by its type.
    return getattr(value, "ndim", 1) != 0 and all(_fits(item, parts[0]) for item in value)


def _plain_number(value: Any) -> Any:
    """The number in an array or tensor of no dimension, and what else counts as an integer."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        number = value.item()
        return number if isinstance(number, bool | int | float) else value
    return int(value) if isinstance(value, Integral) and not isinstance(value, int) else value


def _words(kind: Any) -> list[str]:
    """What is expected, each possibility in words."""
    kind = type(None) if kind is None else kind
    if isinstance(kind, type) and issubclass(kind, PurePath):
        kind = os.PathLike
    if isinstance(kind, type) and kind in WORDS:
        return [WORDS[kind]]
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return [word for part in parts for word in _words(part)]
    if origin is Literal:
        return [repr(part) for part in parts]
    if origin in WORDS:
        return [WORDS[origin]]
    if origin is Callable:
        return ["a function"]
    return [f"a {getattr(origin or kind, '__name__', kind)}{_of(origin, parts)}"]


def _of(origin: Any, parts: tuple[Any, ...]) -> str:
    many = isinstance(origin, type) and issubclass(origin, Collection) and parts
    return f" of {' and '.join(' or '.join(_words(part)) for part in parts)}" if many else ""
