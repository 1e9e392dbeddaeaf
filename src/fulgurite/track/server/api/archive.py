"""A set of files as one zip that is made while it is sent: a piece of one file is in memory at a time."""

import json
import re
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from fulgurite.track.store.contents import Entry

PIECE = 1 << 20  # bytes
REFERENCES = "references.json"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip knows no time before
PARTS = re.compile(r"[/\\]+")
DRIVE = re.compile(r"[\s/\\]*(?:[A-Za-z]:[\s/\\]*)+")


class _Sink:
    """What was written since the last look. It can't be sought in, as nothing that is sent can."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """There is nothing behind it."""

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zipped(entries: Sequence[Entry], place: Callable[[str], Path], made_at: float) -> Iterator[bytes]:
    """The zip of the entries; what lies elsewhere is listed in ``references.json`` with its address."""
    sink, moment = _Sink(), max(time.localtime(made_at)[:6], EARLIEST)
    names = safe_names([*(each.name for each in entries), REFERENCES])
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:  # type: ignore[call-overload]
        for entry, name in zip(entries, names, strict=False):
            if entry.sha256 is None:
                continue
            with (
                open(place(entry.sha256), "rb") as source,
                archive.open(zipfile.ZipInfo(name, moment), "w", force_zip64=True) as target,
            ):
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield sink.taken()
        elsewhere = {each.name: each.ref for each in entries if each.ref is not None}
        if elsewhere:
            archive.writestr(zipfile.ZipInfo(names[-1], moment), json.dumps(elsewhere, indent=1))
    yield sink.taken()


def safe_names(names: Iterable[str]) -> list[str]:
    """Names that stay below the folder in which a zip is opened, on any system, and differ from each other."""
    taken: set[str] = set()
    return [_free(_inside(name), taken) for name in names]


def _inside(name: str) -> str:
    parts = (part.replace("\0", "").strip() for part in PARTS.split(_without_drive(name)))
    kept = [part for part in parts if part.strip(".")]
    return "/".join(kept).encode("utf-8", "replace").decode() or "unnamed"


def _without_drive(name: str) -> str:
    found = DRIVE.match(name)
    return name[found.end() :] if found else name


def _free(name: str, taken: set[str]) -> str:
    """The name, or with a number before its ending where it is taken; capitals make no difference on some systems."""
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        folder, slash, last = name.rpartition("/")
        stem, dot, ending = last.rpartition(".")
        found = f"{folder}{slash}{stem} ({number}).{ending}" if stem and dot else f"{name} ({number})"
    taken.add(found.lower())
    return found
