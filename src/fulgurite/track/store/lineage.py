"""Which run made an artifact, and which runs used it."""

import time

from fulgurite.track.store.database import Database

OUTPUT, INPUT = "output", "input"


class Lineage:
    """What runs have to do with artifacts, both given by their row numbers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def made(self, run: int | None, artifact: int) -> None:
        """Note that a run has logged the artifact; two runs may log the same."""
        if run is not None:
            self._note(run, artifact, OUTPUT, None)

    def used(self, run: int, artifact: int, used_as: str | None = None) -> None:
        """Note that a run has the artifact as an input."""
        self._note(run, artifact, INPUT, used_as)

    def of(self, run: int, role: str) -> list[int]:
        """What a run has made (``OUTPUT``) or used (``INPUT``), in that order, without what is not there now."""
        rows = self._database.query(
            "SELECT artifact_id FROM artifact_run JOIN artifact ON artifact.id = artifact_run.artifact_id "
            "WHERE artifact_run.run_id = ? AND role = ? AND artifact.number IS NOT NULL AND state = 'COMMITTED' "
            "ORDER BY artifact_run.created_at, artifact_id",
            (run, role),
        )
        return [row["artifact_id"] for row in rows]

    def users(self, artifact: int) -> list[int]:
        """The runs that have used it, in that order."""
        return self._runs(artifact, INPUT)

    def makers(self, artifact: int) -> list[int]:
        """The runs that have logged it, in that order."""
        return self._runs(artifact, OUTPUT)

    def _runs(self, artifact: int, role: str) -> list[int]:
        rows = self._database.query(
            "SELECT run_id FROM artifact_run WHERE artifact_id = ? AND role = ? ORDER BY created_at, run_id",
            (artifact, role),
        )
        return [row["run_id"] for row in rows]

    def forget(self, run: int) -> None:
        """A run goes; the artifacts that it has made stay."""
        with self._database.writing():
            self._database.write("DELETE FROM artifact_run WHERE run_id = ?", (run,))
            self._database.write("UPDATE artifact SET run_id = NULL WHERE run_id = ?", (run,))

    def _note(self, run: int, artifact: int, role: str, used_as: str | None) -> None:
        with self._database.writing():
            self._database.write(
                "INSERT INTO artifact_run (run_id, artifact_id, role, used_as, created_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (run, artifact, role, used_as, time.time()),
            )
