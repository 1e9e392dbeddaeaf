"""The bodies of requests: read whole, unpacked, and never more of them than memory can take."""

import zlib
from collections.abc import AsyncIterator, Mapping

from fulgurite.track.store.errors import StoreError

LARGEST = 256 << 20  # bytes, unpacked; the client sends 10 MiB at most
LARGEST_FILE = 64 << 30  # files go to the disk as they come


class TooLarge(StoreError):
    """A body is larger than any that the client sends."""


class Unreadable(StoreError):
    """A body is not packed as its header says."""


async def whole(pieces: AsyncIterator[bytes], headers: Mapping[str, str], largest: int = LARGEST) -> bytes:
    """All of a body, unpacked if it came as gzip. Raises ``TooLarge`` or ``Unreadable``, after all was received.

    A sender that is refused while it still sends sees a broken connection, and not why.
    """
    packed, total = bytearray(), 0
    async for piece in pieces:
        total += len(piece)
        if total <= largest:
            packed += piece
    if total > largest:
        raise TooLarge(f"A request of {total} bytes came; {largest} are taken at most.")
    return unpacked(bytes(packed), largest) if headers.get("content-encoding") == "gzip" else bytes(packed)


async def taken(pieces: AsyncIterator[bytes], largest: int) -> AsyncIterator[bytes]:
    """The pieces of a file as they come. Raises ``TooLarge`` as soon as there are more than ``largest`` bytes."""
    total = 0
    async for piece in pieces:
        total += len(piece)
        if total > largest:
            raise TooLarge(f"The file has more than {largest} bytes; no more are taken.")
        yield piece


def unpacked(packed: bytes, largest: int = LARGEST) -> bytes:
    """What was packed with gzip, if it is at most ``largest`` bytes."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        data = unpacking.decompress(packed, largest + 1)
    except zlib.error as error:
        raise Unreadable(f"The body is not packed with gzip, as its header says: {error}.") from error
    if len(data) > largest:
        raise TooLarge(f"A request of more than {largest} bytes came, packed; no more are taken.")
    if not unpacking.eof:
        raise Unreadable("The body ends in the middle.")
    return data
