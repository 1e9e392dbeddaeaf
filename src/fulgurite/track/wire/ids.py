"""Ids as the client wants them: opaque, valid base 64, the same for the same thing."""

import base64
import binascii

from fulgurite.track.store.errors import NotFound


def outer(kind: str, key: int | str) -> str:
    """The id of what we know by ``key``, mostly a row's number: ``outer("Run", 1)`` is ``UnVuOjE=``."""
    return base64.b64encode(f"{kind}:{key}".encode()).decode()


def inner(kind: str, id: str) -> int:
    """The row number behind an id that `outer` made. Raises ``NotFound`` for any other text."""
    try:
        return int(inner_text(kind, id))
    except ValueError:
        raise NotFound(f"{id!r} is not the id of a {kind}.") from None


def inner_text(kind: str, id: str) -> str:
    """The key behind an id, as text. Raises ``NotFound``."""
    try:
        name, _, key = base64.b64decode(id, validate=True).decode().partition(":")
        if name == kind:
            return key
    except (binascii.Error, ValueError, TypeError):
        pass
    raise NotFound(f"{id!r} is not the id of a {kind}.")
