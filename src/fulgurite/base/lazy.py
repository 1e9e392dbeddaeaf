"""Packages whose names are loaded when they are first asked for (PEP 562)."""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def lazily(
    package: str, homes: Mapping[str, str], modules: Iterable[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` for ``package``: ``homes`` says where each name lives.

    ``modules`` are sub-modules that can be reached as attributes without an import of their own.
    """
    names, modules = sorted(homes), tuple(modules)

    def get(name: str) -> object:
        if name in homes:
            value = getattr(import_module(homes[name]), name)
            setattr(sys.modules[package], name, value)
            return value
        if name in modules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}. It has: {', '.join(names)}.")

    return get, lambda: sorted({*vars(sys.modules[package]), *names, *modules}), names
