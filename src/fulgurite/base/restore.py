"""The way back from plain data to the types that were noted. It imports nothing and runs no code of a user's class."""

import argparse
import collections
import dataclasses
import sys
import types
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from fulgurite.base.attributes import AttributeDict
from fulgurite.base.errors import CheckpointError
from fulgurite.base.names import ClassIsAbsent, find_class
from fulgurite.base.ordinary import DECODERS, Code
from fulgurite.base.plain import FACTORIES, Path, spell
from fulgurite.base.rank import warn_once


def restore(tree: Any, recorded: Iterable[Any]) -> Any:
    """Undo ``plain`` with the types it noted.

    Where a class is not imported, or is no longer what it was, the plain value stays, with one warning.
    """
    root = _Place()
    try:
        for path, code in recorded:
            root.find(path).codes.append(code)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"The list of types in the checkpoint is damaged ({error}).") from error
    return root.rebuild(tree, ())


class _Place:
    """One place in the tree: what was exchanged here, and the places below."""

    def __init__(self) -> None:
        self.codes: list[Code] = []
        self.below: dict[Any, _Place] = {}

    def find(self, path: Iterable[Any]) -> "_Place":
        place = self
        for step in path:
            place = place.below.setdefault(step, _Place())
        return place

    def rebuild(self, value: Any, path: Path) -> Any:
        if self.below:
            value = self._rebuild_below(value, path)
        for code in self.codes:
            value = _bring_back(value, code, path)
        return value

    def _rebuild_below(self, value: Any, path: Path) -> Any:
        kind = type(value)
        if kind in (dict, OrderedDict, Counter):
            known = {step: place for step, place in self.below.items() if step in value}
            return kind(value | {step: place.rebuild(value[step], (*path, step)) for step, place in known.items()})
        if kind in (list, tuple):
            rebuilt = list(value)
            for step, place in self.below.items():
                # A script may have changed the file in between: what is gone is passed by.
                if isinstance(step, int) and step < len(rebuilt):
                    rebuilt[step] = place.rebuild(rebuilt[step], (*path, step))
            return kind(rebuilt)
        return value


def _bring_back(value: Any, code: Code, path: Path) -> Any:
    try:
        return (_COLLECTIONS.get(code[0]) or DECODERS[code[0]])(value, *code[1:])
    except ClassIsAbsent as absent:
        warn_once(
            f"{spell(path)} was saved as a {str(absent.args[0]).replace(':', '.')}, which is not there, or no longer "
            "the same, among the modules imported here; its plain value stays. Import its module before you load."
        )
    except Exception as error:
        # The file is not to be trusted: whatever it says must not do more than fail here.
        warn_once(f"{spell(path)} cannot be brought back as {code!r} ({error!r}); its plain value stays.")
    return value


def _keys(value: dict[Any, Any], codes: Iterable[Any]) -> dict[Any, Any]:
    changed = {key: restore(key, recorded) for key, recorded in codes}
    return type(value)({changed.get(key, key): item for key, item in value.items()})


def _pairs(value: list[Any], name: str) -> dict[Any, Any]:
    return {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}[name](dict(value))


def _dataclass(value: dict[str, Any], name: str) -> Any:
    kind = find_class(name)
    if not dataclasses.is_dataclass(kind) or {field.name for field in dataclasses.fields(kind)} != set(value):
        raise ClassIsAbsent(name)
    made = object.__new__(kind)
    for field, item in value.items():
        # Past ``__setattr__``, which frozen classes forbid and users' classes may overload.
        object.__setattr__(made, field, item)
    return made


def _named_tuple(value: tuple[Any, ...], name: str) -> Any:
    kind: Any = find_class(name)
    if not issubclass(kind, tuple) or len(getattr(kind, "_fields", ())) != len(value):
        raise ClassIsAbsent(name)
    return tuple.__new__(kind, value)


def _omega_conf(value: Any) -> Any:
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is None:
        raise ClassIsAbsent("omegaconf:DictConfig")
    return omegaconf.OmegaConf.create(value)


def _of(kinds: type | tuple[type, ...], make: Callable[..., Any]) -> Callable[..., Any]:
    """``make``, for the plain values that are written for it: of a long range, say, a set would take all the memory."""

    def checked(value: Any, *details: Any) -> Any:
        if not isinstance(value, kinds):
            raise TypeError(f"a {type(value).__name__}")
        return make(value, *details)

    return checked


_COLLECTIONS: dict[str, Callable[..., Any]] = {
    "keys": _of(dict, _keys),
    "pairs": _of(list, _pairs),
    "set": _of(list, set),
    "frozenset": _of((list, set), frozenset),
    "deque": _of(list, collections.deque),
    "defaultdict": _of(dict, lambda value, name: collections.defaultdict(FACTORIES[name] if name else None, value)),
    "mappingproxy": _of(dict, types.MappingProxyType),
    "Namespace": _of(dict, lambda value: argparse.Namespace(**value)),
    "SimpleNamespace": _of(dict, lambda value: types.SimpleNamespace(**value)),
    "AttributeDict": _of(dict, AttributeDict),
    "dataclass": _of(dict, _dataclass),
    "namedtuple": _of(tuple, _named_tuple),
    "omegaconf": _of((dict, list), _omega_conf),
}
