"""Single values of ordinary types as plain data: a path as a string, an enum member as its value, and back.

Plain data is what ``torch.load(weights_only=True)`` takes without a question. A code, ``[name, *details]``, tells
how the value comes back. Coming back runs no user code and imports nothing: a file may name a class, but only one
that the program has imported already is ever used. It costs no more than what the file holds, so each decoder takes
the types that its encoder writes and no others.
"""

import datetime
import decimal
import enum
import fractions
import os
import pathlib
import sys
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from fulgurite.base.names import ClassIsAbsent, block_name, class_name, find_block, find_class

Code = list[Any]

#: Types whose values go into the file as they are.
NATIVE: frozenset[type] = frozenset(
    {
        *(type(None), bool, float, complex, str, bytes, bytearray),
        *(torch.Tensor, torch.nn.Parameter, torch.Size),
        *(torch.dtype, torch.device, torch.layout, torch.qscheme),
    }
)
_LONGEST_RANGE = 1_000_000
_LONGEST_INT = 2039  # bits; the safe unpickler knows no longer ones
_LARGEST_TEXTS = 64 * 2**20  # bytes that an array of texts may take, however short the texts are


class Told(NamedTuple):
    """A plain stand-in and the code that brings the value back; without a code the stand-in is all that comes back."""

    plain: Any
    code: Code | None


def is_native(value: Any) -> bool:
    """Whether a single value goes into the file as it is."""
    return type(value) in NATIVE or (type(value) is int and value.bit_length() <= _LONGEST_INT)


def tell(value: Any) -> Told | None:
    """The plain stand-in of one value that holds no others; None for a stranger."""
    known = _LEAVES.get(type(value))
    if known is not None:
        return known(value)
    if isinstance(value, enum.Enum):
        return _tell_enum(value)
    if isinstance(value, pathlib.PurePath):
        return Told(str(value), None)
    if (block := block_name(value)) is not None:
        return Told(block.replace(":", "."), ["block", block])
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic | numpy.dtype | numpy.ndarray):
        return _tell_numpy(numpy, value)
    return _tell_subclass(value)


def has_state(value: Any) -> bool:
    """Whether an instance of a builtin's subclass carries more than the builtin does."""
    return bool(getattr(value, "__dict__", None)) or any(vars(kind).get("__slots__") for kind in type(value).__mro__)


# -- numbers, text, time --------------------------------------------------------------------------------------------


def _tell_range(value: range) -> Told | None:
    if len(value) > _LONGEST_RANGE:
        return None
    return Told(list(value), ["range", value.start, value.stop, value.step])


def _tell_slice(value: slice) -> Told | None:
    bounds = [value.start, value.stop, value.step]
    return Told(bounds, ["slice"]) if all(map(is_native, bounds)) else None


def _bring_slice(plain: list[Any]) -> slice:
    start, stop, step = _checked(plain, list)
    return slice(start, stop, step)


def _tell_time(value: Any) -> Told:
    # Named zones come from the system's database, which the next machine may not share: only offsets are exact.
    exact = value.tzinfo is None or type(value.tzinfo) is datetime.timezone
    return Told(value.isoformat(), [type(value).__name__, value.fold] if exact else None)


def _tell_timedelta(value: datetime.timedelta) -> Told:
    return Told(value.total_seconds(), ["timedelta", value.days, value.seconds, value.microseconds])


def _tell_fraction(value: fractions.Fraction) -> Told | None:
    # Of its text "1e30000000" a fraction would be made too: the two numbers alone are safe.
    parts = [value.numerator, value.denominator]
    return Told(str(value), ["fraction", *parts]) if all(map(is_native, parts)) else None


def _bring_fraction(plain: str, *parts: int) -> fractions.Fraction:
    if len(parts) != 2 or any(type(part) is not int for part in parts):
        raise ValueError("not two integers")
    return fractions.Fraction(*parts)


def _bring_int(plain: str) -> int:
    return int(_checked(plain, str), 16)


def _checked(plain: Any, *kinds: type) -> Any:
    if type(plain) not in kinds:
        raise TypeError(f"a {type(plain).__name__}, expected {' or '.join(kind.__name__ for kind in kinds)}")
    return plain


