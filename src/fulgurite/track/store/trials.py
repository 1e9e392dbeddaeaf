"""The trials of sweeps: which run got which parameters, and how far handing it out has come."""

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fulgurite.track.store.database import Database
from fulgurite.track.store.runs import Run, new_name
from fulgurite.track.store.sweeps import Agent, Sweep


@dataclass(slots=True, frozen=True)
class Trial:
    """One combination of parameters and the run that shall try it.

    ``number`` counts those that the sweep chose itself, from 0 on; others come from a controller (``key`` is its id
    of the trial) or by hand. ``given`` is how often it was handed to an agent, ``reported`` whether an agent has said
    that the run is under way, ``given_up`` that the run will not begin any more.
    """

    id: int
    sweep_id: int
    number: int | None
    key: str | None
    run_name: str
    parameters: dict[str, Any]
    agent_id: int | None
    given: int
    reported: bool
    given_up: bool
    stop_asked: bool
    created_at: float


class Trials:
    """All trials of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        sweep: Sweep,
        parameters: Mapping[str, Any],
        number: int | None = None,
        agent: Agent | None = None,
        key: str | None = None,
        run_name: str | None = None,
    ) -> Trial | None:
        """Keep a combination for a run; with an agent it counts as handed out. None if the number is taken."""
        run_name = run_name or new_name()
        with self._database.writing():
            cursor = self._database.write(
                "INSERT INTO sweep_trial (sweep_id, number, trial_key, run_name, parameters, agent_id, given, "
                "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    sweep.id,
                    number,
                    key,
                    run_name,
                    json.dumps(parameters),
                    agent.id if agent else None,
                    1 if agent else 0,
                    time.time(),
                ),
            )
            return self.find(sweep, run_name) if cursor.rowcount else None

    def give_up(self, trials: Collection[Trial]) -> None:
        """Note that the trials' runs, if they have not begun, never will."""
        with self._database.writing():
            self._database.write_many("UPDATE sweep_trial SET given_up = 1 WHERE id = ?", [(t.id,) for t in trials])

    def adopt(self, trial: Trial) -> None:
        """Count a trial as done by a run that was there before."""
        with self._database.writing():
            self._database.write("UPDATE sweep_trial SET given = 1, reported = 1 WHERE id = ?", (trial.id,))

    def give(self, trial: Trial, agent: Agent) -> Trial:
        """Note that the trial is handed to the agent, and not under way yet."""
        with self._database.writing():
            self._database.write(
                "UPDATE sweep_trial SET agent_id = ?, given = given + 1, reported = 0, given_up = 0 WHERE id = ?",
                (agent.id, trial.id),
            )
            row = self._database.first("SELECT * FROM sweep_trial WHERE id = ?", (trial.id,))
            assert row is not None, "trials are not deleted"
            return _trial(row)

    def ask_stop(self, sweep: Sweep, run_names: Collection[str]) -> None:
        """Note that the runs of those names shall stop; their agent is told when it next speaks."""
        with self._database.writing():
            self._database.write_many(
                "UPDATE sweep_trial SET stop_asked = 1 WHERE sweep_id = ? AND run_name = ?",
                [(sweep.id, name) for name in run_names],
            )

    def is_stopped(self, run: Run) -> bool:
        """Whether the run belongs to a trial that was asked to stop."""
        row = self._database.first(
            "SELECT 1 FROM sweep_trial WHERE run_name = ? AND stop_asked = 1 AND sweep_id IN "
            "(SELECT id FROM sweep WHERE project_id = ?)",
            (run.name, run.project.id),
        )
        return row is not None

    def find(self, sweep: Sweep, run_name: str) -> Trial | None:
        row = self._database.first(
            "SELECT * FROM sweep_trial WHERE sweep_id = ? AND run_name = ?", (sweep.id, run_name)
        )
        return None if row is None else _trial(row)

    def all(self, sweep: Sweep, agent: Agent | None = None) -> list[Trial]:
        """The sweep's trials in the order in which they were chosen; those of one agent only, if one is given."""
        where, values = ("AND agent_id = ?", (sweep.id, agent.id)) if agent else ("", (sweep.id,))
        rows = self._database.query(f"SELECT * FROM sweep_trial WHERE sweep_id = ? {where} ORDER BY id", values)
        return [_trial(row) for row in rows]

    def unstarted(self, sweep: Sweep) -> list[Trial]:
        """The trials whose run has never spoken but may still do so, the oldest first."""
        rows = self._database.query(
            "SELECT * FROM sweep_trial WHERE sweep_id = ? AND given_up = 0 AND stop_asked = 0 AND run_name NOT IN "
            "(SELECT name FROM run WHERE project_id = ? AND state <> 'pending') ORDER BY id",
            (sweep.id, sweep.project.id),
        )
        return [_trial(row) for row in rows]

    def preempted(self, sweep: Sweep) -> list[Trial]:
        """The trials whose run has ended because its machine was taken away, the oldest first."""
        rows = self._database.query(
            "SELECT * FROM sweep_trial WHERE sweep_id = ? AND stop_asked = 0 AND run_name IN "
            "(SELECT name FROM run WHERE project_id = ? AND state = 'preempted' AND deleted_at IS NULL) ORDER BY id",
            (sweep.id, sweep.project.id),
        )
        return [_trial(row) for row in rows]

    def counts(self, sweep: Sweep) -> tuple[int, int]:
        """How many trials there are, and how many of them the sweep chose itself."""
        row = self._database.first(
            "SELECT COUNT(*) AS n, COUNT(number) AS chosen FROM sweep_trial WHERE sweep_id = ?", (sweep.id,)
        )
        assert row is not None, "a count has a row"
        return int(row["n"]), int(row["chosen"])

    def report(self, agent: Agent, running: Collection[str]) -> None:
        """Note that the runs of those names are under way with the agent.

        A run that it had under way before, and that has never spoken itself, is over: its program ended too early.
        """
        with self._database.writing():
            self._database.write_many(
                "UPDATE sweep_trial SET reported = 1 WHERE agent_id = ? AND run_name = ? AND reported = 0",
                [(agent.id, name) for name in running],
            )
            rows = self._database.query(
                "SELECT * FROM sweep_trial WHERE agent_id = ? AND reported = 1 AND given_up = 0", (agent.id,)
            )
            self.give_up([trial for trial in map(_trial, rows) if trial.run_name not in running])


def _trial(row: Any) -> Trial:
    fields = dict(row)
    fields["key"] = fields.pop("trial_key")
    fields["parameters"] = json.loads(fields["parameters"])
    for name in ("reported", "given_up", "stop_asked"):
        fields[name] = bool(fields[name])
    return Trial(**fields)
