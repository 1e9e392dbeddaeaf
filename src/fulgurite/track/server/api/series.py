"""What runs logged: their keys, charts of them, single values, and console lines."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.asked import BadRequest
from fulgurite.track.server.api.axes import View, line
from fulgurite.track.server.api.described import many, needed, tells, whole
from fulgurite.track.server.api.groups import together
from fulgurite.track.server.api.parameters import LINES
from fulgurite.track.server.api.runs import project_of, run_of
from fulgurite.track.server.api.shapes import (
    ChartShape,
    GroupChartShape,
    KeyShape,
    LineShape,
    ValueShape,
    answer,
    key_shape,
    line_shape,
    numbers,
)
from fulgurite.track.store.history import FIRST_STEP, HISTORY, LAST_STEP, STEP, SYSTEM
from fulgurite.track.store.paths import shown
from fulgurite.track.store.runs import Project, Run
from fulgurite.track.store.store import Store

MOST_BUCKETS = 10_000
MOST_CHARTS = 1000  # runs times keys in one request
STREAMS = {"history": HISTORY, "system": SYSTEM}


class SeriesRoutes:
    """Addresses over the series of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        project = "/projects/{entity}/{project}"
        run = project + "/runs/{run}"
        return [
            Route(project + "/charts", self.charts_of_runs, methods=["GET"]),
            Route(run + "/charts", self.charts_of_run, methods=["GET"]),
            Route(run + "/keys", self.keys, methods=["GET"]),
            Route(run + "/values", self.values, methods=["GET"]),
            Route(run + "/console", self.console, methods=["GET"]),
        ]

    @tells({"keys": list[KeyShape], "version": int}, query={"stream": LINES["stream"]})
    def keys(self, request: Request) -> Response:
        """What a run has logged, by key."""
        run, stream = run_of(self._store, request), stream_asked(request)
        known = self._store.history.keys(run.id, stream)
        return answer({"keys": [key_shape(path, about) for path, about in known.items()], "version": run.version})

    @tells({"charts": list[ChartShape | GroupChartShape], "x": str}, query=LINES)
    def charts_of_run(self, request: Request) -> Response:
        """Lines of a run, one a key."""
        return self._charts(request, [run_of(self._store, request)])

    @tells({"charts": list[ChartShape | GroupChartShape], "x": str}, query={"run": many("the runs' names"), **LINES})
    def charts_of_runs(self, request: Request) -> Response:
        """Lines of several runs for each key, as they are laid over each other."""
        return self._charts(request, runs_asked(self._store, project_of(self._store, request), request))

    def _charts(self, request: Request, runs: list[Run]) -> Response:
        keys = request.query_params.getlist("key")
        if not keys:
            raise BadRequest("The parameter 'key' is missing: what was logged, once for each chart.")
        if len(keys) * len(runs) > MOST_CHARTS:
            raise BadRequest(f"{len(runs)} runs with {len(keys)} keys are more than {MOST_CHARTS} lines at once.")
        view = View(
            axis=request.query_params.get("x", STEP),
            buckets=asked.integer(request, "buckets", 1000, 1, MOST_BUCKETS),
            low=asked.number(request, "low"),
            high=asked.number(request, "high"),
            stream=stream_asked(request),
        )
        views = _views(request, view, len(runs))
        groups = _one_each(request, "group", len(runs))
        if groups and views[0] is not view:
            raise BadRequest("'after' asks for more of single lines: it does not go with 'group'.")
        with self._store.database.reading():
            if groups:
                members = [(name, [run for run, of in zip(runs, groups, strict=True) if of == name]) for name in groups]
                charts = [self._group(*each, key, view) for key in keys for each in dict(members).items()]
                return answer({"charts": charts, "x": view.axis})
            lines = [self._chart(run, key, each) for key in keys for run, each in zip(runs, views, strict=True)]
        return answer({"charts": lines, "x": view.axis})

    def _chart(self, run: Run, key: str, view: View) -> ChartShape:
        found = line(self._store.history, run.id, key, view)
        # Each point is a value of its own where nothing was gathered.
        single = found["low"] is found["last"]
        return {
            "run": run.name,
            "key": key,
            "x": numbers(found["x"]),
            "last": numbers(found["last"]),
            "low": None if single else numbers(found["low"]),
            "high": None if single else numbers(found["high"]),
            "count": len(found["x"]),
        }

    def _group(self, name: str, runs: list[Run], key: str, view: View) -> GroupChartShape:
        lines = [line(self._store.history, run.id, key, view) for run in runs]
        found = together(lines, view.buckets)
        return {
            "group": name,
            "runs": sum(len(each["x"]) > 0 for each in lines),
            "key": key,
            "x": numbers(found["x"]),
            "last": numbers(found["last"]),
            "low": numbers(found["low"]),
            "high": numbers(found["high"]),
            "deviation": numbers(found["deviation"]),
            "count": len(found["x"]),
        }

    @tells(
        {"key": str, "name": str, "values": list[ValueShape], "count": int},
        query={
            "key": needed("which series"),
            "low": whole("the first step"),
            "high": whole("the last step"),
            "most": whole("how many of the last values", 100),
            "stream": LINES["stream"],
        },
    )
    def values(self, request: Request) -> Response:
        """The last values of a key as they were logged: texts, media and what else is no line."""
        run, key = run_of(self._store, request), asked.text(request, "key")
        low = asked.integer(request, "low", FIRST_STEP, FIRST_STEP)
        high = asked.integer(request, "high", LAST_STEP, FIRST_STEP, LAST_STEP)
        most = asked.integer(request, "most", 100, 1, 10_000)
        column = self._store.history.read(run.id, key, low, high, stream_asked(request))
        steps, values = column.steps.tolist()[-most:], column.values()[-most:]
        listed: list[Any] = [{"step": step, "value": value} for step, value in zip(steps, values, strict=True)]
        return answer({"key": key, "name": shown(key), "values": listed, "count": len(column)})

    @tells(
        {"lines": list[LineShape], "count": int},
        query={
            "first": whole("the number of the first line", 0),
            "last": whole("so many of the last lines instead", 0),
            "most": whole("how many lines", 1000),
        },
    )
    def console(self, request: Request) -> Response:
        """What a run has printed: lines from a number on, or the last ones."""
        run, console = run_of(self._store, request), self._store.console
        most = asked.integer(request, "most", 1000, 1, 10_000)
        count = console.count(run.id)
        last = asked.integer(request, "last", 0, 0, 10_000)
        first = max(count - last, 0) if last else asked.integer(request, "first", 0)
        lines = console.read(run.id, first, last or most)
        return answer({"lines": [line_shape(each) for each in lines], "count": count})


