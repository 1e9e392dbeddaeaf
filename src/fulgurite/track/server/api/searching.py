"""Where in all that a run printed a text occurs."""

import math
import re
import time
from collections.abc import Callable, Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.asked import BadRequest
from fulgurite.track.server.api.described import flag, needed, tells, whole
from fulgurite.track.server.api.runs import run_of
from fulgurite.track.server.api.shapes import answer
from fulgurite.track.store.console import Console
from fulgurite.track.store.store import Store
from fulgurite.track.wire.patterns import BadPattern, Pattern

AT_ONCE = 10_000  # lines read in one go
MOST = 20_000  # numbers of lines in an answer
FARTHEST = 2000  # characters of a line in which a pattern is looked for
PATIENCE = 20.0  # seconds
LONGEST = 1000  # characters of what is looked for
# Colours, movements, titles and links: what a terminal obeys and nobody reads.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


class SearchRoutes:
    """Addresses over the whole of a console."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        run = "/projects/{entity}/{project}/runs/{run}"
        return [
            Route(run + "/console/search", self.search, methods=["GET"]),
            Route(run + "/console/text", self.text, methods=["GET"]),
        ]

    @tells(
        {"numbers": list[int], "count": int, "lines": int},
        query={
            "text": needed("what to look for"),
            "regex": flag("it is a regular expression"),
            "case": flag("small and capital letters differ"),
            "first": whole("the line to begin at", 0),
        },
    )
    def search(self, request: Request) -> Response:
        """The numbers of the lines from ``first`` on that hold ``text``, which is a pattern with ``regex``."""
        run, text = run_of(self._store, request), asked.text(request, "text")
        if not 0 < len(text) <= LONGEST:
            raise BadRequest(f"{len(text)} characters can't be looked for: give 1 to {LONGEST}.")
        first = asked.integer(request, "first", 0)
        try:
            holds = _test(text, asked.flag(request, "regex"), asked.flag(request, "case"))
            found = [number for number, line in lines(self._store.console, run.id, first) if holds(line)]
        except BadPattern as error:
            raise BadRequest(f"The pattern {text!r} {error}.") from error
        return answer({"numbers": found[:MOST], "count": len(found), "lines": self._store.console.count(run.id)})

    @tells(str, query={"raw": flag("with its colours, as it came")}, media="text/plain")
    def text(self, request: Request) -> Response:
        """All that was printed as one text to be saved: as it can be read, or with ``raw`` as it came."""
        run, raw = run_of(self._store, request), asked.flag(request, "raw")
        found = lines(self._store.console, run.id, 0, math.inf, raw)
        headers = {"Content-Disposition": 'attachment; filename="console.txt"', "Cache-Control": "no-cache"}
        return StreamingResponse((f"{line}\n".encode() for _, line in found), 200, headers, "text/plain")


def lines(
    console: Console, run: int, first: int, patience: float = PATIENCE, raw: bool = False
) -> Iterator[tuple[int, str]]:
    """The number and the readable text of each line, a stretch of them in memory at a time.

    Raises ``BadRequest`` when whoever reads them takes more than ``patience`` seconds.
    """
    until = time.monotonic() + patience
    while stretch := console.read(run, first, AT_ONCE):
        for line in stretch:
            if time.monotonic() > until:
                raise BadRequest(f"The search took more than {patience:.0f} seconds. Search for less.")
            yield line.number, line.line if raw else readable(line.line)
        first = stretch[-1].number + 1


def readable(line: str) -> str:
    """A line as a terminal would leave it, without its colours."""
    if "\x1b" in line:
        line = ESCAPES.sub("", line)
    if "\r" in line:
        line = next((part for part in reversed(line.split("\r")) if part), "")
    return line


def _test(text: str, regex: bool, case: bool) -> Callable[[str], bool]:
    if not regex:
        wanted = text if case else text.lower()
        return lambda line: wanted in (line if case else line.lower())
    pattern = Pattern(text, ignore_case=not case)
    return lambda line: pattern.is_in(line[:FARTHEST])
