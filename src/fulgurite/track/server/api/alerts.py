"""Alerts: what the runs of a project wanted somebody to see."""

from typing import TypedDict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.artifact_shapes import RunLinkShape, link_of
from fulgurite.track.server.api.described import tells, whole
from fulgurite.track.server.api.runs import project_of
from fulgurite.track.server.api.shapes import answer
from fulgurite.track.store.alerts import Alert
from fulgurite.track.store.store import Store

PAGE, MOST = 100, 1000
LEVELS = ("INFO", "WARN", "ERROR")
LATEST = 2**62  # no alert's number is above it


class AlertShape(TypedDict):
    """A message of a run; ``level`` is INFO, WARN or ERROR, and ``id`` rises with each alert of the store."""

    id: int
    run: RunLinkShape | None
    title: str
    text: str
    level: str
    raised_at: float


class AlertRoutes:
    """Addresses over the alerts of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        return [Route("/projects/{entity}/{project}/alerts", self.alerts, methods=["GET"])]

    @tells(
        {"alerts": list[AlertShape], "more": bool, "last": int, "fresh": int},
        query={
            "level": "only those of this level: INFO, WARN or ERROR",
            "first": whole("how many", PAGE),
            "before": whole("only those with an id below this one"),
            "after": whole("an id: `fresh` counts the alerts after it", 0),
        },
    )
    def alerts(self, request: Request) -> Response:
        """What the runs of the project wanted to be seen, the newest first.

        `last` is the highest id of all of the project's alerts, whatever their level; 0 where there is none.
        """
        level = request.query_params.get("level")
        if level is not None and level not in LEVELS:
            raise asked.BadRequest(f"level={level!r} is none of {', '.join(LEVELS)}.")
        first, before = asked.integer(request, "first", PAGE, 0, MOST), asked.integer(request, "before", LATEST)
        after = asked.integer(request, "after", 0)
        with self._store.database.reading():
            project = project_of(self._store, request)
            found = self._store.alerts.of(project, level, first + 1, before)
            fresh, last = self._store.alerts.count(project, after)
            shapes = [self._shape(each) for each in found[:first]]
        return answer({"alerts": shapes, "more": len(found) > first, "last": last, "fresh": fresh})

    def _shape(self, alert: Alert) -> AlertShape:
        return {
            "id": alert.id,
            "run": link_of(self._store, alert.run_id),
            "title": alert.title,
            "text": alert.text,
            "level": alert.level,
            "raised_at": alert.raised_at,
        }
