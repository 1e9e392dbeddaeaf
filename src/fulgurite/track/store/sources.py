"""Files of other trackers that runs are read from: which run each one is, and how far it has been read."""

from pathlib import Path

from fulgurite.track.store.database import Database


class Sources:
    """Kept in the same transaction as what was read, so that nothing is read twice or left out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def place(self, path: Path) -> tuple[int | None, int] | None:
        """The run's row id and the place in the file up to which it has been read; None for a new file.

        The row id is None where the run was deleted for good: its files are not to bring it back.
        """
        row = self._database.first("SELECT run_id, place FROM source WHERE path = ?", (str(path),))
        return None if row is None else (row["run_id"], int(row["place"]))

    def note(self, path: Path, run: int, place: int) -> None:
        with self._database.writing():
            self._database.write(
                "INSERT INTO source (path, run_id, place) VALUES (?, ?, ?) "
                "ON CONFLICT (path) DO UPDATE SET run_id = excluded.run_id, place = excluded.place",
                (str(path), run, place),
            )

    def let_go(self, run: int) -> None:
        """Remember of a run that is deleted for good only that it was there."""
        with self._database.writing():
            self._database.write("UPDATE source SET run_id = NULL WHERE run_id = ?", (run,))
