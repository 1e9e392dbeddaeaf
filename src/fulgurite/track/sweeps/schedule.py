"""What an agent shall do next: begin a run, stop one, wait, or go home."""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass

from fulgurite.track.store.runs import KILLED, PREEMPTING, RUNNING
from fulgurite.track.store.runs import PENDING as WAITS
from fulgurite.track.store.store import Store
from fulgurite.track.store.sweeps import Agent, Sweep
from fulgurite.track.store.trials import Trial
from fulgurite.track.sweeps.config import GRID, SweepConfig, read
from fulgurite.track.sweeps.search import choose
from fulgurite.track.sweeps.standing import reached, record, tried

PENDING, GOING, PAUSED, CANCELED, FINISHED = "PENDING", "RUNNING", "PAUSED", "CANCELED", "FINISHED"
STATES = (PENDING, GOING, PAUSED, CANCELED, FINISHED)
GONE = 60.0  # seconds of silence after which an agent counts as gone; it speaks every five
TRIES = 3  # how often a trial is handed out whose run never speaks
LIVING = (RUNNING, PREEMPTING)
AT_ONCE = 100  # agents that may ask at the same moment

log = logging.getLogger("fulgurite.track")


@dataclass(frozen=True)
class Begin:
    """Begin the trial's run, or go on with it where its machine was taken away (``again``)."""

    trial: Trial
    again: bool = False


@dataclass(frozen=True)
class Stop:
    """Stop the run of that name."""

    run_name: str


@dataclass(frozen=True)
class Leave:
    """There is no more to do."""


Command = Begin | Stop | Leave


