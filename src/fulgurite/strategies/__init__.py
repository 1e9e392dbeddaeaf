"""The strategies that come along, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.core.strategy import Strategy as Strategy
    from fulgurite.strategies.ddp import DDPStrategy as DDPStrategy
    from fulgurite.strategies.deepspeed import DeepSpeedStrategy as DeepSpeedStrategy
    from fulgurite.strategies.fsdp import FSDPStrategy as FSDPStrategy
    from fulgurite.strategies.model_parallel import ModelParallelStrategy as ModelParallelStrategy
    from fulgurite.strategies.parallel import ParallelStrategy as ParallelStrategy
    from fulgurite.strategies.single import SingleDeviceStrategy as SingleDeviceStrategy

_HOME = {
    "DDPStrategy": "fulgurite.strategies.ddp",
    "DeepSpeedStrategy": "fulgurite.strategies.deepspeed",
    "FSDPStrategy": "fulgurite.strategies.fsdp",
    "ModelParallelStrategy": "fulgurite.strategies.model_parallel",
    "ParallelStrategy": "fulgurite.strategies.parallel",
    "SingleDeviceStrategy": "fulgurite.strategies.single",
    "Strategy": "fulgurite.core.strategy",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
