"""A run as its own process writes it: rows go to memory at once, and to the store a moment later."""

import atexit
import logging
import os
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from fulgurite.track.store.runs import ENTITY, new_name
from fulgurite.track.store.transpose import FARTHEST
from fulgurite.track.writer.backlog import Backlog
from fulgurite.track.writer.batch import Batch, Kept
from fulgurite.track.writer.console import Capture, Screen
from fulgurite.track.writer.facts import Facts
from fulgurite.track.writer.outlet import Outlet
from fulgurite.track.writer.system import INTERVAL, SystemMetrics
from fulgurite.track.writer.values import PLAIN, named, plain, text

PERIOD = 0.4  # seconds between two writings: what was logged is durable within a second
FINISHING = 10.0  # seconds that `finish` goes on trying
PRINTED = 100_000  # pieces of what is printed that may wait between two writings
FORKING = 1.0  # seconds that a fork waits for a writing to end

log = logging.getLogger("fulgurite.track")

_open: "weakref.WeakSet[RunWriter]" = weakref.WeakSet()
_held: list[threading.Lock] = []


class RunWriter:
    """Writes one run of ``project`` to the store in ``store``; the run is opened when something is first logged.

    ``name`` is the run's id; one that is there is continued. ``known`` is what else is said of it (`Runs.update`).
    What the store can't take is kept in memory and then in a file in ``rescue``; nothing here slows or ends a training.
    ``console`` notes what is printed, ``facts`` machine and code; ``system`` how the machine is doing, every 15 or so
    many seconds.
    A copy in a forked process writes nothing.
    """

    def __init__(
        self,
        project: str,
        name: str | None = None,
        *,
        entity: str = ENTITY,
        store: str | os.PathLike[str] | None = None,
        rescue: str | os.PathLike[str] | None = None,
        console: bool = False,
        system: bool | float = False,
        facts: bool = True,
        **known: Any,
    ) -> None:
        self.project, self.name = project, name or new_name()
        self.step = -1
        """The last step that was logged."""
        self.on_stop: Callable[[], object] | None = None
        """Called once, from the writer's thread, when somebody has asked the run to stop: within about two seconds."""
        self._outlet = Outlet(project, self.name, entity, store, known)
        self._backlog = Backlog(self._outlet, rescue)
        self._console, self._system, self._facts = console, system, facts
        self._capture = Capture(lambda *printed: self._printed.append(printed))
        self._rows: deque[tuple[int, float, dict[str, Any]]] = deque()
        self._printed: deque[tuple[str, float, str]] = deque(maxlen=PRINTED)
        self._said = Batch()
        # A signal's handler may log, too: it must not wait for the thread that it interrupts.
        self._saying, self._writing = threading.RLock(), threading.Lock()
        self._screen = Screen()
        self._started = self._inert = False
        self._end: tuple[int, str | None] | None = None
        self._former: tuple[int, str | None] | None = None
        self._older_error: object = None

    def log(self, row: Mapping[str, Any], step: int | None = None) -> None:
        """Take a row; a step's rows are one row. Without ``step`` it is one more than the last."""
        if self._inert:
            return
        step = self.step + 1 if step is None else int(step)
        if not -FARTHEST <= step <= FARTHEST:
            raise ValueError(f"step={step}: a number within ±2**62 was expected.")
        values = {name: value if type(value) in PLAIN else plain(value) for name, value in row.items()}
        self.step = step
        self._rows.append((step, time.time(), values))
        if not self._started:
            self._start()

    def config(self, values: Mapping[str, Any]) -> None:
        """Add to what the run was started with."""
        self._say(Batch(config=plain(values)))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Add to what came out; without a word it is each name's last value."""
        self._say(Batch(summary=plain(values)))

    def file(self, name: str, content: bytes | str | os.PathLike[str], lent: bool = False) -> None:
        """Keep a content, or the file at a path as it is when its turn comes, as the run's file ``name``.

        A file that is ``lent`` is deleted when it is kept.
        """
        if isinstance(content, bytes):
            self._say(Batch(files=[Kept(text(name), content)]))
        else:
            self._say(Batch(files=[Kept(text(name), path=os.path.abspath(content), lent=lent)]))

    def listen(self) -> None:
        """Note from now on what is printed, if that was asked for; it is kept if the run is opened."""
        if self._console:
            self._capture.start()

    def broke(self, error: BaseException) -> None:
        """Note how the script broke, as the interpreter will print it when the run has ended."""
        if self._console and not self._inert:
            self._printed.append(("stderr", time.time(), "".join(traceback.format_exception(error))))

    def open(self) -> None:
        """Begin the run, also if nothing was logged yet."""
        if not self._started and not self._inert:
            self._start()

    def flush(self) -> bool:
        """Write what has gathered now; False if the store can't take it."""
        return self._inert or self._write_out()

    def finish(self, exit_code: int = 0, state: str | None = None) -> None:
        """Write everything and note how the run ended. What is logged later opens it again.

        If the store can't take it within ten seconds, all that it has not taken is in a rescue file, and a warning
        says where.
        """
        if self._inert:
            return
        self._capture.stop()
        if not self._started:
            self._printed.clear()
            return
        self._stop.set()
        self._metrics.stop()
        self._say(self._known_facts.result(), open=False)
        # If this is interrupted, the interpreter's end does it again, and what was said first holds.
        self._end = self._end or (exit_code, state)
        self._say(Batch(end=self._end), open=False)
        # A store that has failed before is asked once more, and not waited for.
        deadline = time.monotonic() + (0 if self._outlet.failures else FINISHING)
        while not self._write_out():
            if time.monotonic() > deadline:
                with self._writing:
                    self._backlog.give_up()
                break
            time.sleep(PERIOD)
        with self._writing:
            self._outlet.close()
        self._started = False
        _open.discard(self)

    def finish_with_script(self) -> None:
        """Finish as the script ends that did not do it: a run that was ended before ends as it did then.

        A script that comes to its end has succeeded; what it handed to ``sys.exit`` can't be seen from here.
        """
        error = _last_error()
        if error is not None and error != self._older_error:
            self.finish(1)
        else:
            self.finish(*(self._former or (0,)))

    def _say(self, batch: Batch, open: bool = True) -> None:
        if self._inert:
            return
        with self._saying:
            self._said.add(batch)
        if open:
            self.open()

    def _start(self) -> None:
        with self._saying:
            if self._started:
                return
            self._started, self._former, self._end = True, self._end, None
        # A notebook goes on after an error: one from before the run is not the run's.
        self._older_error = _last_error()
        self._stop = threading.Event()
        self._metrics = SystemMetrics(self._take_metrics, INTERVAL if self._system is True else self._system)
        self._known_facts = Facts(self._outlet.target.created_at)
        self.listen()
        _open.add(self)
        try:
            threading.Thread(target=self._work, args=(self._stop,), name="fulgurite-writer", daemon=True).start()
            if self._facts:
                self._facts = False
                self._known_facts.start()
            if self._system:
                self._metrics.start()
        except RuntimeError:
            # The interpreter is ending and starts no threads any more; `finish` writes all the same.
            pass

    def _work(self, stop: threading.Event) -> None:
        wait, told = PERIOD, False
        while not stop.wait(wait):
            self._say(self._known_facts.found(), open=False)
            written = False
            try:
                written = self._write_out()
                if self._outlet.stop_asked and self.on_stop is not None and not told:
                    told = True
                    self.on_stop()
            except Exception:
                # A thread that ends would take all that is logged later with it.
                log.debug("Writing to the run store failed", exc_info=True)
            wait = PERIOD if written else min(2 * wait, 20 * PERIOD)

    def _take_metrics(self, moment: float, values: Mapping[str, float]) -> None:
        self._say(Batch(system=[(int(moment * 1000), moment, dict(values))]), open=False)

    def _write_out(self) -> bool:
        """Hand over to the store what has gathered; False if it can't take it now."""
        with self._writing:
            return self._backlog.push(self._gathered())

    def _gathered(self) -> Batch:
        with self._saying:
            batch, self._said = self._said, Batch()
        # Only as many as there are now: the training goes on adding.
        rows = [self._rows.popleft() for _ in range(len(self._rows))]
        batch.rows += [(step, moment, named(row)) for step, moment, row in rows]
        for _ in range(len(self._printed)):
            # Anything may be printed, and it must not take the rows with it.
            with suppress(Exception):
                self._screen.write(*self._printed.popleft())
        batch.lines += self._screen.changed()
        return batch

    def _abandon(self) -> None:
        """Be silent: this is a copy in a forked process, and the rows are the parent's."""
        self._inert, self._started = True, False
        self._rows.clear()
        self._outlet.leave_to_parent()


def _finish_open() -> None:
    """End the runs that the script left open."""
    for writer in list(_open):
        writer.finish_with_script()


def _last_error() -> tuple[int, int] | None:
    """Which error was last printed as uncaught; it is not held, since it holds the script's variables."""
    error = getattr(sys, "last_value", None)
    return None if error is None else (id(error), id(sys.last_traceback))


def _hold_still() -> None:
    """Let no thread be inside SQLite while the process forks: the child would wait forever for what it holds."""
    _held.extend(writer._writing for writer in list(_open) if writer._writing.acquire(timeout=FORKING))


def _go_on() -> None:
    while _held:
        _held.pop().release()


def _abandon_open() -> None:
    _held.clear()
    for writer in list(_open):
        writer._abandon()
    _open.clear()


atexit.register(_finish_open)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_still, after_in_parent=_go_on, after_in_child=_abandon_open)