def _of_text(make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda plain, *details: make(_checked(plain, str), *details)


def _text(name: str) -> Callable[[Any], Told]:
    return lambda value: Told(str(value), [name])


def _bring_path(plain: str, name: str) -> pathlib.PurePath:
    native = "WindowsPath" if os.name == "nt" else "PosixPath"
    if name in ("PosixPath", "WindowsPath") and name != native:
        name = f"Pure{name}"
    return getattr(pathlib, name)(plain) if name in _PATHS else pathlib.PurePath(plain)


def _tell_path(value: pathlib.PurePath) -> Told:
    return Told(str(value), ["path", type(value).__name__])


# -- enums, and subclasses of the builtins --------------------------------------------------------------------------


def _tell_enum(value: enum.Enum) -> Told | None:
    plain = value.value if _all_native(value.value) else value.name
    if type(value).__members__.get(value.name or "") is not value:
        return Told(plain, None)  # a combination of flags, say
    return Told(plain, ["enum", class_name(type(value)), value.name])


def _all_native(value: Any) -> bool:
    return all(map(_all_native, value)) if type(value) in (tuple, list) else is_native(value)


def _bring_enum(plain: Any, name: str, member: str) -> enum.Enum:
    kind = find_class(name)
    members = kind.__members__ if issubclass(kind, enum.Enum) else {}
    if member not in members:
        raise ClassIsAbsent(f"{name}.{member}")
    return members[member]


_BUILTINS: tuple[Any, ...] = (str, bytes, int, float, complex)
_FILLED: dict[type, Callable[[Any, Any], Any]] = {dict: dict.update, list: list.extend, set: set.update}


def _tell_subclass(value: Any) -> Told | None:
    base = next((base for base in _BUILTINS if isinstance(value, base)), None)
    if base is None:
        return None
    plain = str.__str__(value) if base is str else base.__new__(base, value)
    return Told(plain, None if has_state(value) else ["subclass", class_name(type(value))])


def _bring_subclass(plain: Any, name: str) -> Any:
    """A subclass of a builtin, made and filled by the builtin's own methods."""
    kind: Any = find_class(name)
    base: Any = type(plain)
    if not issubclass(kind, base) or issubclass(kind, enum.Enum):
        raise ClassIsAbsent(name)
    if base in _FILLED:
        made = base.__new__(kind)
        _FILLED[base](made, plain)
        return made
    return base.__new__(kind, plain) if base in (*_BUILTINS, tuple, frozenset) else plain


# -- numpy ----------------------------------------------------------------------------------------------------------


def _tell_numpy(numpy: Any, value: Any) -> Told | None:
    if isinstance(value, numpy.dtype):
        return Told(value.str, ["numpy.dtype"]) if value.kind in "biufcSUmM" else None
    if isinstance(value, numpy.ndarray):
        return _tell_array(numpy, value) if type(value) is numpy.ndarray else None
    if value.dtype.kind in "mM":
        return Told(int(value.astype("int64")), ["numpy.scalar", value.dtype.str])
    if value.dtype.kind not in "biufcSU" or not is_native(value.item()):
        return None
    return Told(value.item(), ["numpy.scalar", value.dtype.str])


def _tell_array(numpy: Any, value: Any) -> Told | None:
    kind, code = value.dtype.kind, ["numpy.array", value.dtype.str, list(value.shape)]
    if kind in "SU":
        return Told(value.reshape(-1).tolist(), code) if value.nbytes <= _LARGEST_TEXTS else None
    native = value.astype(value.dtype.newbyteorder("="), order="C")
    if kind in "mM":
        return Told(torch.from_numpy(native.view("int64")), code)
    if kind not in "biufc" or value.dtype.itemsize > (16 if kind == "c" else 8):
        return None
    return Told(torch.from_numpy(native), code)


def _bring_dtype(plain: str) -> Any:
    import numpy

    dtype = numpy.dtype(_checked(plain, str))
    if dtype.kind not in "biufcSUmM":
        raise ValueError(f"{plain!r} is no simple dtype")
    return dtype


def _bring_scalar(plain: Any, spec: str) -> Any:
    import numpy

    dtype = _bring_dtype(spec)
    if dtype.kind in "mM":
        return numpy.array(_checked(plain, int), "int64").view(dtype)[()]
    return dtype.type(_checked(plain, _SCALARS[dtype.kind]))


def _bring_array(plain: Any, spec: str, shape: list[int]) -> Any:
    import numpy

    dtype = _bring_dtype(spec)
    if dtype.kind in "SU":
        if len(_checked(plain, list)) * dtype.itemsize > _LARGEST_TEXTS:
            raise ValueError("an array of texts that would be too large")
        return numpy.array([_checked(text, _SCALARS[dtype.kind]) for text in plain], dtype).reshape(shape)
    array = _checked(plain, torch.Tensor).detach().cpu().numpy()
    native = dtype.newbyteorder("=")
    array = array.view(native) if dtype.kind in "mM" else array
    # A tensor may repeat one number a billion times, and would be written out by a copy.
    if array.dtype != native or not array.flags.c_contiguous:
        raise ValueError("a tensor that is no whole array of that dtype")
    return array.astype(dtype, copy=False)


_SCALARS: dict[str, type] = {
    "b": bool,
    "i": int,
    "u": int,
    "f": float,
    "c": complex,
    "S": bytes,
    "U": str,
}

# -- the tables -----------------------------------------------------------------------------------------------------

_PATHS = {"PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"}
_MEMORY_FORMATS = {
    str(layout): layout
    for layout in (torch.contiguous_format, torch.channels_last, torch.channels_last_3d, torch.preserve_format)
}
_LEAVES: dict[type, Callable[[Any], Told | None]] = {
    int: lambda value: Told(hex(value), ["int"]),
    range: _tell_range,
    slice: _tell_slice,
    **{getattr(pathlib, name): _tell_path for name in _PATHS},
    datetime.datetime: _tell_time,
    datetime.time: _tell_time,
    datetime.date: lambda value: Told(value.isoformat(), ["date"]),
    datetime.timedelta: _tell_timedelta,
    decimal.Decimal: _text("decimal"),
    fractions.Fraction: _tell_fraction,
    uuid.UUID: _text("uuid"),
    torch.memory_format: _text("memory_format"),
}
DECODERS: dict[str, Callable[..., Any]] = {
    "int": _bring_int,
    "range": lambda plain, *bounds: range(*bounds),
    "slice": _bring_slice,
    "block": lambda plain, name: find_block(name),
    "path": _of_text(_bring_path),
    "datetime": _of_text(lambda plain, fold: datetime.datetime.fromisoformat(plain).replace(fold=fold)),
    "time": _of_text(lambda plain, fold: datetime.time.fromisoformat(plain).replace(fold=fold)),
    "date": _of_text(datetime.date.fromisoformat),
    "timedelta": lambda plain, *parts: datetime.timedelta(*parts),
    "decimal": _of_text(decimal.Decimal),
    "fraction": _bring_fraction,
    "uuid": _of_text(uuid.UUID),
    "memory_format": _of_text(_MEMORY_FORMATS.__getitem__),
    "enum": _bring_enum,
    "subclass": _bring_subclass,
    "numpy.dtype": _bring_dtype,
    "numpy.scalar": _bring_scalar,
    "numpy.array": _bring_array,
}
