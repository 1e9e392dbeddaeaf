"""The frame of a ``.wandb`` file: whole records out of a file that may still grow, end in mid-record or be damaged.

The file is a header of 7 bytes and then LevelDB's log format: blocks of 32 KiB, each a row of chunks. A chunk is a
CRC-32 (of kind and data), a length, a kind and the data; a record that does not fit into its block is cut into several.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

from fulgurite.base.errors import DataError

BLOCK = 32 * 1024
FILE_HEADER = b":W&B\xe1\xbe\x00"
CHUNK_HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
UNREADABLE = -1


@dataclass(frozen=True, slots=True)
class Damage:
    """A place where something was lost: the bytes of ``file`` from ``offset`` to ``end`` could not be used."""

    file: Path
    offset: int
    end: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, bytes {self.offset} to {self.end}: {self.reason}"


class RecordLog:
    """The records of one file. ``offset`` is the place behind the last one read; with it, another reader goes on."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = Path(path)
        self.offset = offset
        self.damages: list[Damage] = []
        # A reader that begins with a block may meet the end of a record whose beginning was lost, and reported, before.
        self._lost = offset > 0 and offset % BLOCK == 0

    def read(self) -> Iterator[bytes]:
        """Yield the whole records behind ``offset`` that are there by now, each after ``offset`` has passed it.

        What is cut off at the end of the file is left for a later call. What is broken with something whole behind it
        is put into ``damages``, once, and skipped. Raises ``DataError`` if the file is none of the kind, or has become
        shorter.
        """
        with self.path.open("rb") as file:
            if self.unread() < 0:
                raise DataError(
                    f"{self.path} was read up to byte {self.offset}, but ends at {self.offset + self.unread()}: "
                    "it is another file than before. Read it anew, with offset=0."
                )
            if self.offset == 0 and not self._passes_header(file):
                return
            begin = self.offset
            parts: list[bytes] = []
            for chunk in _chunks(file, self.offset):
                if chunk.kind == UNREADABLE:
                    self._lose(begin if parts else chunk.begin, chunk.end, "the checksum does not fit the data")
                    parts = []
                elif chunk.kind in (FULL, FIRST):
                    if parts:
                        self._lose(begin, chunk.begin, "a record has no end")
                    begin, parts = chunk.begin, [chunk.data]
                elif parts:
                    parts.append(chunk.data)
                else:
                    self._skip_orphan(chunk)
                if parts and chunk.kind in (FULL, LAST):
                    record, parts = b"".join(parts), []
                    self.offset, self._lost = chunk.end, False
                    yield record

    def unread(self) -> int:
        """How many bytes lie behind ``offset``. If the writer has ended and all is read, they are its torn end."""
        return self.path.stat().st_size - self.offset

    def _passes_header(self, file: BinaryIO) -> bool:
        found = file.read(len(FILE_HEADER))
        if not FILE_HEADER.startswith(found):
            raise DataError(
                f"{self.path} begins with {found!r}, but a run's record begins with {FILE_HEADER!r}. "
                "Give the run-<id>.wandb file that the client wrote."
            )
        if len(found) < len(FILE_HEADER):
            return False
        self.offset = len(FILE_HEADER)
        return True

    def _lose(self, begin: int, end: int, reason: str) -> None:
        self.damages.append(Damage(self.path, begin, end, reason))
        self.offset, self._lost = end, True

    def _skip_orphan(self, chunk: "_Chunk") -> None:
        if self._lost:
            self.offset = chunk.end
        else:
            self._lose(chunk.begin, chunk.end, "a record has no beginning")


class _Chunk(NamedTuple):
    begin: int
    end: int
    kind: int
    data: bytes


def _chunks(file: BinaryIO, at: int) -> Iterator[_Chunk]:
    """The chunks from ``at`` on, and the stretches that hold none; ends before what may still be in writing."""
    while True:
        file.seek(at)
        room = BLOCK - at % BLOCK
        block = file.read(room)
        more_behind = len(block) == room and bool(file.read(1))
        place = 0
        while chunk := _chunk(block, place, at):
            yield chunk
            place = chunk.end - at
        if len(block) - place >= CHUNK_HEADER.size and (broken := _broken(block, place, at, more_behind)):
            yield broken
            at = broken.end
        elif more_behind:
            at += room
        else:
            return


def _chunk(block: bytes, place: int, at: int) -> _Chunk | None:
    """The chunk at ``place`` of a block that lies at ``at`` in the file, or None if there is no whole and sound one."""
    data = place + CHUNK_HEADER.size
    if data > len(block):
        return None
    checksum, length, kind = CHUNK_HEADER.unpack_from(block, place)
    end = data + length
    # The checksum covers the kind, too, which is the last byte of the chunk's header.
    if end > len(block) or not FULL <= kind <= LAST or crc32(block[data - 1 : end]) != checksum:
        return None
    return _Chunk(at + place, at + end, kind, block[data:end])


def _broken(block: bytes, place: int, at: int, more_behind: bool) -> _Chunk | None:
    """The stretch from ``place`` on that no chunk can be read from, or None while it may still be in writing.

    If the length it states leads to a sound chunk, only the data is broken; else the rest of the block is lost.
    """
    _, length, _ = CHUNK_HEADER.unpack_from(block, place)
    end = place + CHUNK_HEADER.size + length
    if _chunk(block, end, at):
        return _Chunk(at + place, at + end, UNREADABLE, b"")
    return _Chunk(at + place, at + len(block), UNREADABLE, b"") if more_behind else None
