"""The pages: files of this package, and one shell for every address that shows something."""

from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from fulgurite.base.errors import MissingExtra
from fulgurite.track.charting import PLOTLY, plotly_script

FOLDER = Path(__file__).with_name("pages")
KINDS = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}
# The browser asks each time whether a file is still the same, which costs it no more than a line.
ASK_AGAIN = {"Cache-Control": "no-cache"}


def routes() -> list[BaseRoute]:
    """The last routes of a server: they take every address of up to five parts that nobody else took."""
    return [
        Route("/static/{name:path}", static, methods=["GET"]),
        Route("/favicon.ico", static_favicon, methods=["GET"]),
        Route("/", page, methods=["GET"]),
        Route("/{entity}/{project}", page, methods=["GET"]),
        Route("/{entity}/{project}/{kind:str}", page, methods=["GET"]),
        Route("/{entity}/{project}/{kind:str}/{rest:path}", page, methods=["GET"]),
    ]


def page(request: Request) -> Response:
    if "text/html" not in request.headers.get("accept", ""):
        raise HTTPException(404, f"There is nothing at {request.url.path} for a program. The API is at /api.")
    return shell()


def shell(status: int = 200) -> Response:
    """The page whose scripts show what its address says. It holds nothing of anybody's runs."""
    return Response(_text("index.html"), status, ASK_AGAIN, "text/html; charset=utf-8")


def static(request: Request) -> Response:
    """A file of the pages, by its path in their folder."""
    name = request.path_params["name"]
    if name == PLOTLY:
        return FileResponse(_plotly(), headers=ASK_AGAIN, media_type="text/javascript")
    if name not in _names():
        raise HTTPException(404, f"There is no file {name!r}.")
    return FileResponse(FOLDER / name, headers=ASK_AGAIN, media_type=KINDS[name.rpartition(".")[2]])


def static_favicon(request: Request) -> Response:
    return FileResponse(FOLDER / "icon.svg", headers=ASK_AGAIN, media_type=KINDS["svg"])


@cache
def _names() -> frozenset[str]:
    return frozenset(file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.suffix[1:] in KINDS)


@cache
def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _plotly() -> Path:
    try:
        return plotly_script()
    except MissingExtra as error:
        raise HTTPException(404, str(error)) from error