class Schedule:
    """The sweeps of a store, as their agents see them."""

    def __init__(self, store: Store) -> None:
        self._store, self._sweeps, self._trials = store, store.sweeps, store.trials

    def next(self, agent: Agent, running: Collection[str]) -> list[Command]:
        """What the agent shall do, while the runs of those names are under way with it. None: wait and ask again.

        An agent is given a run when it has none.
        """
        self._sweeps.heard(agent)
        self._trials.report(agent, running)
        sweep = self._sweeps.by_id(agent.sweep_id)
        self._mark_stopped(sweep, agent, running)
        if running:
            return [Stop(name) for name in self._to_stop(sweep, running)]
        config = read(sweep.config)
        state = self.state(sweep, config)
        if state in (CANCELED, FINISHED) or self._hit_target(sweep, config):
            return [Leave()]
        if state == PAUSED:
            return []
        resumed = self._preempted(agent, sweep)
        if resumed is not None:
            return [Begin(resumed, again=True)]
        trial = self._trial_for(agent, sweep, config)
        if trial is not None:
            if sweep.state == PENDING:
                self._sweeps.update(sweep, state=GOING)
            return [Begin(trial)]
        return [] if self._more_may_come(sweep, config) else [Leave()]

    def state(self, sweep: Sweep, config: SweepConfig) -> str:
        """The state now: a sweep whose runs are all given and ended is finished, whatever was said last."""
        if sweep.state != GOING or not self.full(sweep, config):
            return sweep.state
        return sweep.state if self._waits(sweep) or self._running(sweep) else FINISHED

    def _running(self, sweep: Sweep) -> bool:
        counts = self._sweeps.run_counts(sweep)
        if not any(counts.get(state) for state in LIVING):
            return False
        return any(run.state in LIVING for run in self._sweeps.runs(sweep))

    def full(self, sweep: Sweep, config: SweepConfig) -> bool:
        """Whether the sweep has all the runs that it will ever have."""
        count, chosen = self._trials.counts(sweep)
        if config.run_cap is not None and count >= config.run_cap:
            return True
        return config.method == GRID and chosen >= (config.expected() or 0)

    def _trial_for(self, agent: Agent, sweep: Sweep, config: SweepConfig) -> Trial | None:
        """A trial that waits, or a new one."""
        waiting = self._waiting(agent, sweep)
        if waiting is not None or not config.chooses:
            return waiting
        for _ in range(AT_ONCE):
            if self.full(sweep, config):
                return None
            _, number = self._trials.counts(sweep)
            trial = self._new_trial(agent, sweep, config, number)
            if trial is not None:
                return trial
        return None

    def _preempted(self, agent: Agent, sweep: Sweep) -> Trial | None:
        """A trial whose run said that its machine is taken away, and then ended; it is this agent's now."""
        with self._store.database.writing():
            for trial in self._trials.preempted(sweep):
                run = self._store.runs.find(sweep.project, trial.run_name)
                self._store.runs.update(run, state=WAITS)
                return self._trials.give(trial, agent)
        return None

    def _waiting(self, agent: Agent, sweep: Sweep) -> Trial | None:
        """A trial that was never handed out, or whose agent never got it or is gone; it is this agent's now."""
        with self._store.database.writing():
            for trial in self._trials.unstarted(sweep):
                if not self._lost(trial, agent):
                    continue
                if trial.given < TRIES:
                    return self._trials.give(trial, agent)
                self._trials.give_up([trial])
        return None

    def _lost(self, trial: Trial, asking: Agent) -> bool:
        if trial.agent_id is None:
            return True
        if trial.agent_id == asking.id:
            return not trial.reported  # the answer that named it did not arrive
        return self.silent(self._sweeps.agent(trial.agent_id))

    def silent(self, agent: Agent) -> bool:
        """Whether the agent counts as gone."""
        return time.time() - agent.seen_at > GONE

    def _new_trial(self, agent: Agent, sweep: Sweep, config: SweepConfig, number: int) -> Trial | None:
        """The trial of that number; None if another agent was given it, or a run from elsewhere has done it."""
        metric = config.metric
        results = tried(self._store, sweep, metric) if config.method == "bayes" else []
        parameters = choose(config, sweep.seed, number, results)
        if config.method == GRID:
            for run in self._sweeps.runs(sweep):
                if _same(run.config, parameters) and self._trials.find(sweep, run.name) is None:
                    done = self._trials.add(sweep, parameters, number, run_name=run.name)
                    if done is not None:
                        self._trials.adopt(done)
                    return None
        return self._trials.add(sweep, parameters, number, agent)

    def _more_may_come(self, sweep: Sweep, config: SweepConfig) -> bool:
        """Whether there may be something to do later: another agent's trial that never begins, or a controller's."""
        if not config.chooses and not self.full(sweep, config):
            return True
        return self._waits(sweep)

    def _waits(self, sweep: Sweep) -> bool:
        return bool(self._trials.unstarted(sweep) or self._trials.preempted(sweep))

    def _to_stop(self, sweep: Sweep, running: Collection[str]) -> list[str]:
        if sweep.state == CANCELED:
            self._trials.ask_stop(sweep, running)
            return list(running)
        config = read(sweep.config)
        if config.hyperband is not None and config.metric is not None:
            runs = self._sweeps.runs(sweep)
            records = {run.name: record(self._store, run, config.metric) for run in runs}
            doomed = config.hyperband.doomed(records, list(running))
            self._trials.ask_stop(sweep, doomed)
        asked = {trial.run_name for trial in self._trials.all(sweep) if trial.stop_asked}
        return [name for name in running if name in asked]

    def _mark_stopped(self, sweep: Sweep, agent: Agent, running: Collection[str]) -> None:
        """A run that was stopped from here may have been killed before it could tell of its end."""
        for trial in self._trials.all(sweep, agent):
            if trial.stop_asked and trial.run_name not in running:
                for run in self._sweeps.runs(sweep):
                    if run.name == trial.run_name and run.recorded_state in LIVING:
                        self._store.runs.update(run, state=KILLED)

    def _hit_target(self, sweep: Sweep, config: SweepConfig) -> bool:
        """Whether a run has reached the metric's target; then the sweep ends."""
        metric = config.metric
        if metric is None or metric.target is None:
            return False
        for run in self._sweeps.runs(sweep):
            value = reached(self._store, run, metric)
            if value is not None and (value == metric.target or metric.better(value, metric.target)):
                self._sweeps.update(sweep, state=FINISHED)
                return True
        return False


def _same(config: object, parameters: object) -> bool:
    """Whether a run's configuration holds all of the parameters with these values."""
    if isinstance(parameters, dict):
        return isinstance(config, dict) and all(
            name in config and _same(config[name], value) for name, value in parameters.items()
        )
    return config == parameters
