"""What several runs logged, told together: of each key in how many of them it is, and how much."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api.described import many, tells
from fulgurite.track.server.api.parameters import LINES
from fulgurite.track.server.api.runs import project_of
from fulgurite.track.server.api.series import runs_asked, stream_asked
from fulgurite.track.server.api.shapes import KeyShape, key_shape, unless_known
from fulgurite.track.store.history import keys_together
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store


class SharedKeyShape(KeyShape):
    """A key of several runs: ``runs`` of them logged it, ``count`` values in all, between these steps."""

    runs: int


class RunVersionShape(TypedDict):
    """A run and what it was like when it was asked."""

    run: str
    version: int
    state: str


class SharedKeysShape(TypedDict):
    """``runs`` tells of each run that was asked for whether something has changed since."""

    keys: list[SharedKeyShape]
    runs: list[RunVersionShape]


class KeyRoutes:
    """The address of what several runs of a project logged."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        return [Route("/projects/{entity}/{project}/keys", self.keys, methods=["GET"])]

    @tells(
        SharedKeysShape,
        query={"run": many("the runs' names"), "key": many("only these keys"), "stream": LINES["stream"]},
    )
    def keys(self, request: Request) -> Response:
        """The keys of several runs; with an ETag, so that they are not sent again when nothing has changed."""
        stream, paths = stream_asked(request), request.query_params.getlist("key")
        with self._store.database.reading():
            runs = runs_asked(self._store, project_of(self._store, request), request)
            tag = hashlib.sha256(repr([(run.id, run.version, run.state) for run in runs]).encode()).hexdigest()[:16]
            return unless_known(request, tag, lambda: self._shared(runs, stream, paths))

    def _shared(self, runs: Sequence[Run], stream: int, paths: Sequence[str]) -> SharedKeysShape:
        known = keys_together(self._store.history, [run.id for run in runs], stream, paths)
        return {
            "keys": [shared_key_shape(path, about) for path, about in known.items()],
            "runs": [{"run": run.name, "version": run.version, "state": run.state} for run in runs],
        }


def shared_key_shape(path: str, about: Mapping[str, Any]) -> SharedKeyShape:
    return {**key_shape(path, about), "runs": about["runs"]}
