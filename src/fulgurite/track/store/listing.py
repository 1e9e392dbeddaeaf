"""Lists of projects and runs for pages: the newest first, or what has changed since the last look."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fulgurite.track.store.database import Database
from fulgurite.track.store.runs import LIVING, SILENCE, Project, Run, run_from

LATEST = 2**62  # no run's number is above it


@dataclass(slots=True, frozen=True)
class Overview:
    """A project from afar: its runs and how many go on, when one last said something, and its latest version."""

    project: Project
    runs: int
    running: int
    seen_at: float | None
    version: int


class Listing:
    """Projects from afar, and the runs of one of them page by page."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def projects(self) -> list[Overview]:
        """All projects, the one that was last active first."""
        found = self._overviews("", ())
        return sorted(found, key=lambda each: each.seen_at or each.project.created_at, reverse=True)

    def overview(self, project: Project) -> Overview:
        return self._overviews("WHERE project.id = ?", (project.id,))[0]

    def _overviews(self, where: str, values: Sequence[Any]) -> list[Overview]:
        rows = self._database.query(
            "SELECT project.id, project.entity, project.name, project.description, project.created_at, "
            "COUNT(run.id) - COUNT(run.deleted_at) AS runs, "
            "COUNT(CASE WHEN run.deleted_at IS NULL AND run.state IN (?, ?) AND run.seen_at > ? THEN 1 END) "
            "AS running, "
            "MAX(CASE WHEN run.deleted_at IS NULL THEN run.seen_at END) AS seen_at, "
            "COALESCE(MAX(run.version), 0) AS version "
            f"FROM project LEFT JOIN run ON run.project_id = project.id {where} "
            "GROUP BY project.id, project.entity, project.name, project.description, project.created_at",
            (*LIVING, time.time() - SILENCE, *values),
        )
        return [_overview(dict(row)) for row in rows]

    def page(self, project: Project, first: int, before: int = LATEST, deleted: bool = False) -> list[Run]:
        """``first`` runs whose numbers are below ``before``, the newest first; or of those that were deleted."""
        rows = self._database.query(
            f"SELECT * FROM run WHERE project_id = ? AND deleted_at IS {'NOT ' if deleted else ''}NULL AND id < ? "
            "ORDER BY id DESC LIMIT ?",
            (project.id, before, first),
        )
        return [run_from(row, project) for row in rows]

    def changed(self, project: Project, since: int) -> list[Run]:
        """The runs that changed after version ``since``, those that were deleted too."""
        rows = self._database.query("SELECT * FROM run WHERE project_id = ? AND version > ?", (project.id, since))
        # A database that sorts whole rows moves all of their texts.
        return sorted((run_from(row, project) for row in rows), key=lambda run: run.version)

    def version(self, project: Project) -> int:
        """The highest version of a run of the project: it rises with every change. 0 where there is no run."""
        row = self._database.first("SELECT MAX(version) FROM run WHERE project_id = ?", (project.id,))
        return 0 if row is None or row[0] is None else int(row[0])


def _overview(row: dict[str, Any]) -> Overview:
    counted = {name: row.pop(name) for name in ("runs", "running", "seen_at", "version")}
    return Overview(Project(**row), **counted)