def runs_asked(store: Store, project: Project, request: Request) -> list[Run]:
    """The runs that the parameter ``run`` names, in its order. Raises ``NotFound``."""
    names = request.query_params.getlist("run")
    if not names:
        raise BadRequest("The parameter 'run' is missing: a run's name, once for each run.")
    if len(names) > MOST_CHARTS:
        raise BadRequest(f"{len(names)} runs are more than {MOST_CHARTS} at once.")
    return [store.runs.find(project, name) for name in names]


def stream_asked(request: Request) -> int:
    name = request.query_params.get("stream", "history")
    if name not in STREAMS:
        raise BadRequest(f"stream={name!r} is not known. There is: {', '.join(STREAMS)}.")
    return STREAMS[name]


def _views(request: Request, view: View, runs: int) -> list[View]:
    """What is to be seen of each run: the same of all, or what each logged behind a step of its own."""
    after = _one_each(request, "after", runs)
    if not after:
        return [view] * runs
    if view.axis != STEP or view.low is not None:
        raise BadRequest("'after' names steps: it goes with x=_step and without 'low'.")
    try:
        return [replace(view, low=int(step) + 1) for step in after]
    except ValueError:
        raise BadRequest(f"after={after!r} are no whole numbers.") from None


def _one_each(request: Request, key: str, runs: int) -> list[str]:
    """The values of a parameter that is given once for each run, or not at all."""
    values = request.query_params.getlist(key)
    if values and len(values) != runs:
        raise BadRequest(f"The parameter {key!r} is given {len(values)} times for {runs} runs: give it once for each.")
    return values
