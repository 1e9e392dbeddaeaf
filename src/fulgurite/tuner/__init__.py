"""Searches for a learning rate and a batch size."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.tuner.batch_size import BatchSizeFinder as BatchSizeFinder
    from fulgurite.tuner.learning_rate import LearningRateFinder as LearningRateFinder
    from fulgurite.tuner.range_test import RangeTest as RangeTest
    from fulgurite.tuner.tuning import Tuner as Tuner

_HOME = {
    "BatchSizeFinder": "fulgurite.tuner.batch_size",
    "LearningRateFinder": "fulgurite.tuner.learning_rate",
    "RangeTest": "fulgurite.tuner.range_test",
    "Tuner": "fulgurite.tuner.tuning",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
