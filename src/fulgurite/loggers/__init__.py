"""The loggers that come along, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.core.logger import DummyLogger as DummyLogger
    from fulgurite.core.logger import Logger as Logger
    from fulgurite.loggers.comet import CometLogger as CometLogger
    from fulgurite.loggers.csv import CSVLogger as CSVLogger
    from fulgurite.loggers.mlflow import MLFlowLogger as MLFlowLogger
    from fulgurite.loggers.tensorboard import TensorBoardLogger as TensorBoardLogger
    from fulgurite.loggers.track import TrackLogger as TrackLogger
    from fulgurite.loggers.wandb import WandbLogger as WandbLogger

_HOME = {
    "CometLogger": "fulgurite.loggers.comet",
    "CSVLogger": "fulgurite.loggers.csv",
    "DummyLogger": "fulgurite.core.logger",
    "Logger": "fulgurite.core.logger",
    "MLFlowLogger": "fulgurite.loggers.mlflow",
    "TensorBoardLogger": "fulgurite.loggers.tensorboard",
    "TrackLogger": "fulgurite.loggers.track",
    "WandbLogger": "fulgurite.loggers.wandb",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
