"""All of the API, and how it says that something went wrong: ``{"error": …}`` with the right status."""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server import pages
from fulgurite.track.server.api.alerts import AlertRoutes
from fulgurite.track.server.api.artifact_contents import ArtifactContentRoutes
from fulgurite.track.server.api.artifacts import ArtifactRoutes
from fulgurite.track.server.api.asked import BadRequest
from fulgurite.track.server.api.diff import DiffRoutes
from fulgurite.track.server.api.files import FileRoutes
from fulgurite.track.server.api.histograms import HistogramRoutes
from fulgurite.track.server.api.importance import ImportanceRoutes
from fulgurite.track.server.api.keys import KeyRoutes
from fulgurite.track.server.api.media import MediaRoutes
from fulgurite.track.server.api.openapi import OpenApiRoutes
from fulgurite.track.server.api.runs import RunRoutes
from fulgurite.track.server.api.searching import SearchRoutes
from fulgurite.track.server.api.series import SeriesRoutes
from fulgurite.track.server.api.session import SessionRoutes
from fulgurite.track.server.api.shapes import answer
from fulgurite.track.server.api.sheet import Sheets
from fulgurite.track.server.api.solids import SolidRoutes
from fulgurite.track.server.api.sweeps import SweepRoutes
from fulgurite.track.server.api.table import TableRoutes
from fulgurite.track.server.api.tables import TableFileRoutes
from fulgurite.track.server.sessions import Sessions
from fulgurite.track.server.solids.shapes import Busy
from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.store import Store
from fulgurite.track.wire.bodies import TooLarge

STATUS: Mapping[type[Exception], int] = {BadRequest: 400, NotFound: 404, TooLarge: 413, Busy: 503, StoreError: 400}


def api(store: Store, sessions: Sessions) -> Starlette:
    """The API over ``store`` as an application to be mounted."""
    sheets = Sheets(store.database)
    routes: list[BaseRoute] = [
        *RunRoutes(store).routes(),
        *TableRoutes(store, sheets).routes(),
        *ImportanceRoutes(store, sheets).routes(),
        *SeriesRoutes(store).routes(),
        *KeyRoutes(store).routes(),
        *FileRoutes(store).routes(),
        *DiffRoutes(store).routes(),
        *HistogramRoutes(store).routes(),
        *MediaRoutes(store).routes(),
        *SolidRoutes(store).routes(),
        *SearchRoutes(store).routes(),
        *TableFileRoutes(store).routes(),
        *ArtifactRoutes(store).routes(),
        *ArtifactContentRoutes(store).routes(),
        *SweepRoutes(store).routes(),
        *AlertRoutes(store).routes(),
        *SessionRoutes(store.users, sessions).routes(),
    ]
    routes += [*OpenApiRoutes(routes).routes(), Route("/docs", pages.docs, methods=["GET"])]
    routes.append(Route("/{rest:path}", nothing))
    handlers = {**dict.fromkeys(STATUS, mistake), HTTPException: refusal, Exception: failure}
    return Starlette(routes=routes, exception_handlers=handlers)


def nothing(request: Request) -> Response:
    raise HTTPException(404, f"There is nothing at {request.url.path}.")


def mistake(request: Request, error: Exception) -> Response:
    return answer({"error": str(error)}, next(code for kind, code in STATUS.items() if isinstance(error, kind)))


def refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer({"error": error.detail}, error.status_code)


def failure(request: Request, error: Exception) -> Response:
    return answer({"error": f"The server failed: {type(error).__name__}. Its log says more."}, 500)
