"""The messages of a project's runs that somebody shall see."""

from dataclasses import dataclass

from fulgurite.track.store.database import Database
from fulgurite.track.store.runs import Project


@dataclass(slots=True, frozen=True)
class Alert:
    """What a run wanted to be seen. ``level``: INFO, WARN or ERROR."""

    id: int
    run_id: int
    title: str
    text: str
    level: str
    raised_at: float


class Alerts:
    """All alerts of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, project: Project, level: str | None, first: int, before: int) -> list[Alert]:
        """``first`` alerts whose numbers are below ``before``, the newest first: of one level, or all.

        Those of deleted runs are left out.
        """
        rows = self._database.query(
            "SELECT alert.id, alert.run_id, alert.title, alert.text, alert.level, alert.raised_at FROM alert "
            "JOIN run ON run.id = alert.run_id WHERE run.project_id = ? AND run.deleted_at IS NULL AND alert.id < ? "
            "AND (? IS NULL OR alert.level = ?) ORDER BY alert.id DESC LIMIT ?",
            (project.id, before, level, level, first),
        )
        return [Alert(**dict(row)) for row in rows]

    def count(self, project: Project, after: int = 0) -> tuple[int, int]:
        """How many of the project's alerts have numbers above ``after``, and the highest number of all (0: none)."""
        row = self._database.first(
            "SELECT COUNT(CASE WHEN alert.id > ? THEN 1 END) AS fresh, COALESCE(MAX(alert.id), 0) AS last FROM alert "
            "JOIN run ON run.id = alert.run_id WHERE run.project_id = ? AND run.deleted_at IS NULL",
            (after, project.id),
        )
        assert row is not None, "a count has a row"
        return int(row["fresh"]), int(row["last"])
