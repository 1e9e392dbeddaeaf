"""Projects and their runs: what is known of each one beside what it logged."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.schema import OF_RUNS

ENTITY = "local"  # who owns what nobody is named for
RUNNING, FINISHED, FAILED, CRASHED, KILLED = "running", "finished", "failed", "crashed", "killed"
PENDING, PREEMPTING, PREEMPTED = "pending", "preempting", "preempted"  # waits; is about to be taken off; was
LIVING = (RUNNING, PREEMPTING)
SILENCE = 300.0  # seconds without a word after which a running run counts as crashed

# What can be said of a run with `Runs.update`, and which of it is kept as JSON.
FIELDS = (
    "display_name", "notes", "group_name", "job_type", "sweep", "tags", "config", "summary", "facts", "source",
    "state", "exit_code", "stop_asked", "seen_at", "ended_at",
)  # fmt: skip
AS_JSON = {"tags", "config", "summary", "facts"}

# Versions rise over all runs: what is above a version that was seen has changed since.
NEXT_VERSION = "version = (SELECT MAX(version) + 1 FROM run)"


@dataclass(slots=True, frozen=True)
class Project:
    """A project: its runs are told apart by their names (W&B calls those ids)."""

    id: int
    entity: str
    name: str
    description: str | None
    created_at: float


@dataclass(frozen=True)
class Run:
    """A run. ``name`` is its id in addresses, ``display_name`` what people call it; times are seconds since 1970.

    What is kept as JSON is read when it is asked for: a list of thousands of runs rarely asks for all of it.
    """

    id: int
    project: Project
    name: str
    display_name: str | None
    notes: str | None
    group_name: str | None
    job_type: str | None
    sweep: str | None
    source: str
    recorded_state: str
    exit_code: int | None
    stop_asked: bool
    row_count: int
    event_count: int
    created_at: float
    seen_at: float
    ended_at: float | None
    deleted_at: float | None
    version: int
    texts: Mapping[str, str] = field(repr=False)

    @cached_property
    def tags(self) -> list[str]:
        tags: list[str] = json.loads(self.texts["tags"])
        return tags

    @cached_property
    def config(self) -> dict[str, Any]:
        """The run's settings."""
        return self._dict("config")

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The newest value of each key, or what the run itself says."""
        return self._dict("summary")

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What was found out about machine, program, git and user."""
        return self._dict("facts")

    def _dict(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.texts[name])
        return found

    @property
    def state(self) -> str:
        """The state now: a run that says nothing for five minutes has crashed, until it speaks again."""
        return state_now(self.recorded_state, self.seen_at)


