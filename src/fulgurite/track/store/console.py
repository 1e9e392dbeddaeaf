"""What runs printed, line by line. A line can be written again: progress bars do."""

from collections.abc import Iterable
from dataclasses import dataclass

from fulgurite.track.store.database import Database


@dataclass(slots=True, frozen=True)
class Line:
    """One line: ``stream`` is "stdout" or "stderr", ``written_at`` an ISO time if it is known."""

    number: int
    stream: str
    written_at: str | None
    label: str | None
    line: str


class Console:
    """The lines of all runs, numbered from 0 in each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, run: int, lines: Iterable[Line]) -> None:
        """Keep lines; those whose numbers are there already are replaced."""
        with self._database.writing():
            self._database.write_many(
                "INSERT INTO console (run_id, number, stream, written_at, label, line) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (run_id, number) DO UPDATE SET stream = excluded.stream, "
                "written_at = excluded.written_at, label = excluded.label, line = excluded.line",
                [(run, line.number, line.stream, line.written_at, line.label, line.line) for line in lines],
            )

    def read(self, run: int, first: int = 0, most: int = 10_000) -> list[Line]:
        """At most ``most`` lines from number ``first`` on."""
        rows = self._database.query(
            "SELECT number, stream, written_at, label, line FROM console WHERE run_id = ? AND number >= ? "
            "ORDER BY number LIMIT ?",
            (run, first, most),
        )
        return [Line(**dict(row)) for row in rows]

    def count(self, run: int) -> int:
        """How many lines there are: one more than the highest number."""
        row = self._database.first("SELECT MAX(number) FROM console WHERE run_id = ?", (run,))
        return 0 if row is None or row[0] is None else int(row[0]) + 1

    def clear(self, run: int, first: int = 0) -> None:
        """Forget the lines from number ``first`` on."""
        with self._database.writing():
            self._database.write("DELETE FROM console WHERE run_id = ? AND number >= ?", (run, first))
