"""The callbacks that come along, each loaded when it is first named."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulgurite.callbacks.checkpoint import Checkpoint as Checkpoint
    from fulgurite.callbacks.early_stopping import EarlyStopping as EarlyStopping
    from fulgurite.callbacks.lambda_callback import LambdaCallback as LambdaCallback
    from fulgurite.callbacks.lr_monitor import LearningRateMonitor as LearningRateMonitor
    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
    from fulgurite.callbacks.model_summary import ModelSummary as ModelSummary
    from fulgurite.callbacks.model_summary import RichModelSummary as RichModelSummary
    from fulgurite.callbacks.progress.base import ProgressBar as ProgressBar
    from fulgurite.callbacks.progress.rich import RichProgressBar as RichProgressBar
    from fulgurite.callbacks.progress.tqdm import TQDMProgressBar as TQDMProgressBar
    from fulgurite.callbacks.timer import Timer as Timer
    from fulgurite.core.callback import Callback as Callback

_HOME = {
    "Callback": "fulgurite.core.callback",
    "Checkpoint": "fulgurite.callbacks.checkpoint",
    "EarlyStopping": "fulgurite.callbacks.early_stopping",
    "LambdaCallback": "fulgurite.callbacks.lambda_callback",
    "LearningRateMonitor": "fulgurite.callbacks.lr_monitor",
    "ModelCheckpoint": "fulgurite.callbacks.model_checkpoint",
    "ModelSummary": "fulgurite.callbacks.model_summary",
    "ProgressBar": "fulgurite.callbacks.progress.base",
    "RichModelSummary": "fulgurite.callbacks.model_summary",
    "RichProgressBar": "fulgurite.callbacks.progress.rich",
    "TQDMProgressBar": "fulgurite.callbacks.progress.tqdm",
    "Timer": "fulgurite.callbacks.timer",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has: {', '.join(__all__)}.")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