class Runs:
    """All projects and runs of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def project(self, name: str, entity: str = ENTITY, create: bool = False) -> Project:
        """The project of that name. Raises ``NotFound`` if it is not there and shall not be made."""
        row = self._database.first("SELECT * FROM project WHERE entity = ? AND name = ?", (entity, name))
        if row is None and create:
            with self._database.writing():
                self._database.write(
                    "INSERT INTO project (entity, name, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                    (entity, name, time.time()),
                )
            return self.project(name, entity)
        if row is None:
            raise NotFound(f"There is no project {entity}/{name}.")
        return Project(**dict(row))

    def projects(self, entity: str | None = None) -> list[Project]:
        """All projects, or those of one entity; the newest first."""
        where, values = ("WHERE entity = ?", (entity,)) if entity else ("", ())
        rows = self._database.query(f"SELECT * FROM project {where} ORDER BY created_at DESC, id DESC", values)
        return [Project(**dict(row)) for row in rows]

    def describe_project(self, project: Project, description: str) -> None:
        with self._database.writing():
            self._database.write("UPDATE project SET description = ? WHERE id = ?", (description, project.id))

    def open(
        self,
        project: Project,
        name: str | None = None,
        source: str = "wandb",
        created_at: float | None = None,
        **known: Any,
    ) -> tuple[Run, bool]:
        """The run ``name`` of a project, made if it is not there; and whether it was made. ``known`` as in `update`.

        Without a name a new one is drawn. A run that was deleted is not found: a new one may take its name.
        ``source`` and ``created_at`` are for a run that is made.
        """
        name, now = name or new_name(), time.time()
        with self._database.writing():
            row = self._row(project.id, name)
            if row is None:
                self._database.write(
                    "INSERT INTO run (project_id, name, source, created_at, seen_at, version) VALUES (?, ?, ?, ?, ?, "
                    "(SELECT COALESCE(MAX(version), 0) + 1 FROM run))",
                    (project.id, name, source, created_at or now, now),
                )
            run = self.find(project, name)
            return (self.update(run, **known) if known else run), row is None

    def find(self, project: Project, name: str) -> Run:
        """The run ``name``. Raises ``NotFound``."""
        row = self._row(project.id, name)
        if row is None:
            raise NotFound(f"There is no run {project.entity}/{project.name}/{name}.")
        return run_from(row, project)

    def by_id(self, id: int) -> Run:
        """The run with that row id, also if it was deleted. Raises ``NotFound``."""
        row = self._database.first("SELECT * FROM run WHERE id = ?", (id,))
        if row is None:
            raise NotFound(f"There is no run with the number {id}.")
        project = self._database.first("SELECT * FROM project WHERE id = ?", (row["project_id"],))
        assert project is not None, "a run has a project"
        return run_from(row, Project(**dict(project)))

    def all(self, project: Project, deleted: bool = False) -> list[Run]:
        """The project's runs, the newest first; or those that were deleted."""
        rows = self._database.query(
            f"SELECT * FROM run WHERE project_id = ? AND deleted_at IS {'NOT ' if deleted else ''}NULL "
            "ORDER BY created_at DESC, id DESC",
            (project.id,),
        )
        return [run_from(row, project) for row in rows]

    def count(self, project: Project) -> int:
        row = self._database.first(
            "SELECT COUNT(*) FROM run WHERE project_id = ? AND deleted_at IS NULL", (project.id,)
        )
        return int(row[0]) if row else 0

    def update(self, run: Run, **said: Any) -> Run:
        """Change what is said of a run (names as in ``FIELDS``) and return it as it is now."""
        unknown = said.keys() - set(FIELDS)
        assert not unknown, f"{sorted(unknown)} can't be said of a run"
        values = [json.dumps(value) if name in AS_JSON else value for name, value in said.items()]
        setting = "".join(f"{name} = ?, " for name in said)
        with self._database.writing():
            self._database.write(f"UPDATE run SET {setting}{NEXT_VERSION} WHERE id = ?", (*values, run.id))
            return self.by_id(run.id)

    def merge_summary(self, run: Run, values: Mapping[str, Any]) -> None:
        """Put the newest values into the run's summary; the others stay."""
        with self._database.writing():
            summary = {**self.by_id(run.id).summary, **values}
            self.update(run, summary=summary)

    def seen(self, run: Run) -> None:
        """Note that the run has given a sign of life now; one that counted as ended is running again."""
        with self._database.writing():
            self._database.write(
                "UPDATE run SET seen_at = ?, state = CASE WHEN state = ? THEN state ELSE ? END, ended_at = NULL, "
                f"exit_code = NULL, {NEXT_VERSION} WHERE id = ?",
                (time.time(), PREEMPTING, RUNNING, run.id),
            )

    def end(self, run: Run, exit_code: int, state: str | None = None) -> Run:
        """Note that the run has ended: finished at exit code 0, else failed (or preempted), or as ``state`` says."""
        now = time.time()
        taken = PREEMPTED if self.by_id(run.id).recorded_state == PREEMPTING else FAILED
        state = state or (FINISHED if exit_code == 0 else taken)
        return self.update(run, state=state, exit_code=exit_code, ended_at=now, seen_at=now, stop_asked=0)

    def delete(self, runs: Sequence[Run]) -> None:
        """Hide runs; `restore` brings them back until `purge`."""
        with self._database.writing():
            self._database.write_many(
                f"UPDATE run SET deleted_at = ?, {NEXT_VERSION} WHERE id = ? AND deleted_at IS NULL",
                [(time.time(), run.id) for run in runs],
            )

    def restore(self, runs: Sequence[Run]) -> None:
        """Bring deleted runs back. Raises ``StoreError`` if another run has taken a name meanwhile."""
        with self._database.writing():
            for run in map(self.by_id, [run.id for run in runs]):
                if run.deleted_at is not None and self._row(run.project.id, run.name) is not None:
                    raise StoreError(
                        f"Run {run.project.entity}/{run.project.name}/{run.name} can't be restored: another run has "
                        "taken its name. Delete that one first."
                    )
                self._database.write(f"UPDATE run SET deleted_at = NULL, {NEXT_VERSION} WHERE id = ?", (run.id,))

    def deleted_before(self, moment: float) -> Iterator[Run]:
        """The runs that were deleted before ``moment``, for `Store.purge`."""
        for row in self._database.query("SELECT id FROM run WHERE deleted_at < ?", (moment,)):
            yield self.by_id(row["id"])

    def forget(self, run: Run) -> None:
        """Take a run out of the tables of runs. What it logged goes with ``History.forget``."""
        with self._database.writing():
            for table in OF_RUNS:
                self._database.write(f"DELETE FROM {table} WHERE run_id = ?", (run.id,))
            self._database.write("DELETE FROM run WHERE id = ?", (run.id,))

    def alert(self, run: Run, title: str, text: str, level: str) -> None:
        """Keep a message that the run wants somebody to see."""
        with self._database.writing():
            self._database.write(
                "INSERT INTO alert (run_id, title, text, level, raised_at) VALUES (?, ?, ?, ?, ?)",
                (run.id, title, text, level, time.time()),
            )

    def alerts(self, run: Run) -> list[dict[str, Any]]:
        rows = self._database.query(
            "SELECT title, text, level, raised_at FROM alert WHERE run_id = ? ORDER BY id", (run.id,)
        )
        return [dict(row) for row in rows]

    def _row(self, project: int, name: str) -> Any:
        return self._database.first(
            "SELECT * FROM run WHERE project_id = ? AND name = ? AND deleted_at IS NULL", (project, name)
        )


def state_now(recorded: str, seen_at: float) -> str:
    """The state of a run that was recorded as ``recorded`` and last spoke at ``seen_at``."""
    silent = time.time() - seen_at > SILENCE
    return {RUNNING: CRASHED, PREEMPTING: PREEMPTED}.get(recorded, recorded) if silent else recorded


def new_name() -> str:
    """A new run's id: eight letters and digits, as W&B's are."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(8))


def run_from(row: Any, project: Project) -> Run:
    """The run that a row of the table describes."""
    fields = dict(row)
    fields["texts"] = {name: fields.pop(name) for name in AS_JSON}
    fields["recorded_state"] = fields.pop("state")
    fields["stop_asked"] = bool(fields["stop_asked"])
    del fields["project_id"]
    return Run(project=project, **fields)
