"""How large a request may be: one place for all of them. Compressed ones are unpacked here, within the same limits."""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MIB = 1 << 20
UPLOAD = "/upload/"  # written to the disk as it comes; all else is held in memory
LIMITS = {UPLOAD: 64 << 30, "/files/": 256 * MIB, "/graphql": 64 * MIB}
OTHERS = 1 * MIB


class TooLarge(Exception):
    """A body is larger than its place allows."""


class Left(Exception):
    """Whoever sent the body went away in the middle of it."""


class Bodies:
    """An ASGI application that lets no larger body through to ``app``, and none that is still compressed."""

    def __init__(self, app: App, limits: dict[str, int] | None = None) -> None:
        self._app, self._limits = app, LIMITS if limits is None else limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self._app(scope, receive, send)
        limit = self._limit(scope["path"])
        if scope["path"].startswith(UPLOAD):
            return await self._app(scope, _counted(receive, limit), send)
        try:
            body = await _whole(receive, limit)
            if _header(scope, b"content-encoding") == b"gzip":
                body = _unpacked(body, limit)
                scope["headers"] = [h for h in scope["headers"] if h[0] not in (b"content-encoding", b"content-length")]
        except TooLarge:
            return await JSONResponse({"error": _told(limit)}, 413)(scope, receive, send)
        except Left:
            return None
        except zlib.error:
            return await JSONResponse({"error": "The body is no gzip."}, 400)(scope, receive, send)
        return await self._app(scope, _replayed(body, receive), send)

    def _limit(self, path: str) -> int:
        return next((limit for start, limit in self._limits.items() if path.startswith(start)), OTHERS)


def _told(limit: int) -> str:
    return f"The request is larger than the {limit:,} bytes that are taken here."


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value.lower() for key, value in scope["headers"] if key == name), b"")


async def _whole(receive: Receive, limit: int) -> bytes:
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise TooLarge
    return b"".join(pieces)


def _unpacked(body: bytes, limit: int) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    whole = reader.decompress(body, limit + 1)
    if len(whole) > limit:
        raise TooLarge
    if not reader.eof or reader.unused_data:
        raise zlib.error("it is not one whole gzip")
    return whole


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hands on the body at once, and then what comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def next_message() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, _told(limit))
        return message

    return next_message
