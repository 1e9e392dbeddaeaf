"""Train PyTorch models the Lightning way, at the speed of a hand-written loop, with the trace of every run kept."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

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
_PACKAGES = ("callbacks", "loggers", "plugins", "precision", "profilers", "strategies", "testing", "utilities")

__getattr__, __dir__, __all__ = lazily(__name__, _HOME, _PACKAGES)
