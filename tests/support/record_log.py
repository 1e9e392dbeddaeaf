"""Write files in the frame of ``.wandb`` files, record by record, as the client does."""

import struct
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

BLOCK = 32 * 1024
HEADER = b":W&B\xe1\xbe\x00"
CHUNK_HEADER = 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def log_of(records: Iterable[bytes]) -> bytes:
    """The whole file that holds ``records``."""
    data = bytearray(HEADER)
    for record in records:
        append(data, record)
    return bytes(data)


def append(data: bytearray, record: bytes) -> None:
    """Add one record, cut at the borders of blocks."""
    first = True
    while True:
        room = BLOCK - len(data) % BLOCK
        if room < CHUNK_HEADER:
            data += bytes(room)
            room = BLOCK
        part, record = record[: room - CHUNK_HEADER], record[room - CHUNK_HEADER :]
        kind = (FIRST if record else FULL) if first else (MIDDLE if record else LAST)
        data += chunk(part, kind)
        first = False
        if not record:
            return


def chunk(part: bytes, kind: int) -> bytes:
    content = bytes([kind]) + part
    return struct.pack("<IH", crc32(content), len(part)) + content


def write(path: Path, *records: bytes) -> Path:
    path.write_bytes(log_of(records))
    return path
