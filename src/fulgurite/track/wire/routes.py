"""The addresses that the client calls."""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.runs import ENTITY
from fulgurite.track.store.store import Store
from fulgurite.track.store.users import LOCAL, User
from fulgurite.track.wire import filestream
from fulgurite.track.wire.addresses import Addresses, Refused
from fulgurite.track.wire.contents import content_response
from fulgurite.track.wire.documents import read_json
from fulgurite.track.wire.graphql import as_json, execute
from fulgurite.track.wire.schema.context import Context
from fulgurite.track.wire.schema.roots import TYPES, roots

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
        try:
            asked = read_json(await request.body())
        except ValueError:
            return PlainTextResponse("The body is no JSON.", status_code=400)
        may_write = user_of(request).may_write
        answer = await run_in_threadpool(self._answer, self._context(request), asked, may_write)
        return Response(answer, media_type="application/json")

    def _answer(self, context: Context, asked: Mapping[str, Any], may_write: bool) -> str:
        begin = roots(context)
        if not may_write:
            del begin["mutation"]
        return as_json(execute(asked.get("query") or "", asked.get("variables"), asked.get("operationName"), begin))

    async def file_stream(self, request: Request) -> Response:
        """Never a refusal for what can be put right: the client would give up the whole upload on it."""
        try:
            body = read_json(await request.body() or b"{}")
            return JSONResponse(await run_in_threadpool(self._take, request.path_params, body))
        except Exception:
            log.exception("A file stream request for run %s failed; the client will send it again", request.url.path)
            return PlainTextResponse("This could not be kept just now. Send it again.", status_code=503)

    def _take(self, names: Mapping[str, str], body: dict[str, Any]) -> dict[str, Any]:
        runs = self._store.runs
        project = runs.project(names["project"], names["entity"], create=True)
        run, _ = runs.open(project, names["run"])
        return filestream.take(self._store, run, body)

    async def upload(self, request: Request) -> Response:
        try:
            what = self._addresses(request).opened(request.path_params["token"], "put")
        except Refused as error:
            return PlainTextResponse(str(error), status_code=403)
        with self._store.blobs.incoming() as content:
            async for piece in request.stream():
                content.write(piece)
            try:
                blob = await run_in_threadpool(self._store.blobs.keep, content, request.headers.get("content-md5"))
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
