"""Packages that are only sometimes there."""

import importlib
import importlib.util
from types import ModuleType

from fulgurite.base.errors import MissingExtra


def available(module: str) -> bool:
    """Whether ``module`` could be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def require(module: str, extra: str) -> ModuleType:
    """Return the imported ``module``. Raises ``MissingExtra``, which names the extra, if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f'{module!r} is not installed. Install it with: pip install "fulgurite[{extra}]"', name=module
        ) from error
