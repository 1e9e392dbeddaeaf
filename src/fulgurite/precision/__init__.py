"""The precisions that come along, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.core.precision import Precision as Precision
    from fulgurite.precision.mixed import MixedPrecision as MixedPrecision
    from fulgurite.precision.true import DoublePrecision as DoublePrecision
    from fulgurite.precision.true import HalfPrecision as HalfPrecision

_HOME = {
    "DoublePrecision": "fulgurite.precision.true",
    "HalfPrecision": "fulgurite.precision.true",
    "MixedPrecision": "fulgurite.precision.mixed",
    "Precision": "fulgurite.core.precision",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
