"""The application: rows with a time in, scores, events and a picture out."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.anomaly.detector import AnomalyDetector as AnomalyDetector

_HOME = {"AnomalyDetector": "fulgurite.anomaly.detector"}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
