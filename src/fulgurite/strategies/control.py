"""What ranks tell one another beside their collectives: who failed first, where each of them is, and when to end.

Collectives can't carry that: a rank that failed enters none, and a signal reaches one rank while the others compute. So
each run has a small key-value store (torch's TCPStore, held by rank 0) and a thread on each rank that looks into it.
"""

import json
import linecache
import os
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import torch.distributed as dist

from fulgurite.base.traces import folded, users_frame
from fulgurite.runtime import signals
from fulgurite.strategies.hearing import Ear
from fulgurite.strategies.release import Release
from fulgurite.strategies.stillness import Stillness

POLL = 0.2
"""Seconds between two looks."""
PATIENCE = timedelta(seconds=10)
"""How long a question to the store may take: it is asked when something is wrong."""


class Control:
    """One rank's side of the store, and the thread that listens while a run is on."""

    def __init__(self, group: Any, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size
        host = os.environ.get("MASTER_ADDR", "127.0.0.1")
        self._hosted = dist.TCPStore(host, 0, is_master=True, wait_for_workers=False) if rank == 0 else None
        port: list[Any] = [self._hosted.port if self._hosted is not None else None]
        dist.broadcast_object_list(port, src=dist.get_global_rank(group, 0), group=group)
        self._address = (host, int(port[0]))
        self._store = self._connect()
        self._runs = 0
        self._main = threading.get_ident()
        self.waiting_at = ""
        self.log_group: Any = None
        """Where values of a step come together; it is made for the first one."""
        self._place_is_final = False
        self._failure: dict[str, Any] | None = None
        self._thread: threading.Thread | None = None
        self._ear: Ear | None = None
        self._release: Release | None = None
        self._ended = threading.Event()
        self._agreed = threading.Event()
        self._last_batch = self._times_told = 0

    def listen(self, trainer: Any) -> None:
        """Begin a run: from now on the others see where this rank is, and it hears if one of them was asked to end."""
        self.leave()
        self._runs += 1
        self._main, self.waiting_at, self._place_is_final = threading.get_ident(), "", False
        self._failure = None
        self._ended, self._agreed, self._last_batch = threading.Event(), threading.Event(), 0
        self._ear, still = Ear(), Stillness(self._main, on_cpu=trainer.strategy.root_device.type == "cpu")
        self._release = Release(trainer, self.rank, self.world_size, still, self._key)
        heard = trainer, self._ended, self._ear, self._release
        self._thread = threading.Thread(target=self._listen, args=heard, daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """The run is over: nobody listens any more."""
        self._ended.set()
        thread, self._thread = self._thread, None
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)
        if ear is not None:
            ear.close()

    def close(self) -> None:
        """The store is needed no more; on rank 0 its server ends."""
        self.leave()
        self._store = self._hosted = self.log_group = None

    @property
    def freed(self) -> bool:
        """Whether a rank has ended so that the others come back from a collective that nobody could finish."""
        return self._release is not None and self._release.freed is not None

    @property
    def disagreement(self) -> str:
        """Where the ranks waited for one another, if that is why one has ended, and nobody had asked for it."""
        return self._release.disagreement if self._release is not None else ""

    def agreed_end(self, batches: int) -> bool:
        """Whether the batch of this number is the one to end after. Waits until all ranks have said where they are."""
        end = time.monotonic() + PATIENCE.total_seconds()
        while not self._agreed.wait(timeout=0.5):
            if self._thread is None or not self._thread.is_alive() or time.monotonic() > end:
                # A rank is gone: it would have said so from its thread, whatever it computes.
                return True
        return batches >= self._last_batch

    def report(self, error: BaseException) -> None:
        """Tell the others that this rank failed, and with what, unless another did before."""
        try:
            if self._store.add(self._key("failures"), 1) == 1:
                what = f"{type(error).__name__}: {error}"
                failure = {"rank": self.rank, "error": what, "traceback": folded(error)}
                self._store.set(self._key("failure"), json.dumps(failure))
                self._store.add(self._key("news"), 1)
        except RuntimeError:
            return  # the store is gone with rank 0, which everybody sees

    def first_failure(self) -> dict[str, Any] | None:
        """What the rank that failed first said; None if none has. What was heard once is kept: rank 0 may go."""
        with suppress(RuntimeError):
            if self._failure is None and self._store.add(self._key("failures"), 0):
                self._failure = json.loads(self._store.get(self._key("failure")))
        return self._failure

    def tell_ended(self) -> None:
        """This rank's run is over: it waits for nobody any more. Rank 0 lets the others hear why, before it may go."""
        end = time.monotonic() + 1
        with suppress(RuntimeError):
            self._store.set(self._key(f"ended/{self.rank}"), "1")
            others = list(range(1, self.world_size)) if self.rank == 0 and self.first_failure() is not None else []
            while others and time.monotonic() < end:
                others = [rank for rank in others if not self._store.check([self._key(f"heard/{rank}")])]
                time.sleep(POLL / 4)

    def has_ended(self, rank: int) -> bool:
        """Whether ``rank`` said so."""
        return self._knows(f"ended/{rank}")

    def not_waiting(self) -> list[int]:
        """After a collective failed here: the ranks where it did not. Gives the others a moment to say so."""
        self._place_is_final = True
        missing, end = list(range(self.world_size)), time.monotonic() + 1
        try:
            self._store.set(self._key(f"waited/{self.rank}"), "1")
            while missing and time.monotonic() < end:
                missing = [rank for rank in missing if not self._store.check([self._key(f"waited/{rank}")])]
                time.sleep(POLL / 2)
        except RuntimeError:
            return [0]  # the store is gone with it
        return missing

    def told_places(self, store: Any = None) -> str:
        """Where each rank was when it last said so, a line for each; nothing where rank 0 is gone, which keeps it."""
        now, found, places = time.time(), [], self._places(store or self._store)
        for rank, place in enumerate(places if any(places) else []):
            told = "nothing is known" if place is None else f"{place['what']}, {now - place['at']:.0f} s ago"
            found.append(f"  rank {rank}: {told}")
        return "\n".join(found)

    def _places(self, store: Any) -> list[dict[str, Any] | None]:
        found: list[dict[str, Any] | None] = [None] * self.world_size
        with suppress(RuntimeError):  # the store is gone with rank 0
            for rank in range(self.world_size):
                key = self._key(f"place/{rank}")
                found[rank] = json.loads(store.get(key)) if store.check([key]) else None
        return found

    def _knows(self, name: str) -> bool:
        try:
            return self._store.check([self._key(name)])
        except RuntimeError:
            return False  # the store is gone with rank 0

    def _listen(self, trainer: Any, ended: threading.Event, ear: Ear, release: Release) -> None:
        try:
            store = self._connect()
            while not ended.is_set():
                numbers = ear.wait(POLL)
                release.look()
                release.hear(numbers)
                if not self._place_is_final:
                    self._tell_place(store, trainer, release.stuck)
                # One question in place of several: rank 0 answers those of all ranks, for as long as the run lasts.
                has_news = bool(store.add(self._key("news"), 0))
                if has_news and self._failure is None and store.add(self._key("failures"), 0):
                    self._failure = json.loads(store.get(self._key("failure")))
                    store.set(self._key(f"heard/{self.rank}"), "1")
                if (has_news or signals.asking(trainer) or trainer.received_stop) and not self._agreed.is_set():
                    self._pass_on_end(store, trainer)
                if self.world_size > 1 and (has_news or release.has_cause):
                    release.act(store, partial(self._places, store), partial(self.told_places, store))
        except RuntimeError:
            return  # the store is gone

    def _tell_place(self, store: Any, trainer: Any, stuck: float) -> None:
        progress, (call, line) = trainer.progress, _line(self._main)
        batch = max(progress.batches_ready - 1, 0)
        hook = trainer._moment.hook or ("the backward pass" if call == "_engine_run_backward" else "no hook")
        what = f"waits for the others at {self.waiting_at!r}" if self.waiting_at else f"in {hook}"
        self._times_told += 1
        place = {
            "what": f"{what}, epoch {progress.epoch}, batch {batch}, at {line}",
            "where": [what, progress.epoch, batch, call],
            "at": time.time(),
            "stuck": stuck,
            "times": self._times_told,
        }
        store.set(self._key(f"place/{self.rank}"), json.dumps(place))

    def _pass_on_end(self, store: Any, trainer: Any) -> None:
        """Spread a request to end; once everybody has said where it is, the furthest batch is the last for all."""
        mine, end = self._key(f"at/{self.rank}"), self._key("end")
        number = signals.asking(trainer)
        if not store.check([end]):
            if not number and not trainer.received_stop:
                return
            store.set(end, str(number))
            store.add(self._key("news"), 1)
        if not store.check([mine]):
            number = int(store.get(end))
            if number:
                signals.note(trainer, number)
            else:
                trainer.received_stop = True
            # The next batch may have begun in this very moment, so it counts as begun.
            store.set(mine, str(trainer.progress.earlier_batches + trainer.progress.batches_ready + 1))
        everybody = [self._key(f"at/{rank}") for rank in range(self.world_size)]
        if store.check(everybody):
            self._last_batch = max(int(store.get(key)) for key in everybody)
            self._agreed.set()

    def _connect(self) -> Any:
        host, port = self._address
        return dist.TCPStore(host, port, is_master=False, timeout=PATIENCE, wait_for_workers=False)

    def _key(self, name: str) -> str:
        return f"{self._runs}/{name}"


def _line(thread: int) -> tuple[str, str]:
    """The function that a thread is in, and its line, with the user's own line above it where that is another."""
    frame = sys._current_frames().get(thread)
    if frame is None:
        return "", "no line"
    inner, frame = frame, users_frame(frame)
    within = f"{os.path.basename(inner.f_code.co_filename)}:{inner.f_lineno} ({inner.f_code.co_name})"
    if frame is None:
        return inner.f_code.co_name, within
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    users = f"{frame.f_code.co_filename}:{frame.f_lineno} `{line}`"
    return inner.f_code.co_name, users if frame is inner else f"{users}, inside {within}"
