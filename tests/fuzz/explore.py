"""Looks for bytes that break a reader, guided by the lines they reach: ``python tests/fuzz/explore.py TARGET``.

Needs ``pip install atheris``, which has wheels for Linux and stays out of the suite. What follows the target goes to
libFuzzer, such as ``-max_total_time=300`` or a folder to keep what was found.
"""

import argparse
import collections
import datetime
import io
import pathlib
import struct
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import numpy as np
import torch

from fuzz.targets import TARGETS

OF_INTEREST = ["fulgurite", "torch._weights_only_unpickler", "zipfile", "graphql.language"]

PLAIN = {"state_dict": {"a": torch.ones(2)}, "hyper_parameters": {"b": [1, 2.5, "c", None, (True,)]}}
HARMLESS = [
    pathlib.PurePosixPath("a"),
    argparse.Namespace(a=1),
    np.arange(2, dtype="f4"),
    np.float64(1),
    collections.deque([1], 2),
    collections.defaultdict(list, a=[1]),
    datetime.datetime(2024, 1, 1),
    range(3),
    frozenset([1]),
    slice(1, 2),
    uuid.UUID(int=1),
]


def _saved(value: object, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def _pickles() -> list[bytes]:
    files = [zipfile.ZipFile(io.BytesIO(_saved(value))) for value in (PLAIN, *HARMLESS)]
    return [file.read("archive/data.pkl") for file in files]


def _records() -> list[bytes]:
    """One record of each kind, each field filled."""
    from fulgurite.track.wire.offline import messages

    kinds = messages.Record.DESCRIPTOR.oneofs_by_name["content"].fields
    return [_filled(messages.Record(), [kind]).SerializeToString() for kind in kinds]


def _filled(message: Any, fields: Any, depth: int = 0) -> Any:
    for field in fields:
        many = field.is_repeated
        if field.message_type is None:
            value = {str: "1", bytes: b"1", float: 1.0, bool: True, int: 1}[type(field.default_value or 0)]
            value = "1" if field.type == field.TYPE_STRING else b"1" if field.type == field.TYPE_BYTES else value
            getattr(message, field.name).append(value) if many else setattr(message, field.name, value)
        elif depth < 4:
            inner = getattr(message, field.name).add() if many else getattr(message, field.name)
            inner.SetInParent() if not many else None
            _filled(inner, field.message_type.fields, depth + 1)
    return message


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "checkpoint": lambda: [_saved(PLAIN), _saved(PLAIN, zipped=False)],
    "pickled": _pickles,
    "rows": lambda: [b"timestamp,value\n" + b"".join(b"2024-01-0%d,1.%d\n" % (day, day) for day in range(1, 9))],
    "records": _records,
    "document": lambda: [struct.pack("<H", 22) + b"{ viewer { username } }"[:22] + b'{"a": 1}'],
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: explore.py TARGET [libFuzzer's options]; a target is one of {', '.join(TARGETS)}")
    target = TARGETS[sys.argv.pop(1)]
    with atheris.instrument_imports(include=OF_INTEREST):
        for seed in SEEDS[target.__name__]():
            target(seed)  # loads what is to be watched
    with tempfile.TemporaryDirectory() as seeds:
        for i, seed in enumerate(SEEDS[target.__name__]()):
            Path(seeds, str(i)).write_bytes(seed)
        # New finds go to the first folder, which a caller may name.
        atheris.Setup([*sys.argv, seeds], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
