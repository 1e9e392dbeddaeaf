"""Lets an unmodified Lightning script run: its imports find Fulgurite's objects, in this process alone.

``install()`` puts a finder before all others. It answers for `pytorch_lightning`, `lightning` and `lightning_fabric`
with modules whose names are looked up here when they are asked for, so one class has one identity under every name.
"""

import difflib
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from fulgurite.base.errors import MisconfigurationException
from fulgurite.compat.table import TABLE

#: The Lightning release whose behaviour is followed; scripts compare ``pl.__version__`` with a number.
VERSION = "2.6.6+fulgurite"
ROOTS = tuple(sorted({module.partition(".")[0] for module in TABLE}))


class NotInFulgurite(ModuleNotFoundError):
    """A module or a name of Lightning's that Fulgurite does not have."""


class AliasModule(ModuleType):
    """A module under an old name. Its names are ours, found on first use and the same objects under every alias."""

    __version__ = VERSION

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return _present(self.__name__)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)
        if f"{self.__name__}.{name}" in TABLE:
            return importlib.import_module(f"{self.__name__}.{name}")
        try:
            value = _ours(self.__name__, name)
        except NotInFulgurite as error:
            raise AttributeError(str(error), name=name, obj=self) from error
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_present(self.__name__), *_children(self.__name__)})


class Aliases(MetaPathFinder, Loader):
    """Finds and makes the alias modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ROOTS:
            return None
        if fullname not in TABLE:
            # Also reached by `from module import name` after the name was not found as an attribute: the words of
            # an ImportError get through to the user, those of an AttributeError would not.
            raise _missing(*fullname.rpartition(".")[::2])
        return ModuleSpec(fullname, self, origin="fulgurite.compat", is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return AliasModule(spec.name, f"Fulgurite under the name {spec.name!r}.")

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: names are found when they are asked for."""


_FINDER = Aliases()


def install() -> None:
    """Make Lightning's names mean Fulgurite's objects, in this process, until ``uninstall()``.

    Raises ``MisconfigurationException`` if Lightning itself was imported before: two class trees must not mix.
    """
    if _FINDER in sys.meta_path:
        return
    for root in ROOTS:
        if root in sys.modules:
            raise MisconfigurationException(
                f"{root!r} is already imported from {getattr(sys.modules[root], '__file__', None)}, so its classes and "
                "Fulgurite's would mix. Call fulgurite.compat.install() before the first import of it, "
                "or start the script with `fulgurite run`."
            )
    sys.meta_path.insert(0, _FINDER)


def uninstall() -> None:
    """Forget the aliases: the old names mean again what is installed under them."""
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
    for name in [name for name, module in sys.modules.items() if isinstance(module, AliasModule)]:
        del sys.modules[name]


def _ours(module: str, name: str) -> Any:
    """The object of ours that answers for ``name`` in the old ``module``. Raises ``NotInFulgurite``."""
    home = TABLE[module].get(name)
    if home is None:
        raise _missing(module, name)
    try:
        found = importlib.import_module(home)
    except ModuleNotFoundError as error:
        if not home.startswith(error.name or home):
            raise
        raise _missing(module, name) from None
    if not hasattr(found, name):
        raise _missing(module, name)
    return getattr(found, name)


def _missing(module: str, name: str) -> NotInFulgurite:
    near = difflib.get_close_matches(name, [*TABLE.get(module, ()), *_children(module)], n=1, cutoff=0.8)
    meant = f" Did you mean {near[0]!r}?" if near and near[0] != name else ""
    return NotInFulgurite(
        f"Fulgurite, which stands in for {module.partition('.')[0]!r} here, does not have '{module}.{name}' (yet)."
        f"{meant} COMPAT.md lists what is not there.",
        name=module,
        path=f"{module}.{name}",
    )


def _present(module: str) -> list[str]:
    names = []
    for name in TABLE[module]:
        try:
            _ours(module, name)
        except ImportError:  # not there, or it needs an extra
            continue
        names.append(name)
    return names


def _children(module: str) -> list[str]:
    start = f"{module}."
    return sorted({old.removeprefix(start).partition(".")[0] for old in TABLE if old.startswith(start)})
