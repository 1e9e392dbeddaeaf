"""Ends a wait for a batch that lasts too long: a thread looks at the clock, and at what everybody is doing."""

import ctypes
import faulthandler
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from fulgurite.base.errors import LoaderTimeoutError
from fulgurite.runtime import workers

if TYPE_CHECKING:
    from fulgurite.runtime.data import Feed

_END = object()
SIGNAL = getattr(signal, "SIGURG", None)
"""What wakes the waiting thread: nobody uses it, and whoever does not know it ignores it."""
GRACE = 10.0
"""Seconds in which the waiting thread must hear it."""
LINES = 8
"""So much of each stack is told, from its inner end."""


class Watch:
    """Raises `LoaderTimeoutError` in the thread that has waited longer than ``seconds`` for a batch."""

    def __init__(
        self, seconds: float, feeds: Mapping[str, "Feed"], is_deaf: Callable[[str, LoaderTimeoutError], object]
    ) -> None:
        """``feeds`` are the run's, by stage.

        ``is_deaf`` is called with stage and error, in a thread of its own, where native code keeps the waiting thread
        from hearing it.
        """
        self.seconds, self.feeds, self.is_deaf = seconds, feeds, is_deaf
        self.error: LoaderTimeoutError | None = None
        self._since: float | None = None
        self._stage = ""
        self._waiting: threading.Thread | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._earlier: Any = None
        self._prepared: list[tuple[Any, Any]] = []
        self._folder: str | None = None

    def around(self, begin: Callable[[], Iterable[Any]], stage: str) -> Iterator[Any]:
        """Yield from ``begin()``, and note each wait for the next one, the start of the loader's workers included."""
        self._open()
        feed, batches = self.feeds.get(stage), None
        if feed is not None:
            self._prepare(feed.loaders)
        while True:
            self._stage, self._waiting, self._since = stage, threading.current_thread(), time.monotonic()
            try:
                batches = iter(begin()) if batches is None else batches
                batch = next(batches, _END)
            except LoaderTimeoutError as woken:
                if self.error is None or woken is self.error:
                    raise
                # A thread other than the main one is woken by the class alone.
                raise self.error.with_traceback(woken.__traceback__) from None
            finally:
                self._since = None
            if batch is _END:
                return
            yield batch

    def close(self) -> None:
        """Look no more, and leave loaders and signals as they were."""
        self._closed.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(GRACE)
        if self._earlier is not None and threading.current_thread() is threading.main_thread():
            signal.signal(SIGNAL, self._earlier)  # type: ignore[arg-type]
            self._earlier = None
        for loader, own in self._prepared:
            loader.worker_init_fn = own
        self._prepared.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _open(self) -> None:
        if self._thread is not None:
            return
        is_free = SIGNAL is not None and signal.getsignal(SIGNAL) in (signal.SIG_DFL, signal.SIG_IGN)
        if is_free and threading.current_thread() is threading.main_thread():
            self._earlier = signal.signal(SIGNAL, self._wake)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._look, name="LoaderTimeout", daemon=True)
        self._thread.start()

    def _prepare(self, loaders: Iterable[Any]) -> None:
        """Let the workers of these loaders say what they are doing when they are asked, until `close`."""
        for loader in loaders:
            own = getattr(loader, "worker_init_fn", None)
            if SIGNAL is not None and isinstance(loader, DataLoader) and not isinstance(own, _Telling):
                self._folder = self._folder or tempfile.mkdtemp(prefix="fulgurite-")
                self._prepared.append((loader, own))
                loader.worker_init_fn = _Telling(own, self._folder)

    def _wake(self, number: int, frame: FrameType | None) -> None:
        if self.error is not None and self._since is not None:
            raise self.error

    def _look(self) -> None:
        while not self._closed.wait(min(1.0, self.seconds / 10)):
            since = self._since
            if since is not None and time.monotonic() - since >= self.seconds:
                self.error = LoaderTimeoutError(self._said())
                if self._since is since:
                    self._interrupt(since, self.error)

    def _interrupt(self, since: float, error: LoaderTimeoutError) -> None:
        # Twice: a dataset that catches all errors may go on to wait for the next file.
        for _ in range(2):
            self._wake_up()
            until = time.monotonic() + GRACE / 2
            while time.monotonic() < until:
                if self._since is not since or self._closed.wait(0.05):
                    return
        self.is_deaf(self._stage, error)

    def _wake_up(self) -> None:
        waiting = self._waiting
        assert waiting is not None and waiting.ident is not None
        if waiting is threading.main_thread() and self._earlier is not None:
            signal.pthread_kill(waiting.ident, SIGNAL)  # type: ignore[arg-type]
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(waiting.ident), ctypes.py_object(LoaderTimeoutError)
            )

    def _said(self) -> str:
        waiting = self._waiting
        frame = sys._current_frames().get(waiting.ident or 0) if waiting is not None else None
        feed = self.feeds.get(self._stage)
        processes = [pair for batches in list(feed.passes) for pair in enumerate(batches._workers)] if feed else []
        said = [
            f"The {self._stage} dataloader gave no batch for {self.seconds:g} s, the time of LoaderTimeout. Allow "
            f"more if a batch may take as long.\nThe thread that waits ({waiting.name if waiting else 'unknown'}):"
        ]
        said += _stack(frame)
        # Before they are asked: whoever answers is running.
        doing = [workers.doing(worker) for _, worker in processes]
        told = self._told([worker.pid for _, worker in processes if worker.exitcode is None])
        for (number, worker), state in zip(processes, doing, strict=True):
            stack = told.get(worker.pid)
            idle = " It waits to be asked for a batch." if stack == [] else ""
            said += [f"Worker {number} (pid {worker.pid}) is {state}.{idle}", *(stack or [])]
        return "\n".join(said)

    def _told(self, pids: list[int]) -> dict[int, list[str]]:
        """The stacks that the workers of prepared loaders write when they are asked, by process."""
        if self._folder is None:
            return {}
        files = {pid: Path(self._folder) / str(pid) for pid in pids}
        files = {pid: file for pid, file in files.items() if file.exists()}
        for pid in files:
            os.kill(pid, SIGNAL)  # type: ignore[arg-type]
        until = time.monotonic() + 1
        while time.monotonic() < until and not all("_worker_loop" in file.read_text() for file in files.values()):
            time.sleep(0.02)
        stacks = {pid: _of_dataset(file.read_text().splitlines()[1:]) for pid, file in files.items()}
        return {pid: stack for pid, stack in stacks.items() if stack is not None}


