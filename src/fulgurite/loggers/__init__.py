"""The loggers that come along, each loaded when it is first named."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulgurite.core.logger import DummyLogger as DummyLogger
    from fulgurite.core.logger import Logger as Logger
    from fulgurite.loggers.csv import CSVLogger as CSVLogger
    from fulgurite.loggers.wandb import WandbLogger as WandbLogger

_HOME = {
    "CSVLogger": "fulgurite.loggers.csv",
    "DummyLogger": "fulgurite.core.logger",
    "Logger": "fulgurite.core.logger",
    "WandbLogger": "fulgurite.loggers.wandb",
}

__all__ = ["CSVLogger", "DummyLogger", "Logger", "WandbLogger"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has: {', '.join(__all__)}.")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
