"""Files of other trackers that runs are read from: which run each one is, and how far it has been read."""

from pathlib import Path

from fulgurite.track.store.database import Database


class Sources:
    """Kept in the same transaction as what was read, so that nothing is read twice or left out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def place(self, path: Path) -> tuple[int, int] | None:
        """The run's row id and the place in the file up to which it has been read; None for a new file."""
        row = self._database.first("SELECT run_id, place FROM source WHERE path = ?", (str(path),))
        return None if row is None else (int(row["run_id"]), int(row["place"]))

    def note(self, path: Path, run: int, place: int) -> None:
        with self._database.writing():
            self._database.write(
                "INSERT INTO source (path, run_id, place) VALUES (?, ?, ?) "
                "ON CONFLICT (path) DO UPDATE SET run_id = excluded.run_id, place = excluded.place",
                (str(path), run, place),
            )
