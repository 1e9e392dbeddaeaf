"""A tree of values as plain data, and the list of what brings the original types back.

``plain`` leaves untouched what the safe unpickler takes by itself and exchanges the rest for stand-ins. Each exchange
is noted as ``[path, code]``: the path holds dictionary keys and positions, the code is explained in
``fulgurite.base.ordinary``. ``fulgurite.base.restore`` is the way back.
"""

import argparse
import collections
import dataclasses
import functools
import sys
import types
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fulgurite.base.attributes import AttributeDict
from fulgurite.base.names import class_name
from fulgurite.base.ordinary import Code, has_state, is_native, tell

Path = tuple[Any, ...]

#: What a ``defaultdict`` may make its values with.
FACTORIES = {kind.__name__: kind for kind in (list, dict, set, tuple, int, float, str, bool)}


class Stranger(TypeError):
    """A value of no ordinary type, and where it stands."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{spell(path)} is {what}")
        self.path, self.what = path, what


class Notes:
    """What was met on the way: exchanged ``types``, ``strangers`` (kept or dropped) and values told with loss."""

    def __init__(self) -> None:
        self.types: list[list[Any]] = []
        self.strangers: list[tuple[Path, str]] = []
        self.lossy: list[tuple[Path, str]] = []


def plain(tree: Any, notes: Notes, at: Path = (), drop: bool = False) -> Any:
    """Return ``tree`` as plain data, with what it takes to undo that added to ``notes``.

    Strangers stay where they are; with ``drop`` the nearest dictionary entry that holds one is left out instead. A
    class that the user registered with ``torch.serialization.add_safe_globals`` is no stranger.
    """
    return _Telling(notes, drop).visit(tree, at)


def spell(path: Path) -> str:
    """A path as one would write it in Python: ``hyper_parameters['net'][0]``."""
    return str(path[0]) + "".join(f"[{step!r}]" for step in path[1:]) if path else "the value"


def describe(value: Any) -> str:
    """What a value is, in words: a class or a function by its own name, anything else by that of its class."""
    named = value if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType) else type(value)
    article = "a" if named is not value else "the class" if isinstance(value, type) else "the function"
    return f"{article} {named.__module__}.{named.__qualname__}"


class _Telling:
    """One walk through a tree."""

    def __init__(self, notes: Notes, drop: bool) -> None:
        self.notes, self.drop = notes, drop
        self.safe = {entry for entry in torch.serialization.get_safe_globals() if isinstance(entry, type)}
        self.open: set[int] = set()

    def visit(self, value: Any, path: Path) -> Any:
        if is_native(value) or type(value) in self.safe:
            return value
        visit = _COLLECTIONS.get(type(value)) or _collection_of(value)
        if visit is None:
            return self._leaf(value, path)
        if id(value) in self.open:
            return self._stranger(value, path)
        self.open.add(id(value))
        try:
            return visit(self, value, path)
        finally:
            self.open.discard(id(value))

    def note(self, path: Path, *code: Any) -> None:
        self.notes.types.append([list(path), list(code)])

    def _leaf(self, value: Any, path: Path) -> Any:
        told = tell(value)
        if told is None:
            return self._stranger(value, path)
        self._note_or_lose(value, path, told.code)
        return told.plain

    def _note_or_lose(self, value: Any, path: Path, code: Code | None) -> None:
        if code is None:
            self.notes.lossy.append((path, describe(value)))
        else:
            self.note(path, *code)

    def _stranger(self, value: Any, path: Path) -> Any:
        if self.drop:
            raise Stranger(path, describe(value))
        self.notes.strangers.append((path, describe(value)))
        return value

    # -- sequences and sets --

    def items(self, value: Any, path: Path) -> Any:
        """A list or tuple; itself if nothing in it was exchanged, so that shared references stay shared."""
        told = [self.visit(item, (*path, place)) for place, item in enumerate(value)]
        if all(new is old for new, old in zip(told, value, strict=True)):
            return value
        return told if type(value) is list else tuple(told)

    def subclass(self, value: Any, path: Path, base: type) -> Any:
        """A subclass of a builtin collection, as that collection."""
        told = self.visit(base(value), path)
        self._note_or_lose(value, path, None if has_state(value) else ["subclass", class_name(type(value))])
        return told

    def named_tuple(self, value: Any, path: Path) -> Any:
        told = self.items(tuple(value), path)
        self.note(path, "namedtuple", class_name(type(value)))
        return told

    def set(self, value: Any, path: Path) -> Any:
        if type(value) is set and all(is_native(item) for item in value):
            return value
        told = self.items(list(value), path)
        self.note(path, type(value).__name__)
        return told

    def deque(self, value: collections.deque[Any], path: Path) -> Any:
        told = self.items(list(value), path)
        self.note(path, "deque", value.maxlen)
        return told

    # -- dictionaries and what becomes one --

    def mapping(self, value: dict[Any, Any], path: Path) -> Any:
        kind = type(value)
        keys, key_codes = _told_keys(value)
        if keys is None:
            return self._pairs(value, path)
        told: dict[Any, Any] = {}
        for key, item in zip(keys, value.values(), strict=True):
            self._entry(item, (*path, key), functools.partial(told.__setitem__, key))
        if key_codes:
            self.note(path, "keys", key_codes)
        elif len(told) == len(value) and all(told[key] is value[key] for key in told):
            return value
        return told if kind is dict else kind(told)

    def _pairs(self, value: dict[Any, Any], path: Path) -> Any:
        """A dictionary whose keys cannot be told as keys, as a list of pairs."""
        told: list[list[Any]] = []
        for key, item in value.items():
            here = (*path, len(told))
            new_key = self.visit(key, (*here, 0))
            self._entry(item, (*here, 1), functools.partial(_append_pair, told, new_key))
        self.note(path, "pairs", type(value).__name__)
        return told

    def _entry(self, item: Any, path: Path, keep: Callable[[Any], Any]) -> None:
        seen = len(self.notes.types), len(self.notes.lossy)
        try:
            keep(self.visit(item, path))
        except Stranger as stranger:
            del self.notes.types[seen[0] :], self.notes.lossy[seen[1] :]
            self.notes.strangers.append((stranger.path, stranger.what))

    def attributes(self, value: Any, path: Path) -> Any:
        """A namespace."""
        told = self._whole(vars(value), path)
        self.note(path, type(value).__name__)
        return told

    def attribute_dict(self, value: AttributeDict, path: Path) -> Any:
        told = self.mapping(dict(value), path)
        self.note(path, "AttributeDict")
        return told

    def default_dict(self, value: collections.defaultdict[Any, Any], path: Path) -> Any:
        told = self.mapping(dict(value), path)
        name = getattr(value.default_factory, "__name__", "")
        exact = value.default_factory is None or FACTORIES.get(name) is value.default_factory
        self._note_or_lose(value, path, ["defaultdict", name] if exact else None)
        return told

    def other_mapping(self, value: Mapping[Any, Any], path: Path) -> Any:
        told = self.mapping(dict(value), path)
        self._note_or_lose(value, path, ["mappingproxy"] if type(value) is types.MappingProxyType else None)
        return told

    def dataclass(self, value: Any, path: Path) -> Any:
        try:
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        except AttributeError:
            return self._stranger(value, path)
        told = self._whole(fields, path)
        more = set(getattr(value, "__dict__", ())) - set(fields) - _cached(type(value))
        self._note_or_lose(value, path, None if more else ["dataclass", class_name(type(value))])
        return told

    def omega_conf(self, value: Any, path: Path) -> Any:
        from omegaconf import OmegaConf

        told = self.visit(OmegaConf.to_container(value, resolve=False), path)
        self.note(path, "omegaconf")
        return told

    def _whole(self, fields: dict[str, Any], path: Path) -> dict[str, Any]:
        """Fields that only make sense together: one stranger among them makes a stranger of their owner."""
        return {name: self.visit(item, (*path, name)) for name, item in fields.items()}


def _told_keys(value: dict[Any, Any]) -> tuple[list[Any] | None, list[Any]]:
    """The plain keys with the codes of those that were exchanged; no keys where they would not do as such."""
    notes, keys, codes = Notes(), [], []
    for key in value:
        new = key if type(key) in (str, int) and is_native(key) else _Telling(notes, drop=False).visit(key, ())
        keys.append(new)
        if notes.types:
            codes.append([new, notes.types])
            notes.types = []
    try:
        distinct = len(set(keys)) == len(keys) and all(key == key for key in keys)
    except TypeError:
        distinct = False
    return (keys if distinct and not notes.strangers else None), codes


def _append_pair(pairs: list[list[Any]], key: Any, item: Any) -> None:
    pairs.append([key, item])


def _collection_of(value: Any) -> Callable[[_Telling, Any, Path], Any] | None:
    """How to tell a collection of a less common class; None for what is no collection."""
    if isinstance(value, type | torch.nn.Module | torch.Tensor):
        return None
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _Telling.named_tuple
    for base in (dict, list, tuple, set, frozenset):
        if isinstance(value, base):
            return functools.partial(_Telling.subclass, base=base)
    if dataclasses.is_dataclass(value) and _is_plain_object(type(value)):
        return _Telling.dataclass
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(value):
        return _Telling.omega_conf
    return _Telling.other_mapping if isinstance(value, Mapping) else None


def _is_plain_object(kind: type) -> bool:
    """Whether an instance can be made without running a constructor."""
    try:
        return isinstance(object.__new__(kind), kind)
    except TypeError:
        return False


def _cached(kind: type) -> set[str]:
    members = (member for base in kind.__mro__ for member in vars(base).items())
    return {name for name, member in members if isinstance(member, functools.cached_property)}


_COLLECTIONS: dict[type, Callable[[_Telling, Any, Path], Any]] = {
    list: _Telling.items,
    tuple: _Telling.items,
    dict: _Telling.mapping,
    OrderedDict: _Telling.mapping,
    Counter: _Telling.mapping,
    set: _Telling.set,
    frozenset: _Telling.set,
    collections.deque: _Telling.deque,
    collections.defaultdict: _Telling.default_dict,
    AttributeDict: _Telling.attribute_dict,
    argparse.Namespace: _Telling.attributes,
    types.SimpleNamespace: _Telling.attributes,
}
