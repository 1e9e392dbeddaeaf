"""Whole histories as Parquet files, for the client's ``download_history_exports``."""

import tempfile
from pathlib import Path

from fulgurite.track.store.blobs import Blob
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import LIVING, PENDING, Run
from fulgurite.track.store.store import Store
from fulgurite.track.tables import write_history

NAME = "history.parquet"


class Exports:
    """The histories of runs that have ended; each is written when it is first asked for, and again if it has changed.

    The files are contents that nothing refers to: `Store.purge` may take them, and the next question makes them anew.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: dict[int, tuple[int, str]] = {}

    def of(self, run: Run) -> Blob | None:
        """The history of ``run`` as one file, None while it goes on or if it has none."""
        if run.state in (*LIVING, PENDING):
            return None
        version, sha256 = self._made.get(run.id, (None, ""))
        if version == run.version:
            try:
                return self._store.blobs.blob(sha256)
            except NotFound:
                pass
        made = self._write(run)
        if made is not None:
            self._made[run.id] = (run.version, made.sha256)
        return made

    def _write(self, run: Run) -> Blob | None:
        with tempfile.TemporaryDirectory(prefix="fulgurite-") as folder:
            path = Path(folder) / NAME
            with self._store.database.reading():
                rows = write_history(self._store.history, run.id, path)
            return self._store.blobs.keep_file(path) if rows else None
