"""The worker processes of loaders: how a run hears of their death, what they are doing, and how they end with it."""

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from torch.utils.data import _utils
from torch.utils.data._utils import signal_handling

deaths: list[RuntimeError] = []
"""Workers' deaths of which the running call has heard: raised before the next batch is waited for."""
GETS = "_try_get_data"
"""The function of torch in which a batch of the workers is waited for."""
LEAST = 1.0
"""Seconds that workers have at least once they were told to end, after others have used up their common time."""
GRACE = 2.0
"""Seconds that a worker has to be gone in, once it was killed."""


def has_processes(batches: Any) -> bool:
    """Whether a pass over a loader is read by worker processes."""
    return hasattr(batches, "_shutdown_workers")


@contextmanager
def deaths_wait_for_a_fetch() -> Iterator[None]:
    """While this is open, a worker's death is an error where a batch is waited for, and nowhere else.

    A signal tells of it, and torch raises wherever the program happens to be: in the middle of an optimizer's step,
    whose weights a checkpoint would then keep, or of the writing of that checkpoint.
    """
    # torch installs its handler once, with the first workers. Ours must come after it.
    install = getattr(signal_handling, "_set_SIGCHLD_handler", None)
    if install is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    install()
    theirs = signal.getsignal(signal.SIGCHLD)

    def heard(number: int, frame: FrameType | None) -> None:
        assert callable(theirs)
        try:
            theirs(number, frame)
        except RuntimeError as error:
            if _waits_for_workers(frame):
                raise
            deaths.append(error)

    if not callable(theirs):
        yield
        return
    signal.signal(signal.SIGCHLD, heard)
    try:
        yield
    finally:
        deaths.clear()
        signal.signal(signal.SIGCHLD, theirs)


def end(loaders: Iterable[Any], passes: Iterable[Any], hung: bool = False, hidden_too: bool = True) -> None:
    """End the worker processes of these passes, whatever they are doing; the loaders may then begin new ones.

    ``hung`` is whether they may not answer. Without ``hidden_too``, persistent ones go on that none of ``loaders``
    keeps by itself: the loader inside another that does may be asked for them again.
    """
    loaders, until = list(loaders), time.monotonic() + _utils.MP_STATUS_CHECK_INTERVAL
    for batches in passes:
        keepers = [loader for loader in loaders if getattr(loader, "_iterator", None) is batches]
        if not hidden_too and not keepers and getattr(batches, "_persistent_workers", False):
            continue
        if hung or dead(batches):
            _kill(batches)
        else:
            until = max(until, time.monotonic() + LEAST)
            batches._workers = [Joined(worker, until) for worker in batches._workers]
            batches._shutdown_workers()
        for loader in keepers:
            loader._iterator = None


class Joined:
    """A worker that torch waits for until a moment that is the same for all: busy ones end together, not in turn."""

    def __init__(self, worker: Any, until: float) -> None:
        self._worker, self._until = worker, until

    def join(self, timeout: float) -> None:
        self._worker.join(min(timeout, max(self._until - time.monotonic(), 0.0)))

    def terminate(self) -> None:
        self._worker.terminate()
        self._until = time.monotonic() + GRACE

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)


def in_traceback(trace: TracebackType | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and variables of each function that an error came through, from the outermost on."""
    while trace is not None:
        yield trace.tb_frame.f_code.co_name, trace.tb_frame.f_locals
        trace = trace.tb_next


def passes_in(trace: TracebackType | None) -> list[Any]:
    """The passes with worker processes that an error came through."""
    owners = {id(owner): owner for _, variables in in_traceback(trace) if has_processes(owner := variables.get("self"))}
    return list(owners.values())


def dead(batches: Any, patience: float = 0.0) -> list[tuple[int, Any]]:
    """Number and process of each worker that did not end well; waits ``patience`` seconds for one at most."""
    workers, until = list(getattr(batches, "_workers", ())), time.monotonic() + patience
    while time.monotonic() < until and all(worker.exitcode in (None, 0) for worker in workers):
        time.sleep(0.02)
    return [(number, worker) for number, worker in enumerate(workers) if worker.exitcode not in (None, 0)]


def doing(worker: Any) -> str:
    """What the system says that a process is doing: running, sleeping, where in the kernel."""
    if worker.exitcode is not None:
        return f"ended with exit code {worker.exitcode}"
    with suppress(OSError, IndexError):
        folder = Path("/proc") / str(worker.pid)
        states = {"R": "running", "S": "sleeping", "D": "in a system call that can't be interrupted", "T": "stopped"}
        letter = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
        where = (folder / "wchan").read_text().split(".")[0].strip("\0\n 0")
        return states.get(letter, letter) + (f" in {where}" if where else "")
    return "alive"


def _kill(batches: Any) -> None:
    """End the workers without asking: a dead one may hold for ever the lock by which torch would ask the others."""
    if batches._shutdown:
        return
    # So that torch neither asks them later nor takes their end for an error.
    batches._shutdown = True
    if batches._worker_pids_set:
        signal_handling._remove_worker_pids(id(batches))
        batches._worker_pids_set = False
    if hasattr(batches, "_pin_memory_thread_done_event"):
        batches._pin_memory_thread_done_event.set()
    for worker in batches._workers:
        worker.kill()
    for worker in batches._workers:
        worker.join(GRACE)
    for queue in batches._index_queues:
        queue.cancel_join_thread()
        queue.close()


def _waits_for_workers(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == GETS:
            return True
        frame = frame.f_back
    return False
