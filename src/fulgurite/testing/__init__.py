"""For tests of models, callbacks and loggers: a tiny model, tiny data, a record of hooks, and contracts to keep.

``contracts`` and ``logger_contract`` need pytest; what is named here does not.
"""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.testing.record import record_hooks as record_hooks
    from fulgurite.testing.tiny import QUIET as QUIET
    from fulgurite.testing.tiny import TinyModule as TinyModule
    from fulgurite.testing.tiny import batches as batches

_HOME = {
    "QUIET": "fulgurite.testing.tiny",
    "TinyModule": "fulgurite.testing.tiny",
    "batches": "fulgurite.testing.tiny",
    "record_hooks": "fulgurite.testing.record",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
