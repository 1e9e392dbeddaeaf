"""The callbacks that come along, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.callbacks.checkpoint import Checkpoint as Checkpoint
    from fulgurite.callbacks.device_stats_monitor import DeviceStatsMonitor as DeviceStatsMonitor
    from fulgurite.callbacks.early_stopping import EarlyStopping as EarlyStopping
    from fulgurite.callbacks.lambda_callback import LambdaCallback as LambdaCallback
    from fulgurite.callbacks.log_predictions import LogPredictions as LogPredictions
    from fulgurite.callbacks.lr_monitor import LearningRateMonitor as LearningRateMonitor
    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
    from fulgurite.callbacks.model_summary import ModelSummary as ModelSummary
    from fulgurite.callbacks.model_summary import RichModelSummary as RichModelSummary
    from fulgurite.callbacks.progress.base import ProgressBar as ProgressBar
    from fulgurite.callbacks.progress.rich import RichProgressBar as RichProgressBar
    from fulgurite.callbacks.progress.tqdm import TQDMProgressBar as TQDMProgressBar
    from fulgurite.callbacks.throughput_monitor import ThroughputMonitor as ThroughputMonitor
    from fulgurite.callbacks.timer import Timer as Timer
    from fulgurite.core.callback import Callback as Callback

_HOME = {
    "Callback": "fulgurite.core.callback",
    "Checkpoint": "fulgurite.callbacks.checkpoint",
    "DeviceStatsMonitor": "fulgurite.callbacks.device_stats_monitor",
    "EarlyStopping": "fulgurite.callbacks.early_stopping",
    "LambdaCallback": "fulgurite.callbacks.lambda_callback",
    "LearningRateMonitor": "fulgurite.callbacks.lr_monitor",
    "LogPredictions": "fulgurite.callbacks.log_predictions",
    "ModelCheckpoint": "fulgurite.callbacks.model_checkpoint",
    "ModelSummary": "fulgurite.callbacks.model_summary",
    "ProgressBar": "fulgurite.callbacks.progress.base",
    "RichModelSummary": "fulgurite.callbacks.model_summary",
    "RichProgressBar": "fulgurite.callbacks.progress.rich",
    "TQDMProgressBar": "fulgurite.callbacks.progress.tqdm",
    "ThroughputMonitor": "fulgurite.callbacks.throughput_monitor",
    "Timer": "fulgurite.callbacks.timer",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
