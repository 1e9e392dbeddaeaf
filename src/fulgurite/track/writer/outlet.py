"""The store as a writer meets it: opened when it is needed and again after it was gone, never trusted to be there."""

import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulgurite.track.places import data_folder
from fulgurite.track.store.errors import StoreError, Unkeepable
from fulgurite.track.writer.batch import Batch, Target, deliver

if TYPE_CHECKING:
    from fulgurite.track.store.runs import Run
    from fulgurite.track.store.store import Store

PATIENCE = 5.0  # seconds that one try waits for other writers; rows gather in memory meanwhile
HEARTBEAT = 30.0  # seconds without a row after which the run says that it is there
LISTENING = 2.0  # seconds without a row after which it looks whether it was asked to stop
SOURCE = "fulgurite"
GIVEN = ("notes", "group_name", "job_type", "tags")  # what a run gets anew that is continued

# Stores that were open in the parent of this forked process. To close a copy of them here would touch the parent's
# locks, so they are never closed.
_parents: "list[Store]" = []


class Outlet:
    """The store in ``folder``, for one run."""

    def __init__(
        self, project: str, run: str, entity: str, folder: str | os.PathLike[str] | None, known: Mapping[str, Any]
    ) -> None:
        self.folder = data_folder(folder)
        self.target = Target(project, entity, run, time.time(), SOURCE, dict(known))
        self.failures = 0
        """How many times in a row the store could not be used."""
        self.spilled: Path | None = None
        """A rescue file that is to be brought in as soon as the store is back."""
        self.first_line: int | None = None
        """The number in the store of the writer's line 0; None until the run was opened."""
        self._store: Store | None = None
        self._run: Run | None = None
        self._opened_as: os.stat_result | None = None
        self.stop_asked = False
        """Whether somebody has asked the run to stop, as far as the store was looked at."""
        self._written_at = self._looked_at = 0.0

    def take(self, batch: Batch) -> None:
        """Write a batch, and before it what had to be set aside. Raises what the store raises."""
        now = time.monotonic()
        if not batch and self.spilled is None and now - self._looked_at < LISTENING:
            return
        silent = not batch and now - self._written_at >= HEARTBEAT
        try:
            store, run = self._opened()
            if self.spilled is not None:
                self._bring_in(store, self.spilled)
            if silent:
                store.runs.seen(run)
            run = deliver(store, run, batch, self.first_line or 0) if batch else store.runs.by_id(run.id)
        except BaseException:
            self.failures += 1
            self.close()
            raise
        self._run, self.stop_asked, self.failures = run, run.stop_asked, 0
        self._looked_at = now
        self._written_at = now if batch or silent else self._written_at

    def is_down(self, error: Exception) -> bool:
        """Whether it is the store that can't be used now, and not the batch that it can't take."""
        if isinstance(error, Unkeepable | sqlite3.IntegrityError | sqlite3.DataError | sqlite3.InterfaceError):
            return False
        return isinstance(error, OSError | sqlite3.Error | StoreError | ImportError)

    def close(self) -> None:
        """Let go of the store; the next batch opens it again."""
        store, self._store, self._run = self._store, None, None
        if store is not None:
            store.close()

    def leave_to_parent(self) -> None:
        """Forget the store without closing it: it belongs to the process that this one was forked from."""
        if self._store is not None:
            _parents.append(self._store)
        self._store = self._run = None

    def _opened(self) -> "tuple[Store, Run]":
        # Late: numpy is needed where rows are packed, and this is not the training thread.
        from fulgurite.track.store.store import Store

        if self._store is not None and not self._is_still_there():
            self.close()
        if self._store is None:
            self._store = Store(self.folder, patience=PATIENCE)
            self._opened_as = self._file().stat()
        if self._run is None:
            self._run = self._opened_run(self._store)
        return self._store, self._run

    def _opened_run(self, store: "Store") -> "Run":
        """The run, made if it is not there. What was changed in it since this writer opened it first stays so."""
        run, made = self.target.opened(store)
        if not made:
            store.runs.seen(run)
        if self.first_line is None:
            self.first_line = 0 if made else store.console.count(run.id)
            if not made:
                said = {name: value for name, value in self.target.known.items() if name in GIVEN and value}
                # Whoever asked an earlier process to stop did not mean this one.
                run = store.runs.update(run, stop_asked=0, **said)
        return run

    def _bring_in(self, store: "Store", path: Path) -> None:
        from fulgurite.track.writer.rescue import bring_in

        bring_in(store, path)
        path.unlink(missing_ok=True)
        self.spilled = None

    def _is_still_there(self) -> bool:
        """Whether the file is the one that was opened: SQLite would go on writing to one that was deleted."""
        try:
            now = self._file().stat()
        except OSError:
            return False
        return self._opened_as is not None and os.path.samestat(now, self._opened_as)

    def _file(self) -> Path:
        from fulgurite.track.store.database import FILE

        return self.folder / FILE
