"""The addresses that the client calls."""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.runs import ENTITY
from fulgurite.track.store.store import Store
from fulgurite.track.store.users import LOCAL, User
from fulgurite.track.wire import filestream
from fulgurite.track.wire.addresses import Addresses, Refused
from fulgurite.track.wire.bodies import TooLarge, taken, whole
from fulgurite.track.wire.contents import content_response
from fulgurite.track.wire.documents import read_json
from fulgurite.track.wire.graphql import as_json, execute
from fulgurite.track.wire.schema.context import Context
from fulgurite.track.wire.schema.roots import TYPES, describe, roots

log = logging.getLogger("fulgurite.track")


class Wire:
    """The protocol's endpoints over one store."""

    def __init__(self, store: Store, secret: bytes) -> None:
        self._store, self._secret = store, secret

    def routes(self) -> list[Route]:
        return [
            Route("/graphql", self.graphql, methods=["POST"]),
            Route("/files/{entity}/{project}/{run}/file_stream", self.file_stream, methods=["POST"]),
            Route("/upload/{token}", self.upload, methods=["PUT"]),
            Route("/content/{token}", self.content, methods=["GET", "HEAD"]),
        ]

    async def graphql(self, request: Request) -> Response:
        """Trouble is told in ``errors`` of an answer that succeeds: others would be asked for again and again."""
        try:
            asked = _document(await whole(request.stream(), request.headers))
        except StoreError as error:
            return JSONResponse({"errors": [{"message": str(error)}]}, status_code=400)
        may_write = user_of(request).may_write
        answer = await run_in_threadpool(self._answer, self._context(request), asked, may_write)
        return Response(answer, media_type="application/json")

    def _answer(self, context: Context, asked: Mapping[str, Any], may_write: bool) -> str:
        names, begin = (asked.get("variables"), asked.get("operationName")), roots(context)
        if not may_write:
            del begin["mutation"]
        return as_json(execute(asked["query"], *names, begin, describe))

    async def file_stream(self, request: Request) -> Response:
        """Never a refusal: the client would give up the whole upload on it."""
        try:
            body = await whole(request.stream(), request.headers)
        except ClientDisconnect:
            return Response(status_code=503)
        except StoreError as error:
            log.error("A request to %s was left out: %s", request.url.path, error)
            return JSONResponse(filestream.NOTHING_TO_SAY)
        try:
            return JSONResponse(await run_in_threadpool(self._take, request.path_params, body))
        except Exception:
            log.exception("A file stream request for run %s failed; the client will send it again", request.url.path)
            return PlainTextResponse("This could not be kept just now. Send it again.", status_code=503)

    def _take(self, names: Mapping[str, str], body: bytes) -> dict[str, Any]:
        runs = self._store.runs
        with self._store.database.writing():
            project = runs.project(names["project"], names["entity"], create=True)
            run = filestream.known(self._store, project, names["run"]) or runs.open(project, names["run"])[0]
            return filestream.take_body(self._store, run, body)

    async def upload(self, request: Request) -> Response:
        try:
            what = self._addresses(request).opened(request.path_params["token"], "put")
        except Refused as error:
            return PlainTextResponse(str(error), status_code=403)
        with self._store.blobs.incoming() as content:
            try:
                async for piece in taken(request.stream()):
                    content.write(piece)
                blob = await run_in_threadpool(self._store.blobs.keep, content, request.headers.get("content-md5"))
            except TooLarge as error:
                return PlainTextResponse(str(error), status_code=413)
            except StoreError as error:
                return PlainTextResponse(str(error), status_code=400)
        await run_in_threadpool(self._store.blobs.put, what["run"], what["name"].removeprefix("./"), blob)
        return Response(headers={"ETag": f'"{blob.md5}"'})

    async def content(self, request: Request) -> Response:
        try:
            what = self._addresses(request).opened(request.path_params["token"], "get")
        except Refused as error:
            return PlainTextResponse(str(error), status_code=403)
        return content_response(self._store.blobs.path(what["sha256"]), what["name"])

    def _context(self, request: Request) -> Context:
        return Context(self._store, self._addresses(request), TYPES, ENTITY, user_of(request).name)

    def _addresses(self, request: Request) -> Addresses:
        return Addresses(self._secret, str(request.base_url))


def user_of(request: Request) -> User:
    """Who asks, as the server found out on the way here."""
    user = getattr(request.state, "user", LOCAL)
    assert isinstance(user, User)
    return user


def _document(body: bytes) -> Mapping[str, Any]:
    """A GraphQL request's ``query`` and what goes with it. Raises ``StoreError``."""
    try:
        asked = read_json(body)
    except ValueError as error:
        raise StoreError(f"The request is no JSON: {error}.") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
        raise StoreError('A request is an object with the document as a text, such as {"query": "{ viewer { id } }"}.')
    if not isinstance(asked.get("variables") or {}, dict):
        raise StoreError(f"variables is an object, not {asked['variables']!r:.80}.")
    return asked