def _stack(frame: FrameType | None) -> list[str]:
    """The inner end of a thread's stack, without what torch does to wait for its workers."""
    lines = traceback.format_stack(frame) if frame is not None else []
    ends = [index for index, line in enumerate(lines) if "in _try_get_data" in line]
    return [line.rstrip() for line in (lines[: ends[0] + 1] if ends else lines)[-LINES:]]


def _of_dataset(lines: list[str]) -> list[str] | None:
    """The part of a worker's stack, innermost first, that is the dataset's; None where there is no whole stack."""
    end = next((index for index, line in enumerate(lines) if line.endswith(" in _worker_loop")), None)
    if end is None:
        return None
    idle = any(line.endswith(" in get") and "multiprocessing" in line for line in lines[:end])
    return [] if idle else lines[:end][:LINES]


class _Telling:
    """A ``worker_init_fn`` that lets the worker write its stack into a file when it is asked by a signal."""

    def __init__(self, own: Callable[[int], Any] | None, folder: str) -> None:
        self.own, self.folder = own, folder

    def __call__(self, number: int) -> None:
        # Kept for as long as the process lives: what writes is no Python.
        self.file = open(Path(self.folder) / str(os.getpid()), "w")
        faulthandler.register(SIGNAL, self.file, all_threads=False)  # type: ignore[arg-type]
        if self.own is not None:
            self.own(number)
