"""The strategies that come along, each loaded when it is first named."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulgurite.core.strategy import Strategy as Strategy
    from fulgurite.strategies.single import SingleDeviceStrategy as SingleDeviceStrategy

_HOME = {
    "SingleDeviceStrategy": "fulgurite.strategies.single",
    "Strategy": "fulgurite.core.strategy",
}

__all__ = ["SingleDeviceStrategy", "Strategy"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has: {', '.join(__all__)}.")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
