"""The newest values of series, without reading what lies before them."""

from typing import Any

from fulgurite.track.store.cells import Column, column
from fulgurite.track.store.chunks import FIRST_STEP, LAST_STEP, Chunks
from fulgurite.track.store.database import Database
from fulgurite.track.store.history import series_id


class Newest:
    """The ends of the series that `History` keeps."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._chunks = Chunks(database)

    def value(self, run: int, path: str, high: int = LAST_STEP) -> Column:
        """The last value at or before step ``high``, as a column of one; an empty one where there is none."""
        with self._database.reading():
            series = series_id(self._database, run, path)
            outline = [] if series is None else self._chunks.outline(series, FIRST_STEP, high)
            if series is None or not outline:
                return column([], [])
            (last,) = self._chunks.columns(series, outline[-1]["first"], outline[-1]["first"])
            found = last.between(FIRST_STEP, high)
            return found.part(len(found) - 1, len(found))

    def glimpse(self, run: int, path: str) -> Any:
        """One of the newest values, to see of what kind they are: it costs little, however many there are."""
        with self._database.reading():
            series = series_id(self._database, run, path)
            return None if series is None else self._chunks.glimpse(series)
