"""Harmless classes in checkpoints that others wrote: allowed in a safe read, through stand-ins where that is safer.

numpy's own unpickling trusts what the file says about memory, and the safe unpickler fills no dictionary but its own
kinds. The stand-ins here take the data, check it, and are exchanged for the real objects once all is read.
"""

import argparse
import collections
import datetime
import decimal
import fractions
import math
import os
import pathlib
import types
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fulgurite.base.attributes import AttributeDict

_SIMPLE = "biufcSU"
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
        yield lambda tree: _Exchange(made).visit(tree) if made else tree


_AS_THEY_ARE: list[Any] = [
    *(argparse.Namespace, types.SimpleNamespace, decimal.Decimal, fractions.Fraction, uuid.UUID),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone),
    *(frozenset, range, slice, list, dict, tuple, int, float, str, bool),
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

    def default_dict(factory: Any = None, *items: Any) -> Any:
        return remember(dict(*items), lambda value: collections.defaultdict(factory, value))

    def deque(items: Any = (), maxlen: int | None = None) -> Any:
        return remember(list(items), lambda value: collections.deque(value, maxlen))

    def dtype(*args: Any) -> Any:
        return remember(_Dtype(*args), _Dtype.real)

    def array(*args: Any) -> Any:
        return remember(_Array(), _Array.real)

    class NdArray:
        """Only ever an argument of ``array``."""

    numpy_core = [f"{package}.multiarray" for package in ("numpy._core", "numpy.core")]
    return [
        *((Attributes, f"{module}.AttributeDict") for module in _DOTTED),
        *((default_dict, "collections.defaultdict"), (deque, "collections.deque")),
        *((dtype, "numpy.dtype"), (_Dtype, "fulgurite.Dtype"), (_Array, "fulgurite.Array"), (NdArray, "numpy.ndarray")),
        *((_scalar, f"{module}.scalar") for module in numpy_core),
        *((array, f"{module}._reconstruct") for module in numpy_core),
    ]


class _Dtype:
    """A simple dtype as its letters; ``__setstate__`` takes the byte order and nothing else."""

    def __init__(self, letters: str, *_: Any) -> None:
        self.letters, self.order = letters, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def real(self) -> Any:
        import numpy

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
        flat = numpy.frombuffer(raw, dtype.real(), count=math.prod(shape))
        return flat.reshape(shape, order="F" if fortran else "C").copy()


def _scalar(dtype: _Dtype, raw: bytes) -> Any:
    import numpy

    return numpy.frombuffer(raw, dtype.real(), count=1)[0]


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
            for key in value:
                value[key] = self.visit(value[key])
        elif isinstance(value, argparse.Namespace | types.SimpleNamespace):
            self._fill(vars(value))
