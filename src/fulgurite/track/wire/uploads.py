"""What clients send to the addresses that they were given: run files, artifacts' files and manifests, parts."""

import base64
import logging
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from fulgurite.track.store.blobs import PIECE, Incoming
from fulgurite.track.store.errors import NotFound, StoreError, StoreFull, StoreLocked
from fulgurite.track.store.store import Store
from fulgurite.track.wire.bodies import TooLarge, taken

log = logging.getLogger("fulgurite.track")


class Uploads:
    """Takes files of at most ``largest`` bytes. One that does not come whole leaves nothing."""

    def __init__(self, store: Store, largest: int) -> None:
        self._store, self._largest = store, largest

    async def take(self, request: Request, what: dict[str, Any]) -> Response:
        """Keep a request's body as ``what`` its address stands for."""
        try:
            return Response(headers={"ETag": f'"{await self._kept(request, what)}"'})
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except StoreError as error:
            log.error("%s could not be kept: %s", what.get("name") or "A part", error)
            return PlainTextResponse(str(error), _status(error))

    async def _kept(self, request: Request, what: dict[str, Any]) -> str:
        largest = self._largest
        if "upload" in what:
            largest -= await run_in_threadpool(self._store.artifacts.parts.size, what["upload"])
        if int(request.headers.get("content-length") or 0) > largest:
            raise TooLarge(f"The file has more than {self._largest} bytes; no more are taken.")
        with self._store.blobs.incoming() as content:
            async for piece in _pieces(taken(request.stream(), largest)):
                # Hashing and writing take their time, and other clients wait on this loop.
                await run_in_threadpool(content.write, piece)
            return await run_in_threadpool(self._keep, content, what, request.headers.get("content-md5"))

    def _keep(self, content: Incoming, what: dict[str, Any], md5: str | None) -> str:
        """Give what has come whole its place; return what its sender shall know it by."""
        artifacts = self._store.artifacts
        if "upload" in what:
            announced = base64.b64encode(bytes.fromhex(what["md5"])).decode() if what["md5"] else None
            return artifacts.parts.keep(what["upload"], what["part"], content, announced)
        content.done()  # a disk may take its time, and nobody else should wait for it
        with self._store.database.writing():
            blob = self._store.blobs.keep(content, what.get("md5") or md5)
            if "artifact" in what:
                artifacts.contents.take(what["artifact"], what["name"], blob)
            elif "manifest" in what:
                artifacts.contents.take_manifest(what["manifest"], blob)
            else:
                self._store.blobs.put(what["run"], what["name"].removeprefix("./"), blob)
        return blob.md5


async def _pieces(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body in pieces that are worth a change of threads."""
    waiting = bytearray()
    async for piece in body:
        waiting += piece
        if len(waiting) >= PIECE:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _status(error: StoreError) -> int:
    """The client gives up a file at 400, 404 and 413, and sends it again later at 503 and 507."""
    known = {TooLarge: 413, NotFound: 404, StoreFull: 507, StoreLocked: 503}
    return known.get(type(error), 400 if error.__cause__ is None else 503)
