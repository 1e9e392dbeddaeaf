"""One device, one process: the strategy that adds nothing."""

from fulgurite.core.strategy import Strategy


class SingleDeviceStrategy(Strategy):
    """Everything on one CPU, CUDA or MPS device."""

    strategy_name = "single_device"
