"""The callbacks that come along, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.callbacks.checkpoint import Checkpoint as Checkpoint
    from fulgurite.callbacks.device_stats_monitor import DeviceStatsMonitor as DeviceStatsMonitor
    from fulgurite.callbacks.early_stopping import EarlyStopping as EarlyStopping
    from fulgurite.callbacks.finetuning import BackboneFinetuning as BackboneFinetuning
    from fulgurite.callbacks.finetuning import BaseFinetuning as BaseFinetuning
    from fulgurite.callbacks.gradient_accumulation import GradientAccumulationScheduler as GradientAccumulationScheduler
    from fulgurite.callbacks.lambda_callback import LambdaCallback as LambdaCallback
    from fulgurite.callbacks.loader_timeout import LoaderTimeout as LoaderTimeout
    from fulgurite.callbacks.log_predictions import LogPredictions as LogPredictions
    from fulgurite.callbacks.lr_monitor import LearningRateMonitor as LearningRateMonitor
    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
    from fulgurite.callbacks.model_summary import ModelSummary as ModelSummary
    from fulgurite.callbacks.model_summary import RichModelSummary as RichModelSummary
    from fulgurite.callbacks.non_finite_guard import NonFiniteGuard as NonFiniteGuard
    from fulgurite.callbacks.on_exception_checkpoint import OnExceptionCheckpoint as OnExceptionCheckpoint
    from fulgurite.callbacks.prediction_writer import BasePredictionWriter as BasePredictionWriter
    from fulgurite.callbacks.progress.base import ProgressBar as ProgressBar
    from fulgurite.callbacks.progress.rich import RichProgressBar as RichProgressBar
    from fulgurite.callbacks.progress.tqdm import TQDMProgressBar as TQDMProgressBar
    from fulgurite.callbacks.pruning import ModelPruning as ModelPruning
    from fulgurite.callbacks.stochastic_weight_avg import StochasticWeightAveraging as StochasticWeightAveraging
    from fulgurite.callbacks.throughput_monitor import ThroughputMonitor as ThroughputMonitor
    from fulgurite.callbacks.timer import Timer as Timer
    from fulgurite.callbacks.weight_averaging import EMAWeightAveraging as EMAWeightAveraging
    from fulgurite.callbacks.weight_averaging import WeightAveraging as WeightAveraging
    from fulgurite.core.callback import Callback as Callback
    from fulgurite.tuner.batch_size import BatchSizeFinder as BatchSizeFinder
    from fulgurite.tuner.learning_rate import LearningRateFinder as LearningRateFinder

_HOME = {
    "BackboneFinetuning": "fulgurite.callbacks.finetuning",
    "BaseFinetuning": "fulgurite.callbacks.finetuning",
    "BasePredictionWriter": "fulgurite.callbacks.prediction_writer",
    "BatchSizeFinder": "fulgurite.tuner.batch_size",
    "Callback": "fulgurite.core.callback",
    "Checkpoint": "fulgurite.callbacks.checkpoint",
    "DeviceStatsMonitor": "fulgurite.callbacks.device_stats_monitor",
    "EMAWeightAveraging": "fulgurite.callbacks.weight_averaging",
    "EarlyStopping": "fulgurite.callbacks.early_stopping",
    "GradientAccumulationScheduler": "fulgurite.callbacks.gradient_accumulation",
    "LambdaCallback": "fulgurite.callbacks.lambda_callback",
    "LearningRateFinder": "fulgurite.tuner.learning_rate",
    "LearningRateMonitor": "fulgurite.callbacks.lr_monitor",
    "LoaderTimeout": "fulgurite.callbacks.loader_timeout",
    "LogPredictions": "fulgurite.callbacks.log_predictions",
    "ModelCheckpoint": "fulgurite.callbacks.model_checkpoint",
    "ModelPruning": "fulgurite.callbacks.pruning",
    "ModelSummary": "fulgurite.callbacks.model_summary",
    "NonFiniteGuard": "fulgurite.callbacks.non_finite_guard",
    "OnExceptionCheckpoint": "fulgurite.callbacks.on_exception_checkpoint",
    "ProgressBar": "fulgurite.callbacks.progress.base",
    "RichModelSummary": "fulgurite.callbacks.model_summary",
    "RichProgressBar": "fulgurite.callbacks.progress.rich",
    "StochasticWeightAveraging": "fulgurite.callbacks.stochastic_weight_avg",
    "TQDMProgressBar": "fulgurite.callbacks.progress.tqdm",
    "ThroughputMonitor": "fulgurite.callbacks.throughput_monitor",
    "Timer": "fulgurite.callbacks.timer",
    "WeightAveraging": "fulgurite.callbacks.weight_averaging",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
