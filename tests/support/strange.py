"""Values that nobody means, and what counts as an answer in good order to them."""

import datetime
import decimal
import fractions
import inspect
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from fulgurite.base.errors import MisconfigurationException, MissingExtra

#: The errors that a user may see; `OSError` is the system's word on a path.
CLEAR = (MisconfigurationException, ValueError, TypeError, MissingExtra)


class Odd:
    """Answers no question."""

    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")

    def __eq__(self, other: object) -> bool:
        raise ValueError("not to be compared")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<odd>"


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 10**30, -(10**30)),
    *(0.0, 0.5, 1.0, 1.5, -0.5, 1e300, math.nan, math.inf, -math.inf, 1j),
    *("", " ", "auto", "1", "0.5", "-1", "true", "None", "nan", "min", "cpu", "00:00:00:01", "a\0b", "ü/..", "x" * 300),
    *(b"", b"1", [], [1], ["a"], [None], (), (1, 2), {}, {"a": 1}, {1: "a"}, set(), frozenset([1]), range(3), slice(1)),
    *(np.int64(3), np.int64(-3), np.float32(0.5), np.float64(math.nan), np.bool_(True), np.str_("a")),
    *(np.array(3), np.array([1, 2]), np.array([]), np.array(["a"], dtype=object)),
    *(torch.tensor(1), torch.tensor(0.5), torch.tensor(True), torch.tensor([1.0, 2.0]), torch.tensor([])),
    *(torch.float32, torch.device("cpu"), torch.nn.Linear(1, 1), torch.nn.Linear),
    *(int, object(), Odd(), len, lambda: 1, lambda *given: given, iter([1]), inspect, NotImplemented, ...),
    *(fractions.Fraction(1, 2), decimal.Decimal("0.5"), decimal.Decimal("nan"), pathlib.PurePosixPath("a")),
    *(datetime.timedelta(1), datetime.timedelta(-1), datetime.datetime(2024, 1, 1), datetime.date(2024, 1, 1)),
)
values = st.sampled_from(VALUES) | st.integers() | st.floats() | st.text(max_size=5)


def parameters(kind: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The named parameters of a class or function."""
    found = inspect.signature(kind).parameters
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: parameter for name, parameter in found.items() if parameter.kind not in variadic}


def check_refusal(error: BaseException, given: Mapping[str, Any]) -> None:
    """Fail unless the error is one for users, and names an argument and what was given for it."""
    text = str(error)
    assert isinstance(error, CLEAR), f"{given}: {type(error).__name__}: {text}"
    named = [name for name, value in given.items() if name in text and _told(value, text)]
    assert named or isinstance(error, MissingExtra), f"{given}: names no argument with its value: {text}"


def _told(value: Any, text: str) -> bool:
    number = value.item() if getattr(value, "ndim", None) == 0 else value
    number = int(number) if isinstance(number, float) and number.is_integer() else number
    return any(word in text for word in (repr(value)[:30], str(value)[:30], type(value).__name__, str(number)))
