"""One device, one process: the strategy that adds nothing."""

from fulgurite.base import start
from fulgurite.core.strategy import Strategy


class SingleDeviceStrategy(Strategy):
    """Everything on one CPU, CUDA or MPS device."""

    strategy_name = "single_device"

    @property
    def is_global_zero(self) -> bool:
        """Whether this process writes: not where a run of several devices, in the same script, has started it."""
        return not start.PARENT_ID
