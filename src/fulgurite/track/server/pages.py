"""The pages: files of this package, and one shell for every address that shows something."""

from functools import cache, lru_cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from fulgurite.base.errors import MissingExtra
from fulgurite.track.charting import PLOTLY, plotly_script

FOLDER = Path(__file__).with_name("pages")
KINDS = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}
SMALL = 1 << 18  # bytes of a file that is kept in memory
# The browser asks each time whether a file is still the same, which costs it no more than a line.
ASK_AGAIN = {"Cache-Control": "no-cache"}
# Plotly's address names its version: the browser keeps it, and what it has compiled of it, which takes a second.
KEEP = {"Cache-Control": "max-age=31536000, immutable"}


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
    return Response(_text("index.html").replace("{plotly}", _version()), status, ASK_AGAIN, "text/html; charset=utf-8")


def docs(request: Request) -> Response:
    """The page that describes the API; it needs no key, and neither does what it reads."""
    return Response(_text("docs.html"), 200, ASK_AGAIN, "text/html; charset=utf-8")


async def static(request: Request) -> Response:
    """A file of the pages, by its path in their folder."""
    name = request.path_params["name"]
    if name == PLOTLY:
        return _file(request, _plotly(), KEEP if request.query_params.get("v") == _version() else ASK_AGAIN, "js")
    if name not in _names():
        raise HTTPException(404, f"There is no file {name!r}.")
    return _file(request, FOLDER / name, ASK_AGAIN, name.rpartition(".")[2])


def _file(request: Request, path: Path, headers: dict[str, str], kind: str) -> Response:
    """The file, or only word that it is still what the browser has.

    Small ones are kept in memory: a page is made of dozens, and a thread for each would cost more than the file.
    """
    about = path.stat()
    headers = {**headers, "ETag": f'"{about.st_mtime_ns:x}-{about.st_size:x}"'}
    if _knows(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if about.st_size > SMALL:
        return FileResponse(path, headers=headers, media_type=KINDS[kind], stat_result=about)
    return Response(_content(path, headers["ETag"]), headers=headers, media_type=KINDS[kind])


@lru_cache(256)
def _content(path: Path, tag: str) -> bytes:
    """What is in the file, read once for each state of it."""
    return path.read_bytes()


def _knows(request: Request, tag: str) -> bool:
    return tag in request.headers.get("if-none-match", "")


def static_favicon(request: Request) -> Response:
    return FileResponse(FOLDER / "icon.svg", headers=ASK_AGAIN, media_type=KINDS["svg"])


@cache
def _names() -> frozenset[str]:
    return frozenset(file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.suffix[1:] in KINDS)


@cache
def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _version() -> str:
    """What tells one installed Plotly from another."""
    try:
        about = _plotly().stat()
    except HTTPException:
        return ""
    return f"{about.st_size}-{int(about.st_mtime)}"


@cache
def _plotly() -> Path:
    try:
        return plotly_script()
    except MissingExtra as error:
        raise HTTPException(404, str(error)) from error
