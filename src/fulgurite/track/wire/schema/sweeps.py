"""Sweeps as the client sees them."""

import json
from collections.abc import Callable
from typing import Any

from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import FAILED, RUNNING
from fulgurite.track.store.sweeps import Agent as StoredAgent
from fulgurite.track.store.sweeps import Sweep as StoredSweep
from fulgurite.track.sweeps import config, standing
from fulgurite.track.sweeps.schedule import Schedule
from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.ids import inner, outer
from fulgurite.track.wire.schema.context import PAGE, Context, connection, iso


class Sweep(Node):
    """A sweep: its configuration, its runs, and its agents."""

    earlyStopJobRunning = False
    priorRunsFilters = None

    def __init__(self, context: Context, stored: StoredSweep) -> None:
        self._context, self._stored = context, stored
        self._read = config.read(stored.config)
        self.id = outer("Sweep", stored.id)
        self.name, self.config, self.controller = stored.name, stored.config, stored.controller
        self.displayName = stored.display_name or self._read.name
        self.description = stored.description or self._read.description
        self.method = config.plain(stored.config)["method"]
        self.createdAt, self.updatedAt = iso(stored.created_at), iso(stored.updated_at)
        self.controllerRunName = stored.name

    def state(self) -> str:
        return Schedule(self._context.store).state(self._stored, self._read)

    def heartbeatAt(self) -> str | None:
        return iso(max((each.seen_at for each in self._agents()), default=self._stored.created_at))

    def bestLoss(self) -> float | None:
        """The best that any run reached of the metric."""
        metric, store = self._read.metric, self._context.store
        if metric is None:
            return None
        values = [standing.reached(store, run, metric) for run in store.sweeps.runs(self._stored)]
        known = [value for value in values if value is not None]
        return metric.best(known) if known else None

    def runCount(self) -> int:
        return sum(self._context.store.sweeps.run_counts(self._stored).values())

    def runCountExpected(self) -> int | None:
        return self._read.expected()

    def scheduler(self) -> str:
        """Which runs were made of a controller's suggestions."""
        trials = self._context.store.trials.all(self._stored)
        return json.dumps({"scheduled": [{"id": each.key, "runid": each.run_name} for each in trials if each.key]})

    def project(self) -> Any:
        return self._context.show("Project", self._stored.project)

    def runs(self, first: int | None = None, after: str | None = None, order: str = "+created_at") -> Any:
        return self._connection(self._context.store.sweeps.runs(self._stored), first, after, order)

    def agents(self, first: int | None = None, after: str | None = None) -> Any:
        return connection(self._agents(), lambda each: Agent(self._context, each, self._stored), first, after)

    def agent(self, agentName: str) -> "Agent | None":
        """An agent by its name or its id."""
        for each in self._agents():
            if agentName in (each.name, outer("Agent", each.id)):
                return Agent(self._context, each, self._stored)
        return None

    def _agents(self) -> list[StoredAgent]:
        return self._context.store.sweeps.agents(self._stored)

    def _connection(self, runs: list[Any], first: int | None, after: str | None, order: str) -> Any:
        found = runs[::-1] if order.startswith("-") else runs
        return connection(found, lambda each: self._context.show("Run", each), first, after)


class Agent(Node):
    """A process that works on a sweep."""

    def __init__(self, context: Context, stored: StoredAgent, sweep: StoredSweep) -> None:
        self._context, self._stored, self._sweep = context, stored, sweep
        self.id, self.name, self.host = outer("Agent", stored.id), stored.name, stored.host
        self.createdAt, self.heartbeatAt = iso(stored.created_at), iso(stored.seen_at)

    def state(self) -> str:
        """An agent does not say good-bye: one that is silent has ended, or crashed in the middle of a run."""
        if not Schedule(self._context.store).silent(self._stored):
            return "RUNNING"
        return "CRASHED" if any(run.state in (RUNNING, "crashed") for run in self._runs()) else "FINISHED"

    def totalRuns(self) -> int:
        return len(self._runs())

    def runs(self, first: int | None = PAGE, after: str | None = None, order: str = "+created_at") -> Any:
        found = self._runs()[::-1] if order.startswith("-") else self._runs()
        return connection(found, lambda each: self._context.show("Run", each), first, after)

    def _runs(self) -> list[Any]:
        sweeps = self._context.store.sweeps
        own = {trial.run_name for trial in self._context.store.trials.all(self._sweep, self._stored)}
        return [run for run in sweeps.runs(self._sweep) if run.name in own]


class ProjectSweeps(Node):
    """What can be asked about a project's sweeps."""

    _context: Context
    _stored: Any

    def totalSweeps(self) -> int:
        return len(self._context.store.sweeps.all(self._stored))

    sweepCount = totalSweeps

    def sweeps(self, first: int | None = PAGE, after: str | None = None, filters: str = "{}") -> Any:
        found = self._context.store.sweeps.all(self._stored)
        return connection(found, lambda each: Sweep(self._context, each), first, after)

    def sweep(self, sweepName: str = "", id: str = "") -> Sweep | None:
        sweeps = self._context.store.sweeps
        try:
            found = sweeps.by_id(inner("Sweep", id)) if id else sweeps.find(self._stored, sweepName)
        except NotFound:
            return None
        return Sweep(self._context, found)


class RunSweeps(Node):
    """What can be asked about a run's sweep."""

    _context: Context
    _stored: Any

    def sweep(self) -> Sweep | None:
        if not self._stored.sweep:
            return None
        try:
            return Sweep(self._context, self._context.store.sweeps.find(self._stored.project, self._stored.sweep))
        except NotFound:
            return None

    def running(self) -> bool:
        return bool(self._stored.state == RUNNING)

    def failed(self) -> bool:
        return bool(self._stored.state == FAILED)

    def exitcode(self) -> int | None:
        code: int | None = self._stored.exit_code
        return code

    def shouldStop(self) -> bool:
        """Whether the run's agent is to stop it."""
        sweep = self.sweep()
        if sweep is None:
            return bool(self._stored.stop_asked)
        trial = self._context.store.trials.find(sweep._stored, self._stored.name)
        return trial is not None and trial.stop_asked


class SweepQueries(Node):
    """What can be asked about sweeps from the top."""


TYPES: dict[str, Callable[[Context, Any], Any]] = {"Sweep": Sweep}
