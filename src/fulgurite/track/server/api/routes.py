"""All of the API, and how it says that something went wrong: ``{"error": …}`` with the right status."""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fulgurite.track.server.api.asked import BadRequest
from fulgurite.track.server.api.diff import DiffRoutes
from fulgurite.track.server.api.files import FileRoutes
from fulgurite.track.server.api.histograms import HistogramRoutes
from fulgurite.track.server.api.keys import KeyRoutes
from fulgurite.track.server.api.media import MediaRoutes
from fulgurite.track.server.api.runs import RunRoutes
from fulgurite.track.server.api.searching import SearchRoutes
from fulgurite.track.server.api.series import SeriesRoutes
from fulgurite.track.server.api.session import SessionRoutes
from fulgurite.track.server.api.shapes import answer
from fulgurite.track.server.api.table import TableRoutes
from fulgurite.track.server.api.tables import TableFileRoutes
from fulgurite.track.server.sessions import Sessions
from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.store import Store
from fulgurite.track.wire.bodies import TooLarge

STATUS: Mapping[type[Exception], int] = {BadRequest: 400, NotFound: 404, TooLarge: 413, StoreError: 400}


def api(store: Store, sessions: Sessions) -> Starlette:
    """The API over ``store`` as an application to be mounted."""
    routes = [
        *RunRoutes(store).routes(),
        *TableRoutes(store).routes(),
        *SeriesRoutes(store).routes(),
        *KeyRoutes(store).routes(),
        *FileRoutes(store).routes(),
        *DiffRoutes(store).routes(),
        *HistogramRoutes(store).routes(),
        *MediaRoutes(store).routes(),
        *SearchRoutes(store).routes(),
        *TableFileRoutes(store).routes(),
        *SessionRoutes(store.users, sessions).routes(),
        Route("/{rest:path}", nothing),
    ]
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
