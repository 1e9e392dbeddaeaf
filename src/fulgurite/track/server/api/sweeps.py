"""Sweeps: which there are, how their runs stand, and stopping, pausing and going on with them."""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any, TypedDict

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.described import tells
from fulgurite.track.server.api.runs import project_of
from fulgurite.track.server.api.shapes import answer
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store
from fulgurite.track.store.sweeps import Sweep
from fulgurite.track.sweeps.config import Metric, SweepConfig, read
from fulgurite.track.sweeps.errors import SweepError
from fulgurite.track.sweeps.schedule import CANCELED, FINISHED, GOING, PAUSED, Schedule
from fulgurite.track.sweeps.standing import reached

KEPT = 20_000  # runs whose best value is remembered
SETTABLE = (GOING, PAUSED, FINISHED, CANCELED)


class SweepShape(TypedDict):
    """A sweep. ``expected`` is how many runs it will have, null where nothing ends it.

    ``best`` is the metric's best value, ``counts`` are its runs by state. ``fault`` says why its configuration can't be
    read, else it is null.
    """

    name: str
    title: str
    description: str | None
    state: str
    method: str | None
    metric: str | None
    goal: str | None
    target: float | None
    runs: int
    expected: int | None
    counts: dict[str, int]
    best: float | None
    best_run: str | None
    created_at: float
    updated_at: float
    fault: str | None


class TrialShape(TypedDict):
    """A run of a sweep: its parameters by dotted names, and the best that it ever had of the metric."""

    run: str
    display_name: str
    state: str
    created_at: float
    duration: float
    parameters: dict[str, Any]
    value: float | None


class AgentShape(TypedDict):
    """A process that works on a sweep; ``gone`` if it has been silent for a minute."""

    name: str
    host: str
    created_at: float
    seen_at: float
    gone: bool


class WholeSweepShape(SweepShape):
    """A sweep on its own page; ``config`` is the YAML text, ``trials`` are in the order in which they began."""

    config: str
    parameters: list[str]
    warnings: list[str]
    trials: list[TrialShape]
    agents: list[AgentShape]


class SweepRoutes:
    """Addresses over the sweeps of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._best = Best(store)

    def routes(self) -> list[BaseRoute]:
        sweeps = "/projects/{entity}/{project}/sweeps"
        return [
            Route(sweeps, self.sweeps, methods=["GET"]),
            Route(sweeps + "/{sweep}", self.sweep, methods=["GET"]),
            Route(sweeps + "/{sweep}", self.edit, methods=["PATCH"]),
        ]

    @tells({"sweeps": list[SweepShape]})
    def sweeps(self, request: Request) -> Response:
        """The sweeps of a project, the newest first."""
        found = self._store.sweeps.all(project_of(self._store, request))
        return answer({"sweeps": [self._shape(each, self._store.sweeps.runs(each)) for each in found]})

    @tells(WholeSweepShape)
    def sweep(self, request: Request) -> Response:
        """One sweep with its runs."""
        return answer(self._whole(self._found(request)))

    @tells(WholeSweepShape, body={"state": str})
    async def edit(self, request: Request) -> Response:
        """Pause a sweep, go on with it, or end it.

        `state` is RUNNING, PAUSED (no new runs for now), FINISHED (no new runs any more) or CANCELED (its runs are
        stopped, too).
        """
        state = (await asked.fields(request, {"state": str})).get("state")
        if state not in SETTABLE:
            raise asked.BadRequest(f"The field 'state' is {state!r}; it must be one of {', '.join(SETTABLE)}.")
        return answer(await run_in_threadpool(self._edit, request, state))

    def _edit(self, request: Request, state: str) -> WholeSweepShape:
        return self._whole(self._store.sweeps.update(self._found(request), state=state))

    def _found(self, request: Request) -> Sweep:
        return self._store.sweeps.find(project_of(self._store, request), asked.name(request, "sweep"))

    def _shape(self, sweep: Sweep, runs: list[Run]) -> SweepShape:
        config, fault = _read(sweep.config)
        metric = config.metric if config else None
        best, best_run = self._best.of_all(runs, metric)
        counts: dict[str, int] = {}
        for run in runs:
            counts[run.state] = counts.get(run.state, 0) + 1
        return {
            "name": sweep.name,
            "title": sweep.display_name or (config.name if config else None) or sweep.name,
            "description": sweep.description or (config.description if config else None),
            "state": Schedule(self._store).state(sweep, config) if config else sweep.state,
            "method": config.method if config else None,
            "metric": metric.name if metric else None,
            "goal": metric.goal if metric else None,
            "target": metric.target if metric else None,
            "runs": len(runs),
            "expected": config.expected() if config else None,
            "counts": counts,
            "best": best,
            "best_run": best_run,
            "created_at": sweep.created_at,
            "updated_at": sweep.updated_at,
            "fault": fault,
        }

    def _whole(self, sweep: Sweep) -> WholeSweepShape:
        runs = self._store.sweeps.runs(sweep)
        config, _ = _read(sweep.config)
        schedule, given = Schedule(self._store), {each.run_name: each for each in self._store.trials.all(sweep)}
        trials = [
            self._trial(run, given[run.name].parameters if run.name in given else run.config, config) for run in runs
        ]
        return {
            **self._shape(sweep, runs),
            "config": sweep.config,
            "parameters": list(dict.fromkeys(name for each in trials for name in each["parameters"])),
            "warnings": config.warnings if config else [],
            "trials": trials,
            "agents": [
                {
                    "name": each.name,
                    "host": each.host,
                    "created_at": each.created_at,
                    "seen_at": each.seen_at,
                    "gone": schedule.silent(each),
                }
                for each in self._store.sweeps.agents(sweep)
            ],
        }

    def _trial(self, run: Run, parameters: Mapping[str, Any], config: SweepConfig | None) -> TrialShape:
        return {
            "run": run.name,
            "display_name": run.display_name or run.name,
            "state": run.state,
            "created_at": run.created_at,
            "duration": (run.ended_at or run.seen_at) - run.created_at,
            "parameters": flat(parameters),
            "value": self._best.of(run, config.metric) if config and config.metric else None,
        }


class Best:
    """The best that runs ever had of a metric. It is looked for again only when a run has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[tuple[int, int, str, str], float | None] = OrderedDict()
        self._lock = Lock()

    def of(self, run: Run, metric: Metric) -> float | None:
        key = (run.id, run.version, metric.name, metric.goal)
        with self._lock:
            if key in self._known:
                return self._known[key]
        value = reached(self._store, run, metric)
        with self._lock:
            self._known[key] = value
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return value

    def of_all(self, runs: list[Run], metric: Metric | None) -> tuple[float | None, str | None]:
        """The best of all runs, and the name of the run that has it."""
        if metric is None:
            return None, None
        values = [(value, run.name) for run in runs if (value := self.of(run, metric)) is not None]
        if not values:
            return None, None
        best = metric.best([value for value, _ in values])
        return next((value, name) for value, name in values if value == best)


def flat(parameters: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested parameters by dotted names, as the columns of runs are called."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value and "_type" not in value:
            found.update(flat(value, f"{above}{name}."))
        else:
            found[above + name] = value
    return found


def _read(text: str) -> tuple[SweepConfig | None, str | None]:
    """The configuration, or why it can't be read: another version may have known more."""
    try:
        return read(text), None
    except SweepError as error:
        return None, str(error)
