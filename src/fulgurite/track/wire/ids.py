"""Ids as the client wants them: opaque, valid base 64, the same for the same thing."""

import base64
import binascii

from fulgurite.track.store.errors import NotFound


def outer(kind: str, number: int | str) -> str:
    """The id of our row ``number``, or of what has a name only: ``outer("Run", 1)`` is ``UnVuOjE=``."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def inner(kind: str, id: str) -> int:
    """The row number behind an id that `outer` made. Raises ``NotFound`` for any other text."""
    try:
        name, _, number = base64.b64decode(id, validate=True).decode().partition(":")
        if name == kind:
            return int(number)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        pass
    raise NotFound(f"{id!r} is not the id of a {kind}.")
