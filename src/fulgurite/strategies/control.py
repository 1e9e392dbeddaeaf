"""What ranks tell one another beside their collectives: who failed first, where each of them is, and when to end.

Collectives can't carry that: a rank that failed enters none, and a signal reaches one rank while the others compute. So
each run has a small key-value store (torch's TCPStore, held by rank 0) and a thread on each rank that looks into it.
"""

import json
import os
import threading
import time
import traceback
from datetime import timedelta
from typing import Any

import torch.distributed as dist

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
        self.waiting_at = ""
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._agreed = threading.Event()
        self._last_batch = 0

    def listen(self, trainer: Any) -> None:
        """Begin a run: from now on the others see where this rank is, and it hears if one of them was asked to end."""
        self.leave()
        self._runs += 1
        self._ended, self._agreed, self._last_batch = threading.Event(), threading.Event(), 0
        self._thread = threading.Thread(target=self._listen, args=(trainer, self._ended), daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """The run is over: nobody listens any more."""
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def agreed_end(self, batches: int) -> bool:
        """Whether the batch of this number is the one to end after. Waits until all ranks have said where they are."""
        while not self._agreed.wait(timeout=1):
            if self._thread is None or not self._thread.is_alive():
                # Rank 0 is gone, and the store with it; nothing that comes can be done together.
                return True
        return batches >= self._last_batch

    def report(self, error: BaseException) -> None:
        """Tell the others that this rank failed, and with what, unless another did before."""
        try:
            if self._store.add(self._key("failures"), 1) == 1:
                text = "".join(traceback.format_exception(error))
                failure = {"rank": self.rank, "error": f"{type(error).__name__}: {error}", "traceback": text}
                self._store.set(self._key("failure"), json.dumps(failure))
        except RuntimeError:
            return  # the store is gone with rank 0, which everybody sees

    def first_failure(self) -> dict[str, Any] | None:
        """What the rank that failed first said, unless it was this one or nobody knows."""
        try:
            if self._store.add(self._key("failures"), 0) == 0:
                return None
            failure = json.loads(self._store.get(self._key("failure")))
        except RuntimeError:
            return None
        return None if failure["rank"] == self.rank else failure

    def places(self) -> list[str]:
        """Where each rank was when it last said so."""
        now, found = time.time(), []
        for rank in range(self.world_size):
            try:
                known = self._store.check([self._key(f"place/{rank}")])
                place = json.loads(self._store.get(self._key(f"place/{rank}"))) if known else None
            except RuntimeError:
                place = None
            told = "nothing is known" if place is None else f"{place['what']}, {now - place['at']:.0f} s ago"
            found.append(f"rank {rank}: {told}")
        return found

    def _listen(self, trainer: Any, ended: threading.Event) -> None:
        try:
            store = self._connect()
            while not ended.wait(POLL):
                self._tell_place(store, trainer)
                if not self._agreed.is_set():
                    self._pass_on_end(store, trainer)
        except RuntimeError:
            return  # the store is gone

    def _tell_place(self, store: Any, trainer: Any) -> None:
        progress, moment = trainer.progress, trainer._moment
        what = f"waits for the others at {self.waiting_at!r}" if self.waiting_at else f"in {moment.hook or 'the loop'}"
        place = f"{what}, epoch {progress.epoch}, batch {max(progress.batches_ready - 1, 0)}"
        store.set(self._key(f"place/{self.rank}"), json.dumps({"what": place, "at": time.time()}))

    def _pass_on_end(self, store: Any, trainer: Any) -> None:
        """Spread a request to end; once everybody has said where it is, the furthest batch is the last for all."""
        mine = self._key(f"at/{self.rank}")
        asked = "sigterm" if trainer.received_sigterm else "sigint" if trainer.received_sigint else ""
        if not asked and not store.check([self._key("end")]):
            return
        if asked and not store.check([self._key("end")]):
            store.set(self._key("end"), asked)
        if not store.check([mine]):
            if store.get(self._key("end")) == b"sigterm":
                trainer.received_sigterm = True
            elif not trainer.received_sigint:
                trainer.received_sigint = True
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
