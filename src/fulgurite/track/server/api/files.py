"""The files of runs: which there are, and what is in them."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.described import flag, needed, tells
from fulgurite.track.server.api.markdown import rendered
from fulgurite.track.server.api.runs import run_of
from fulgurite.track.server.api.shapes import FileShape, answer, file_shape
from fulgurite.track.store.store import Store
from fulgurite.track.wire.contents import content_response


class FileRoutes:
    """Addresses over the files of one store's runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        files = "/projects/{entity}/{project}/runs/{run}/files"
        return [
            Route(files, self.files, methods=["GET"]),
            Route(files + "/content", self.content, methods=["GET", "HEAD"]),
        ]

    @tells({"files": list[FileShape]})
    def files(self, request: Request) -> Response:
        """The files of a run."""
        run = run_of(self._store, request)
        return answer({"files": [file_shape(each) for each in self._store.blobs.files(run.id)]})

    @tells(
        bytes,
        query={
            "name": needed("the file's name"),
            "download": flag("to be saved, not to be seen"),
            "rendered": flag("a Markdown file as a page to be read: without scripts, and closed to the network"),
        },
        media="application/octet-stream",
    )
    def content(self, request: Request) -> Response:
        """What is in a file: to be seen where that is safe, else to be saved."""
        file = self._store.blobs.file(run_of(self._store, request).id, asked.text(request, "name"))
        return content_of(self._store.blobs.path(file.blob.sha256), file.name, request)


def content_of(path: Path, name: str, request: Request) -> Response:
    """The file at ``path`` as the request wants it."""
    if asked.flag(request, "rendered"):
        return rendered(path, name)
    return content_response(path, name, asked.flag(request, "download"))
