"""The addresses that the client calls."""

import logging
from base64 import b64encode
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
from fulgurite.track.wire.bodies import LARGEST_FILE, whole
from fulgurite.track.wire.contents import content_response
from fulgurite.track.wire.documents import read_json
from fulgurite.track.wire.exports import Exports
from fulgurite.track.wire.graphql import as_json, execute
from fulgurite.track.wire.schema.context import Context
from fulgurite.track.wire.schema.roots import TYPES, describe, roots
from fulgurite.track.wire.uploads import Uploads

log = logging.getLogger("fulgurite.track")


class Wire:
    """The protocol's endpoints over one store.

    A file may have ``largest`` bytes. With ``in_parts`` the client sends big ones in parts, otherwise in one piece.
    With ``exports`` it finds the history of ended runs as files.
    """

    def __init__(
        self,
        store: Store,
        secret: bytes,
        largest: int = LARGEST_FILE,
        in_parts: bool = True,
        exports: bool = False,
    ) -> None:
        self._store, self._secret = store, secret
        self._uploads, self._in_parts = Uploads(store, largest), in_parts
        self._exports = Exports(store) if exports else None

    def routes(self) -> list[Route]:
        return [
            Route("/graphql", self.graphql, methods=["POST"]),
            Route("/files/{entity}/{project}/{run}/file_stream", self.file_stream, methods=["POST"]),
            Route("/upload/{token}", self.upload, methods=["PUT"]),
            Route("/content/{token}", self.content, methods=["GET", "HEAD"]),
            Route("/artifactsV2/{region}/{entity}/{project}/{collection}/{rest:path}", self.artifact_file),
        ]

    async def graphql(self, request: Request) -> Response:
        """Trouble is told in ``errors`` of an answer that succeeds: others would be asked for again and again."""
        try:
            asked = _document(await whole(request.stream(), request.headers))
        except StoreError as error:
            return JSONResponse({"errors": [{"message": str(error)}]}, status_code=400)
        answer = await run_in_threadpool(self._answer, self._context(request), asked)
        return Response(answer, media_type="application/json")

    def _answer(self, context: Context, asked: Mapping[str, Any]) -> str:
        names, begin = (asked.get("variables"), asked.get("operationName")), roots(context)
        if not context.may_write:
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
        return await self._uploads.take(request, what)

    async def content(self, request: Request) -> Response:
        try:
            what = self._addresses(request).opened(request.path_params["token"], "get")
        except Refused as error:
            return PlainTextResponse(str(error), status_code=403)
        return self._file(what["sha256"], what["name"])

    async def artifact_file(self, request: Request) -> Response:
        """A file of an artifact by its MD5, for a client that has not asked for an address. It sends its key here."""
        try:
            found = await run_in_threadpool(self._artifact_file, request.path_params)
        except (StoreError, ValueError) as error:
            return PlainTextResponse(f"There is no such file: {error}", status_code=404)
        return self._file(found, request.path_params["rest"].rpartition("/")[2])

    def _artifact_file(self, names: Mapping[str, str]) -> str:
        project = self._store.runs.project(names["project"], names["entity"])
        collection = self._store.artifacts.collections.find(project, names["collection"])
        *_, md5, _ = names["rest"].split("/")
        return self._store.artifacts.contents.by_md5(collection, b64encode(bytes.fromhex(md5)).decode()).sha256

    def _file(self, sha256: str, name: str) -> Response:
        return content_response(self._store.blobs.path(sha256), name)

    def _context(self, request: Request) -> Context:
        user = user_of(request)
        return Context(
            self._store,
            self._addresses(request),
            TYPES,
            ENTITY,
            user.name,
            self._in_parts,
            user.may_write,
            self._exports,
        )

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
