"""The store as one object: each part has one topic."""

import os
import time

from fulgurite.track.places import data_folder
from fulgurite.track.store.alerts import Alerts
from fulgurite.track.store.artifacts import Artifacts
from fulgurite.track.store.blobs import Blobs
from fulgurite.track.store.console import Console
from fulgurite.track.store.database import PATIENCE, Database
from fulgurite.track.store.history import History
from fulgurite.track.store.listing import Listing
from fulgurite.track.store.newest import Newest
from fulgurite.track.store.runs import KILLED, Run, Runs
from fulgurite.track.store.search import Search
from fulgurite.track.store.sources import Sources
from fulgurite.track.store.sweeps import Sweeps
from fulgurite.track.store.trials import Trials
from fulgurite.track.store.users import Users

KEPT_AFTER_DELETION = 7 * 86_400.0


class Store:
    """All runs in ``folder`` ($FULGURITE_DIR or ``~/.fulgurite``), which is made where there is none.

    Threads and processes may share a folder: each transaction is whole, and one writer is let in at a time.
    Raises ``StoreError`` if the folder can't be used.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, patience: float = PATIENCE) -> None:
        self.database = Database(data_folder(folder), patience)
        self.folder = self.database.folder
        self.runs = Runs(self.database)
        self.listing = Listing(self.database)
        self.search = Search(self.database)
        self.history = History(self.database)
        self.newest = Newest(self.database)
        self.console = Console(self.database)
        self.blobs = Blobs(self.database)
        self.sources = Sources(self.database)
        self.users = Users(self.database)
        self.alerts = Alerts(self.database)
        self.artifacts = Artifacts(self.database, self.blobs)
        self.sweeps = Sweeps(self.database, self.runs)
        self.trials = Trials(self.database)

    def end(self, run: Run, exit_code: int, state: str | None = None) -> Run:
        """Note that a run has ended, and make what it logged compact.

        One that its sweep stopped did not fail, though its program had to end with an error.
        """
        if state is None and exit_code != 0 and self.trials.is_stopped(run):
            state = KILLED
        ended = self.runs.end(run, exit_code, state)
        # Not in a transaction that this is part of: it may take seconds, in which nobody else could write.
        self.database.afterwards(lambda: self.history.compact(run.id))
        return ended

    def purge(self, older_than: float = KEPT_AFTER_DELETION) -> int:
        """Forget the runs that were deleted more than ``older_than`` seconds ago, and the contents that nobody has now.

        Returns how many runs went.
        """
        moment, gone = time.time() - older_than, 0
        for run in self.runs.deleted_before(moment):
            with self.database.writing():
                # It may have been restored since it was listed.
                if (self.runs.by_id(run.id).deleted_at or moment) < moment:
                    self.history.forget(run.id)
                    self.artifacts.lineage.forget(run.id)
                    self.sources.let_go(run.id)
                    self.runs.forget(run)
                    gone += 1
        self.artifacts.forget_abandoned()
        self.blobs.sweep()
        return gone

    def close(self) -> None:
        self.database.close()
