"""For tests of models, callbacks and loggers: a tiny model, tiny data, a record of hooks, and contracts to keep.

``contracts`` and ``logger_contract`` need pytest; what is named here does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulgurite.testing.record import record_hooks as record_hooks
    from fulgurite.testing.tiny import QUIET as QUIET
    from fulgurite.testing.tiny import TinyModule as TinyModule
    from fulgurite.testing.tiny import batches as batches

_HOME = {"QUIET": "tiny", "TinyModule": "tiny", "batches": "tiny", "record_hooks": "record"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has: {', '.join(__all__)}.")
