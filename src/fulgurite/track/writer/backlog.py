"""What the store has not taken yet: kept in memory, then in a file, and brought in as soon as the store is back."""

import logging
import os
import tempfile
from pathlib import Path

from fulgurite.track.writer.batch import Batch
from fulgurite.track.writer.outlet import Outlet
from fulgurite.track.writer.rescue import rescue_file, set_aside

MOST = 50_000  # rows and lines that wait in memory for a store that can't take them
LAST_RESORT = 20 * MOST  # of those that no folder takes either, only so many are kept

log = logging.getLogger("fulgurite.track")


class Backlog:
    """Stands before an outlet. Files go to the folder ``rescue``, or to that of temporary files if it takes none."""

    def __init__(self, outlet: Outlet, rescue: str | os.PathLike[str] | None) -> None:
        self._outlet = outlet
        self._folders = [Path(folder) for folder in (rescue, tempfile.gettempdir()) if folder]
        self._waiting = Batch()
        self._complained = False

    def push(self, batch: Batch) -> bool:
        """Hand over the batch and all that waits; False if the store can't take it now."""
        self._waiting.add(batch)
        try:
            self._outlet.take(self._waiting)
        except Exception as error:
            return self._refused(error)
        self._waiting = Batch()
        return True

    def give_up(self) -> None:
        """Put what waits into a file and say where it is."""
        self._spill()
        if self._outlet.spilled is not None:
            log.warning(
                "The run store in %s could not take the run %r. What is missing there is in %s; `fulgurite import` "
                "brings it in.",
                self._outlet.folder,
                self._outlet.target.run,
                self._outlet.spilled,
            )

    def _refused(self, error: Exception) -> bool:
        if self._outlet.is_down(error):
            self._complain(f"does not take the run, which is kept in memory until it does. The reason: {error}")
            if self._waiting.weight() > MOST:
                self._spill()
            return False
        # Nothing that is tried again can change it: what else is logged must not wait behind it.
        path = self._put_into_file(f"{self._outlet.target.run}-refused")
        self._complain(f"did not take some of what was logged ({type(error).__name__}: {error}). It is in {path}.")
        return path is not None

    def _complain(self, what: str) -> None:
        if not self._complained:
            self._complained = True
            log.warning("The run store in %s %s", self._outlet.folder, what)

    def _spill(self) -> None:
        path = self._put_into_file(self._outlet.target.run)
        if path is not None:
            self._outlet.spilled = path
        elif len(self._waiting) > LAST_RESORT:
            dropped = self._waiting.drop_oldest(LAST_RESORT // 2)
            log.warning("Neither the run store nor any folder takes what is logged: %d rows are lost.", dropped)

    def _put_into_file(self, name: str) -> Path | None:
        """Move what waits to a file; None if no folder takes one, which leaves it in memory."""
        for folder in self._folders:
            path = rescue_file(folder, name)
            try:
                set_aside(path, self._outlet.target, self._outlet.first_line, self._waiting)
            except OSError:
                continue
            self._waiting = Batch()
            return path
        return None
