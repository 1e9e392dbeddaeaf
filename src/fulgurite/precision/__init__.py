"""The precisions that come along, each loaded when it is first named."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulgurite.core.precision import Precision as Precision
    from fulgurite.precision.mixed import MixedPrecision as MixedPrecision
    from fulgurite.precision.true import DoublePrecision as DoublePrecision
    from fulgurite.precision.true import HalfPrecision as HalfPrecision

_HOME = {
    "DoublePrecision": "fulgurite.precision.true",
    "HalfPrecision": "fulgurite.precision.true",
    "MixedPrecision": "fulgurite.precision.mixed",
    "Precision": "fulgurite.core.precision",
}

__all__ = ["DoublePrecision", "HalfPrecision", "MixedPrecision", "Precision"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has: {', '.join(__all__)}.")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
