"""Runs by what is known of them, read only as far as a question goes."""

from collections.abc import Iterable, Sequence
from typing import Any

from fulgurite.track.store.database import Database
from fulgurite.track.store.runs import Project, Run, run_from

AT_ONCE = 500  # ids in one statement
COLUMNS = {
    "id", "name", "display_name", "notes", "group_name", "job_type", "sweep", "tags", "config", "summary", "facts",
    "state", "exit_code", "stop_asked", "row_count", "created_at", "seen_at", "ended_at",
}  # fmt: skip


class Search:
    """The runs of projects by column. JSON stays text here: whoever needs it decodes it."""

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
                found[row["id"]] = run_from(row, project)
        return [found[id] for id in ids if id in found]
