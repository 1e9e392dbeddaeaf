"""How ranks find one another before their process group begins.

torch would wait for those that are missing in one long call, in which no signal is heard. Here a rank waits in short
steps, says what it waits for, and goes into that call when all others are there.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import torch.distributed as dist

from fulgurite.base import ports
from fulgurite.base.errors import MisconfigurationException, RankFailed, SIGTERMException
from fulgurite.base.rank import log

STEP = 0.1
"""Seconds between two looks."""
ATTEMPT = 1.0
"""Seconds that a machine has to answer one attempt to reach it."""
FIRST_WORD, NEXT_WORD = 10.0, 60.0
"""Seconds until it is said what is awaited, and until it is said again."""
SHOWN = 8
"""Missing ranks that are named."""
WAY_OUT = (
    "See what the missing ones print. On several machines the script is started on each of them, by torchrun or SLURM, "
    "or by hand with one MASTER_ADDR and MASTER_PORT for all, which the others reach, and a NODE_RANK of its own. The "
    "strategy's `timeout` says how long ranks wait."
)


class Meeting:
    """One rank's way to the others, at the address and the port that MASTER_ADDR and MASTER_PORT name.

    ``look`` is called at each step, and raises where waiting has become useless. ``turn`` counts the groups that this
    program has begun before: what listened for them may listen still, and know what was told then.
    """

    def __init__(
        self, rank: int, size: int, timeout: timedelta, speaks: bool, look: Callable[[], None], turn: int = 0
    ) -> None:
        self.rank, self.size, self.timeout, self.speaks, self.look = rank, size, timeout, speaks, look
        self.turn = turn
        self.address, self.port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self._end = time.monotonic() + timeout.total_seconds()
        self._gives_up = datetime.now() + timeout if timeout < timedelta(days=999) else None
        self._speaks_at = time.monotonic() + FIRST_WORD
        self._place = f"{self.address}:{self.port}"
        self._problem = "has not been asked"
        self._missing: list[int] = []
        """As rank 0 last saw it."""

    def come(self, by_agent: bool) -> Any:
        """Return the store in which all ranks are, when they are. ``by_agent``: torchrun holds it, not rank 0."""
        try:
            store = self._first() if self.rank == 0 and not by_agent else self._other()
            store = _of_this_start(store) if by_agent else store
            store = dist.PrefixStore(f"turn {self.turn}", store) if self.turn else store
            self._wait_for_all(dist.PrefixStore("meeting", store))
        except (KeyboardInterrupt, SystemExit) as error:
            if self.speaks:
                names = {KeyboardInterrupt: "Ctrl-C", SIGTERMException: "SIGTERM"}
                name = names.get(type(error), "a signal")
                log.info(f"Ended by {name} before the ranks had met: {self._who_waits()}.")
            raise
        return dist.PrefixStore("default_pg", store)

    def _first(self) -> Any:
        """What rank 0 listens with.

        It goes on with what has listened since a free port was found, if that was here: nobody else can have taken it,
        and a rank that came earlier is heard.
        """
        if sys.platform == "win32":
            ports.let_go(self.port)  # torch listens by itself there
        self._problem = "is this one, and can't be reached there"
        try:
            return self._attempted(is_master=True, multi_tenant=True, master_listen_fd=ports.take(self.port))
        except dist.DistNetworkError as error:
            if "EADDRINUSE" not in str(error):
                raise
            raise port_is_taken(self.port) from None

    def _other(self) -> Any:
        """What any other rank asks rank 0 with."""
        while (problem := self._unreached()) is not None:
            self._problem = f"can't be reached ({problem})"
            self._check_time()
            self._step(self.speaks)
        self._problem = "does not answer yet"
        # Where rank 0 holds the port without listening to it yet, only torch's own attempt gets an answer.
        return self._attempted(is_master=False)

    def _attempted(self, **how: Any) -> Any:
        """What torch's own attempt gives, which hears no signal: it has a thread to itself."""
        made: list[Any] = []
        attempt = threading.Thread(target=self._attempt, args=(made, how), daemon=True)
        attempt.start()
        attempt.join(STEP)
        while not made:
            self._check_time()
            self._step(self.speaks, attempt)
        if isinstance(made[0], BaseException):
            raise made[0]
        return made[0]

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            raise dist.DistStoreError(f"{self._who_waits()}: in vain for {self.timeout}. {WAY_OUT}")

    def _unreached(self) -> str | None:
        """Why nobody is found where the ranks meet; None if somebody is."""
        try:
            # torch's own attempt prints pages where nobody listens yet.
            socket.create_connection((self.address, self.port), timeout=ATTEMPT).close()
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _attempt(self, made: list[Any], how: dict[str, Any]) -> None:
        try:
            made.append(self._connected(**how))
        except BaseException as error:
            made.append(error)

    def _connected(self, **how: Any) -> Any:
        # torch's own default: its builds for Windows have no libuv.
        libuv = os.environ.get("USE_LIBUV", "0" if sys.platform == "win32" else "1") == "1"
        return dist.TCPStore(
            self.address, self.port, self.size, timeout=self.timeout, wait_for_workers=False, use_libuv=libuv, **how
        )

    def _wait_for_all(self, store: Any) -> None:
        """Tell that this rank is here. Rank 0 looks who else is, and the others wait for its word."""
        self._problem, looks_at = "has not seen all of the others", 0.0
        try:
            store.set(f"here/{self.rank}", "1")
            # One question at each step, whatever the number of ranks: rank 0 answers those of all.
            awaited = [f"here/{rank}" for rank in range(self.size)] if self.rank == 0 else ["all"]
            while not store.check(awaited):
                if time.monotonic() > self._end:
                    raise dist.DistStoreError(self._came_too_few(store))
                if self.rank == 0 and time.monotonic() > looks_at:
                    # Before it is told, and seldom: it takes a question for each.
                    self._missing, looks_at = self._absent(store), time.monotonic() + STEP * 5
                self._step(self.rank == 0)
            if self.rank == 0:
                store.set("all", "1")
        except dist.DistNetworkError:
            raise RankFailed(
                f"The ranks were to meet at {self._place}, and what listened there is gone: rank 0, or torchrun, ended "
                f"before all {self.size} had come. Its own output says why."
            ) from None
        except BaseException:
            with suppress(RuntimeError):
                # Whoever waits on may be joined by another that is started in place of this one.
                store.delete_key(f"here/{self.rank}")
            raise

    def _absent(self, store: Any) -> list[int]:
        return [rank for rank in range(self.size) if rank != self.rank and not store.check([f"here/{rank}"])]

    def _came_too_few(self, store: Any) -> str:
        missing = self._absent(store)
        return (
            f"{self.size - len(missing)} of {self.size} ranks came to {self._place} within {self.timeout}; "
            f"{listed(missing)} did not. {WAY_OUT}"
        )

    def _who_waits(self) -> str:
        if not self._missing:
            return f"Rank {self.rank} waits for rank 0 at {self._place}, which {self._problem}"
        here = self.size - len(self._missing)
        return f"{here} of {self.size} ranks are at {self._place} and wait for {listed(self._missing)}"

    def _step(self, speaks: bool, attempt: threading.Thread | None = None) -> None:
        self.look()
        if time.monotonic() > self._speaks_at:
            self._speaks_at = time.monotonic() + NEXT_WORD
            if speaks:
                until = "" if self._gives_up is None else f"; the wait ends at {self._gives_up:%Y-%m-%d %H:%M:%S}"
                log.info(f"{self._who_waits()}{until}.")
        time.sleep(STEP) if attempt is None else attempt.join(STEP)


def listed(ranks: list[int]) -> str:
    """The ranks in words; the first of them where they are many."""
    more = f" and {len(ranks) - SHOWN} more" if len(ranks) > SHOWN else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks[:SHOWN]))}{more}"


def port_is_taken(port: int) -> MisconfigurationException:
    """What to raise where somebody else listens to the port of rank 0."""
    return MisconfigurationException(
        f"Rank 0 can't listen to port {port}, which MASTER_PORT names: another program of this machine does, such as "
        "a second run with the same MASTER_PORT, or the rest of an earlier one. Unset it on a single machine, where a "
        "free port is found then, or choose another, alike for all processes."
    )


def _of_this_start(store: Any) -> Any:
    """The part of torchrun's store that belongs to this start of its processes.

    After a restart torch looks into the same store as before, finds the addresses of processes that are gone, and
    fails. With one machine all know the number of the restart; with several they may count differently.
    """
    counted, alone = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), os.environ.get("GROUP_WORLD_SIZE") == "1"
    return store if counted == "0" or not alone else dist.PrefixStore(f"restart {counted}", store)
