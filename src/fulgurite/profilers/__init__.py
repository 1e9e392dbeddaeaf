"""The profilers that come along, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.core.profiler import PassThroughProfiler as PassThroughProfiler
    from fulgurite.core.profiler import Profiler as Profiler
    from fulgurite.profilers.advanced import AdvancedProfiler as AdvancedProfiler
    from fulgurite.profilers.pytorch import PyTorchProfiler as PyTorchProfiler
    from fulgurite.profilers.simple import SimpleProfiler as SimpleProfiler

_HOME = {
    "AdvancedProfiler": "fulgurite.profilers.advanced",
    "PassThroughProfiler": "fulgurite.core.profiler",
    "Profiler": "fulgurite.core.profiler",
    "PyTorchProfiler": "fulgurite.profilers.pytorch",
    "SimpleProfiler": "fulgurite.profilers.simple",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
