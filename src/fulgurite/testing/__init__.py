"""For tests of models, callbacks and loggers: a tiny model, tiny data, a record of hooks, and contracts to keep.

``contracts`` and ``logger_contract`` need pytest; what is named here does not.
"""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.testing.boring import BoringDataModule as BoringDataModule
    from fulgurite.testing.boring import BoringModel as BoringModel
    from fulgurite.testing.boring import DemoModel as DemoModel
    from fulgurite.testing.boring import ManualOptimBoringModel as ManualOptimBoringModel
    from fulgurite.testing.boring import RandomDataset as RandomDataset
    from fulgurite.testing.boring import RandomIterableDataset as RandomIterableDataset
    from fulgurite.testing.record import record_hooks as record_hooks
    from fulgurite.testing.tiny import QUIET as QUIET
    from fulgurite.testing.tiny import TinyModule as TinyModule
    from fulgurite.testing.tiny import batches as batches

_HOME = {
    "BoringDataModule": "fulgurite.testing.boring",
    "BoringModel": "fulgurite.testing.boring",
    "DemoModel": "fulgurite.testing.boring",
    "ManualOptimBoringModel": "fulgurite.testing.boring",
    "RandomDataset": "fulgurite.testing.boring",
    "RandomIterableDataset": "fulgurite.testing.boring",
    "QUIET": "fulgurite.testing.tiny",
    "TinyModule": "fulgurite.testing.tiny",
    "batches": "fulgurite.testing.tiny",
    "record_hooks": "fulgurite.testing.record",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
