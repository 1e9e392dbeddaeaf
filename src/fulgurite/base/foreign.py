"""Harmless classes in checkpoints that others wrote: allowed in a safe read, through stand-ins where that is safer.

numpy's own unpickling trusts what the file says about memory, and the safe unpickler fills no dictionary but its own
kinds. The stand-ins here take the data, check it, and are exchanged for the real objects once all is read.

What may be called must cost no more than its arguments: a few bytes may ask for ``int(Decimal("1e999999999"))``,
``list(range(10**12))`` or ``Fraction("1e30000000")``. So ranges are made last, builtins are names that cannot be
called, and fractions are not harmless.
"""

import argparse
import collections
import datetime
import decimal
import math
import os
import pathlib
import types
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fulgurite.base.attributes import AttributeDict
from fulgurite.base.plain import FACTORIES

_SIMPLE = "biufcSU"
_LONGEST_DTYPE = 32
_DOTTED = (
    "lightning.pytorch.utilities.parsing",
    "pytorch_lightning.utilities.parsing",
    "lightning.fabric.utilities.data",
    "lightning_fabric.utilities.data",
)


@contextmanager
def harmless() -> Iterator[Callable[[Any], Any]]:
    """Allow them inside the block. Yields what exchanges the stand-ins in the tree that was read."""
    made: dict[int, tuple[Any, Callable[[Any], Any]]] = {}
    with torch.serialization.safe_globals([*_AS_THEY_ARE, *_named(), *_stand_ins(made)]):
        yield lambda tree: _Exchange(made).visit(tree)


_AS_THEY_ARE: list[Any] = [
    *(argparse.Namespace, types.SimpleNamespace, decimal.Decimal, uuid.UUID, slice),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone),
]


def _named() -> list[Any]:
    """Paths: the same classes under the module names of several Python versions, pure where the system is another."""
    pairs = []
    for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
        here = name.startswith("Pure") or (name == "WindowsPath") == (os.name == "nt")
        kind = getattr(pathlib, name if here else f"Pure{name}")
        pairs += [(kind, f"{module}.{name}") for module in ("pathlib", "pathlib._local")]
    return pairs


def _stand_ins(made: dict[int, tuple[Any, Callable[[Any], Any]]]) -> list[Any]:
    def remember(value: Any, finish: Callable[[Any], Any]) -> Any:
        made[id(value)] = (value, finish)
        return value

    class Attributes:
        def __new__(cls, *args: Any) -> Any:
            return remember(dict(*args), AttributeDict)

    def builtin(kind: type) -> Any:
        return remember(_Later(), lambda _: kind)

    def default_dict(factory: Any = None, *items: Any) -> Any:
        kind = None if factory is None else made[id(factory)][1](factory)
        return remember(dict(*items), lambda value: collections.defaultdict(kind, value))

    def deque(items: Any = (), maxlen: int | None = None) -> Any:
        return remember(_listed(items), lambda value: collections.deque(value, maxlen))

    def range_(*bounds: Any) -> Any:
        return remember(_Later(), lambda _: range(*bounds))

    def dtype(*args: Any) -> Any:
        return remember(_Dtype(*args), _Dtype.real)

    def array(*args: Any) -> Any:
        return remember(_Array(), _Array.real)

    class NdArray:
        """Only ever an argument of ``array``."""

    numpy_core = [f"{package}.multiarray" for package in ("numpy._core", "numpy.core")]
    return [
        *((Attributes, f"{module}.AttributeDict") for module in _DOTTED),
        *((builtin(kind), f"builtins.{name}") for name, kind in FACTORIES.items()),
        *((default_dict, "collections.defaultdict"), (deque, "collections.deque")),
        *((range_, "builtins.range"), (_frozen, "builtins.frozenset")),
        *((dtype, "numpy.dtype"), (_Dtype, "fulgurite.Dtype"), (_Array, "fulgurite.Array"), (NdArray, "numpy.ndarray")),
        *((_scalar, f"{module}.scalar") for module in numpy_core),
        *((array, f"{module}._reconstruct") for module in numpy_core),
    ]


class _Later:
    """In the place of a value that must not be used before all is read."""


class _Dtype:
    """A simple dtype as its letters; ``__setstate__`` takes the byte order and nothing else."""

    def __init__(self, letters: str, *_: Any) -> None:
        self.letters, self.order = letters, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def real(self) -> Any:
        import numpy

        if type(self.letters) is not str or len(self.letters) > _LONGEST_DTYPE:
            raise ValueError("a numpy dtype of many parts")
        dtype: Any = numpy.dtype(self.letters)
        if dtype.kind not in _SIMPLE:
            raise ValueError(f"a numpy dtype {self.letters!r}")
        return dtype.newbyteorder(self.order) if self.order in "<>" else dtype


class _Array:
    """An array's raw bytes, to be read with a dtype that is known to be simple."""

    state: tuple[Any, ...]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def real(self) -> Any:
        import numpy

        _, shape, dtype, fortran, raw = self.state
        if not all(type(length) is int for length in shape):
            raise ValueError("a numpy shape that is no numbers")
        flat = numpy.frombuffer(_bytes(raw), dtype.real(), count=math.prod(shape))
        return flat.reshape(shape, order="F" if fortran else "C").copy()


def _scalar(dtype: _Dtype, raw: bytes) -> Any:
    import numpy

    return numpy.frombuffer(_bytes(raw), dtype.real(), count=1)[0]


def _bytes(raw: Any) -> bytes:
    # A bytearray would come of its length alone, without a byte in the file.
    if type(raw) is not bytes:
        raise ValueError(f"numpy data in a {type(raw).__name__}")
    return raw


def _listed(items: Any) -> list[Any]:
    if type(items) not in (list, tuple):
        raise ValueError(f"items in a {type(items).__name__}")
    return list(items)


def _frozen(items: Any = ()) -> frozenset[Any]:
    return frozenset(_listed(items))


class _Exchange:
    """Puts the real objects in the stand-ins' places."""

    def __init__(self, made: dict[int, tuple[Any, Callable[[Any], Any]]]) -> None:
        self.made, self.done = made, dict[int, Any]()

    def visit(self, value: Any) -> Any:
        if id(value) not in self.done:
            self.done[id(value)] = value  # an answer for a collection that holds itself
            self._fill(value)
            if type(value) is tuple:
                self.done[id(value)] = tuple(map(self.visit, value))
            if id(value) in self.made:
                self.done[id(value)] = self.made[id(value)][1](value)
        return self.done[id(value)]

    def _fill(self, value: Any) -> None:
        if isinstance(value, list):
            value[:] = map(self.visit, value)
        elif isinstance(value, dict):
            self._refuse_in(value)
            for key in value:
                value[key] = self.visit(value[key])
        elif isinstance(value, set | frozenset):
            self._refuse_in(value)
        elif isinstance(value, argparse.Namespace | types.SimpleNamespace):
            self._fill(vars(value))

    def _refuse_in(self, keys: Iterable[Any]) -> None:
        for key in keys:
            if isinstance(key, _Later):
                raise ValueError(f"a key that is {self.visit(key)!r}")
