"""Many runs at once, read only as far as a question about them goes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fulgurite.track.store.database import Database
from fulgurite.track.store.runs import Project, Run, as_run

AT_ONCE = 500  # ids in one statement
LATEST = 2**62  # no run's number is above it
COLUMNS = {
    "id", "name", "display_name", "notes", "group_name", "job_type", "sweep", "tags", "config", "summary", "facts",
    "state", "exit_code", "stop_asked", "row_count", "created_at", "seen_at", "ended_at",
}  # fmt: skip


@dataclass(slots=True, frozen=True)
class Overview:
    """A project from afar: how many runs it has, when one of them last said something, and its latest version."""

    project: Project
    runs: int
    seen_at: float | None
    version: int


class Listing:
    """Lists of projects and runs. JSON stays text here: whoever needs it decodes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def columns(self, project: Project, names: Iterable[str]) -> list[Any]:
        """One row for each run that is not deleted, the newest first: its id and the columns of those names."""
        asked = sorted({"id", *names})
        assert COLUMNS.issuperset(asked), f"{asked} are columns of a run"
        return self._database.query(
            f"SELECT {', '.join(asked)} FROM run WHERE project_id = ? AND deleted_at IS NULL "
            "ORDER BY created_at DESC, id DESC",
            (project.id,),
        )

    def runs(self, project: Project, ids: Sequence[int]) -> list[Run]:
        """The runs with those ids, in that order; one that is gone is left out."""
        found: dict[int, Run] = {}
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            marks = ", ".join("?" * len(some))
            for row in self._database.query(f"SELECT * FROM run WHERE id IN ({marks})", some):
                found[row["id"]] = as_run(row, project)
        return [found[id] for id in ids if id in found]

    def projects(self) -> list[Overview]:
        """All projects, the one that was last active first."""
        rows = self._database.query(
            "SELECT project.id, project.entity, project.name, project.description, project.created_at, "
            "COUNT(run.id) - COUNT(run.deleted_at) AS runs, "
            "MAX(CASE WHEN run.deleted_at IS NULL THEN run.seen_at END) AS seen_at, "
            "COALESCE(MAX(run.version), 0) AS version "
            "FROM project LEFT JOIN run ON run.project_id = project.id "
            "GROUP BY project.id, project.entity, project.name, project.description, project.created_at"
        )
        found = [_overview(dict(row)) for row in rows]
        return sorted(found, key=lambda each: each.seen_at or each.project.created_at, reverse=True)

    def page(self, project: Project, first: int, before: int = LATEST, deleted: bool = False) -> list[Run]:
        """``first`` runs whose numbers are below ``before``, the newest first; or of those that were deleted."""
        rows = self._database.query(
            f"SELECT * FROM run WHERE project_id = ? AND deleted_at IS {'NOT ' if deleted else ''}NULL AND id < ? "
            "ORDER BY id DESC LIMIT ?",
            (project.id, before, first),
        )
        return [as_run(row, project) for row in rows]

    def changed(self, project: Project, since: int) -> list[Run]:
        """The runs that changed after version ``since``, those that were deleted too."""
        rows = self._database.query(
            "SELECT * FROM run WHERE project_id = ? AND version > ? ORDER BY version", (project.id, since)
        )
        return [as_run(row, project) for row in rows]

    def version(self, project: Project) -> int:
        """The highest version of a run of the project: it rises with every change. 0 where there is no run."""
        row = self._database.first("SELECT MAX(version) FROM run WHERE project_id = ?", (project.id,))
        return 0 if row is None or row[0] is None else int(row[0])


def _overview(row: dict[str, Any]) -> Overview:
    counted = {name: row.pop(name) for name in ("runs", "seen_at", "version")}
    return Overview(Project(**row), **counted)
