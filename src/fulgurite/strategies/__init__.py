"""The strategies that come along, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.core.strategy import Strategy as Strategy
    from fulgurite.strategies.single import SingleDeviceStrategy as SingleDeviceStrategy

_HOME = {
    "SingleDeviceStrategy": "fulgurite.strategies.single",
    "Strategy": "fulgurite.core.strategy",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
