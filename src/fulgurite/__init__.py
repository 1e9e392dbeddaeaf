"""Train PyTorch models the Lightning way, at the speed of a hand-written loop, with the trace of every run kept."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulgurite.base.seed import seed_everything as seed_everything
    from fulgurite.core.callback import Callback as Callback
    from fulgurite.core.datamodule import LightningDataModule as LightningDataModule
    from fulgurite.core.module import LightningModule as LightningModule
    from fulgurite.trainer import Trainer as Trainer

__version__ = "0.1.0.dev0"

_HOME = {
    "Callback": "fulgurite.core.callback",
    "LightningDataModule": "fulgurite.core.datamodule",
    "LightningModule": "fulgurite.core.module",
    "Trainer": "fulgurite.trainer",
    "seed_everything": "fulgurite.base.seed",
}
_PACKAGES = ("callbacks", "loggers", "precision", "strategies", "testing", "utilities")

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = globals()[name] = getattr(import_module(_HOME[name]), name)
        return value
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
