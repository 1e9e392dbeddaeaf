"""Sweeps, and the agents that work on them."""

import time
from dataclasses import dataclass
from typing import Any

from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import Project, Run, Runs, new_name

FIELDS = ("config", "display_name", "description", "state", "controller", "seed")


@dataclass(slots=True, frozen=True)
class Sweep:
    """A sweep. ``name`` is its id in addresses; ``config`` the YAML text that it was made with."""

    id: int
    project: Project
    name: str
    config: str
    display_name: str | None
    description: str | None
    state: str
    controller: str
    seed: int
    created_at: float
    updated_at: float


@dataclass(slots=True, frozen=True)
class Agent:
    """A process that asks for runs of one sweep. ``seen_at`` is when it last did."""

    id: int
    sweep_id: int
    name: str
    host: str
    created_at: float
    seen_at: float


class Sweeps:
    """All sweeps of a store."""

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database, self._runs = database, runs

    def create(self, project: Project, config: str, seed: int, state: str, **known: Any) -> Sweep:
        """A new sweep with a name of its own; ``known`` as in `update`."""
        name, now = new_name(), time.time()
        with self._database.writing():
            self._database.write(
                "INSERT INTO sweep (project_id, name, config, state, seed, created_at, updated_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (project.id, name, config, state, seed, now, now),
            )
            sweep = self.find(project, name)
            return self.update(sweep, **known) if known else sweep

    def find(self, project: Project, name: str) -> Sweep:
        """The sweep ``name`` of a project. Raises ``NotFound``."""
        row = self._database.first("SELECT id FROM sweep WHERE project_id = ? AND name = ?", (project.id, name))
        if row is None:
            raise NotFound(f"There is no sweep {project.entity}/{project.name}/{name}.")
        return self.by_id(row["id"])

    def by_id(self, id: int) -> Sweep:
        """The sweep with that row id. Raises ``NotFound``."""
        row = self._database.first("SELECT * FROM sweep WHERE id = ?", (id,))
        if row is None:
            raise NotFound(f"There is no sweep with the number {id}.")
        fields = dict(row)
        project = self._database.first("SELECT * FROM project WHERE id = ?", (fields.pop("project_id"),))
        assert project is not None, "a sweep has a project"
        return Sweep(project=Project(**dict(project)), **fields)

    def all(self, project: Project) -> list[Sweep]:
        """The project's sweeps, the newest first."""
        rows = self._database.query(
            "SELECT id FROM sweep WHERE project_id = ? ORDER BY created_at DESC, id DESC", (project.id,)
        )
        return [self.by_id(row["id"]) for row in rows]

    def update(self, sweep: Sweep, **said: Any) -> Sweep:
        """Change what is said of a sweep (names as in ``FIELDS``) and return it as it is now."""
        unknown = said.keys() - set(FIELDS)
        assert not unknown, f"{sorted(unknown)} can't be said of a sweep"
        setting = "".join(f"{name} = ?, " for name in said)
        with self._database.writing():
            self._database.write(
                f"UPDATE sweep SET {setting}updated_at = ? WHERE id = ?", (*said.values(), time.time(), sweep.id)
            )
            return self.by_id(sweep.id)

    def runs(self, sweep: Sweep) -> list[Run]:
        """The runs that say that they belong to the sweep, the oldest first."""
        rows = self._database.query(
            "SELECT id FROM run WHERE project_id = ? AND sweep = ? AND deleted_at IS NULL ORDER BY created_at, id",
            (sweep.project.id, sweep.name),
        )
        return [self._runs.by_id(row["id"]) for row in rows]

    def run_counts(self, sweep: Sweep) -> dict[str, int]:
        """How many of the sweep's runs are in each recorded state."""
        rows = self._database.query(
            "SELECT state, COUNT(*) AS n FROM run WHERE project_id = ? AND sweep = ? AND deleted_at IS NULL "
            "GROUP BY state",
            (sweep.project.id, sweep.name),
        )
        return {row["state"]: int(row["n"]) for row in rows}

    def add_agent(self, sweep: Sweep, host: str) -> Agent:
        now = time.time()
        with self._database.writing():
            id = self._database.insert(
                "INSERT INTO sweep_agent (sweep_id, name, host, created_at, seen_at) VALUES (?, ?, ?, ?, ?)",
                (sweep.id, new_name(), host, now, now),
            )
            return self.agent(id)

    def agent(self, id: int) -> Agent:
        """The agent with that row id. Raises ``NotFound``."""
        row = self._database.first("SELECT * FROM sweep_agent WHERE id = ?", (id,))
        if row is None:
            raise NotFound(f"There is no agent with the number {id}.")
        return Agent(**dict(row))

    def agents(self, sweep: Sweep) -> list[Agent]:
        """The sweep's agents, in the order in which they came."""
        rows = self._database.query("SELECT * FROM sweep_agent WHERE sweep_id = ? ORDER BY id", (sweep.id,))
        return [Agent(**dict(row)) for row in rows]

    def heard(self, agent: Agent) -> None:
        """Note that the agent has spoken now."""
        with self._database.writing():
            self._database.write("UPDATE sweep_agent SET seen_at = ? WHERE id = ?", (time.time(), agent.id))
