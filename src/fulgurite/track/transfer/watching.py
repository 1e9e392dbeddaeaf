"""Keeps an eye on folders in which the W&B client writes offline runs, and takes in what appears there."""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from fulgurite.track.places import noted_folders
from fulgurite.track.store.errors import StoreError, Unkeepable
from fulgurite.track.store.store import Store
from fulgurite.track.transfer import from_wandb

log = logging.getLogger("fulgurite.track")
EVERY = 1.0  # seconds between two looks
AT_ONCE = 20  # batches of one run before the next one's turn comes


class Watch:
    """Follows the runs in ``folders``, and in those that loggers of this machine have noted, from `start` to `stop`.

    First of all it lets go of what was deleted long ago: nobody waits for this thread.
    """

    def __init__(self, store: Store, folders: Iterable[Path] = ()) -> None:
        self._store, self._folders = store, [Path(folder) for folder in folders]
        self._followers: dict[Path, from_wandb.Follower] = {}
        self._broken: set[Path] = set()
        self._refused: set[Path] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the look that is going on, and wait for it."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> None:
        """Take in what is new, in all folders."""
        for folder in {*self._folders, *noted_folders(self._store.folder)}:
            for found in from_wandb.find(folder):
                if not self._over.is_set():
                    self._pull(found.resolve())

    def _go_on(self) -> None:
        try:
            self._store.purge()
        except Exception as error:
            # It can wait for the next start. What is logged now can't.
            log.warning("What was deleted long ago could not be let go of: %s", error)
        while not self._over.is_set():
            try:
                self.look()
            except Exception:
                # A disk that is full, a folder that is gone: it may be better at the next look.
                log.exception("Looking for offline runs failed; it is tried again")
            self._over.wait(EVERY)

    def _pull(self, found: Path) -> None:
        if found in self._broken:
            return
        try:
            follower = self._followers.get(found)
            if follower is None:
                follower = self._followers[found] = from_wandb.Follower(self._store, found)
            for _ in range(AT_ONCE):
                if self._over.is_set() or not follower.pull():
                    break
            self._refused.discard(found)
        except Exception as error:
            # It has read further than was kept. A new one begins where that ends.
            self._followers.pop(found, None)
            self._tell(found, error)

    def _tell(self, found: Path, error: Exception) -> None:
        if isinstance(error, FileNotFoundError):
            return
        if isinstance(error, StoreError | OSError) and not isinstance(error, Unkeepable):
            if found not in self._refused:
                log.warning("The offline run in %s can't be taken in now; it is tried again: %s", found, error)
            self._refused.add(found)
        else:
            self._broken.add(found)
            log.error("The offline run in %s can't be read and is left out", found, exc_info=error)
