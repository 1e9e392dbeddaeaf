"""Sets ranks free that wait for one another for ever, at once if they were asked to end.

Their main threads are inside torch, where nobody hears a signal. What brings them back is the end of one of them: the
collectives of the others fail, and they save and close as after any error. The last rank ends first, then those that it
did not bring back; rank 0 has most to save, and ends last.
"""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fulgurite.base.errors import MisconfigurationException, RanksDisagree
from fulgurite.runtime import signals
from fulgurite.strategies.hearing import asks_for_the_end, name_of
from fulgurite.strategies.launch import tell_torchrun
from fulgurite.strategies.stillness import Stillness

STILL = 15.0
"""Seconds without a move, after a signal, from which on ranks that wait at different places do so for ever.

After a second Ctrl-C so much time has a rank that computes inside one C call.
"""
AT_ONCE = 2.0
"""After a second Ctrl-C so much time has a rank that waits for others."""
DEADLOCK, DEADLOCK_SECONDS = 60.0, "FULGURITE_DEADLOCK_SECONDS"
"""The same where nobody has asked for anything, and the environment variable for another time; 0 is never.

A network that answers later than that is taken for dead.
"""
SURE = 1.0
"""Seconds after which it must still be so, told anew by every rank."""
UNHEARD = 1.0
"""Seconds in which a main thread that is in Python has heard of a signal."""
HEARD = 0.6
"""Seconds in which all ranks have heard that one of them will end."""
HINT = (
    "Something that all have to do was done by some of them only: `self.log(..., sync_dist=True)`, "
    "`trainer.save_checkpoint`, `strategy.barrier` or `return None` under a condition that differs between ranks, such "
    "as `if self.trainer.is_global_zero:`; or one of them has fewer batches.\n"
)
THEN = 3.0
"""Seconds after which ranks are ended, too, that do not come back although the last one has ended."""
BACK = 10.0
"""The same for rank 0."""


class Release:
    """One rank's part: what was asked of it, how long it has not moved, and what follows."""

    def __init__(self, trainer: Any, rank: int, world_size: int, still: Stillness, key: Callable[[str], str]) -> None:
        self.trainer, self.rank, self.world_size, self.still, self._key = trainer, rank, world_size, still, key
        self.stuck = 0.0
        """For how many seconds this rank waits for others and has not moved, since it was asked to end if it was."""
        self.freed: float | None = None
        """When it was said that a rank will end."""
        self.disagreement = ""
        """Why, if nobody had asked for it."""
        self._why, self._signal, self._deadlock = "", 0, _deadlock()
        self._leaves_at = math.inf
        self._seen: tuple[float, list[int]] | None = None
        self._unheard: dict[int, float] = {}
        self._interrupts = 0
        self._at_once: float | None = None
        self._asked: float | None = None

    @property
    def has_cause(self) -> bool:
        """Whether `act` has something to look at beside news: a second Ctrl-C, or a long wait."""
        return self._at_once is not None or self.stuck >= self._deadlock

    def hear(self, numbers: set[int]) -> None:
        """Take note of signals that came. The main thread gets a moment to do so itself."""
        now = time.monotonic()
        for number in filter(asks_for_the_end, numbers):
            self._interrupts += number == signal.SIGINT
            ends_at_once = self._interrupts > 1 or signal.getsignal(number) is signal.default_int_handler
            if number == signal.SIGINT and ends_at_once:
                self._at_once = now
            else:
                self._unheard.setdefault(number, now)
        for number in [each for each, since in self._unheard.items() if now - since > UNHEARD]:
            del self._unheard[number]
            signals.note(self.trainer, number)

    def look(self) -> None:
        """Look where the main thread is."""
        now, still = time.monotonic(), self.still.look(*_marks(self.trainer))
        if self._asked is None and signals.asking(self.trainer):
            self._asked = now
        since = still if self._asked is None else min(still, now - self._asked)
        self.stuck = since if self.still.waits else 0.0

    def act(self, store: Any, places: Callable[[], list[dict[str, Any] | None]], tell: Callable[[], str]) -> None:
        """End this process if it has come to that. ``places`` are those of all ranks, ``tell`` puts them into words."""
        number = signals.asking(self.trainer)
        if self.freed is None and self._wants_out():
            why = f"Ctrl-C came twice, and rank {self.rank} can't hear it inside torch"
            self._free(store, signal.SIGINT, f"{why}:\n{tell()}")
        elif self.freed is None and self.rank == 0 and self.stuck >= (limit := STILL if number else self._deadlock):
            if self._are_apart(places(), limit):
                asked = f"{name_of(number)} asks for the end after this batch, but the" if number else "The"
                what = f"{asked} ranks wait for one another, each at another place, and none has moved for"
                self._free(store, number, f"{what} {limit:.0f} s:\n{tell()}")
        if self.freed is None and store.check([self._key("freed")]):
            self.freed = time.monotonic()
            freed = json.loads(store.get(self._key("freed")))
            self._why, self._signal = freed["why"], freed["signal"]
        if self.freed is not None:
            self._follow(store, time.monotonic(), self.freed)

    def _follow(self, store: Any, now: float, freed: float) -> None:
        """Leave when it is this rank's turn."""
        is_last, has_moved, left = self.rank == self.world_size - 1, self.still.moved > freed, self._key("left")
        if is_last:
            if self._leaves_at == math.inf and now - freed > HEARD and (self._signal or not has_moved):
                store.set(left, "1")
                self._leaves_at = now + HEARD
        elif self._leaves_at == math.inf and (store.check([left]) or self._signal and now - freed > THEN):
            self._leaves_at = now + (BACK if self.rank == 0 else THEN)
        if self._leaves_at < math.inf and not self._signal:
            self.disagreement = self._why
        if now > self._leaves_at and (is_last or not has_moved):
            self._leave()

    def _are_apart(self, places: list[dict[str, Any] | None], seconds: float) -> bool:
        """Whether all wait for so long, not in the same collective, and say so again: one that can't may have moved."""
        if not _apart(places, seconds):
            self._seen = None
            return False
        now, times = time.monotonic(), [place["times"] for place in places if place is not None]
        if self._seen is None:
            self._seen = now, times
        since, before = self._seen
        return now - since >= SURE and all(new > old for new, old in zip(times, before, strict=True))

    def _wants_out(self) -> bool:
        if self._at_once is not None and self.still.moved > self._at_once:
            self._at_once = None  # it has heard
        if self._at_once is None:
            return False
        return time.monotonic() - self._at_once >= (AT_ONCE if self.still.waits else STILL)

    def _free(self, store: Any, number: int, why: str) -> None:
        if store.add(self._key("frees"), 1) > 1:
            return
        end = f"Rank {self.world_size - 1} is ended, so that the others come back, save what they know, and close."
        why = f"{why}\n{'' if number else HINT}{end} {_newest(self.trainer)}"
        if number:
            # Without a signal it is what the run fails of.
            print(why, file=sys.stderr, flush=True)
        store.set(self._key("freed"), json.dumps({"signal": number, "why": why}))
        store.add(self._key("news"), 1)

    def _leave(self) -> None:
        if self.disagreement:
            # Rank 0 raises it, if whoever has started the ranks lets it.
            is_whole = self.rank == 0 or self.trainer.strategy.cluster_environment.creates_processes_externally
            told = self.disagreement if is_whole else "the ranks wait for one another; rank 0 says where."
            print(f"Rank {self.rank} ends: {told}", file=sys.stderr)
            # torch writes down the traceback of what is being handled.
            try:
                raise RanksDisagree(self.disagreement)
            except RanksDisagree as error:
                tell_torchrun(error)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(128 + self._signal if self._signal else 1)


def _marks(trainer: Any) -> tuple[Any, ...]:
    moment = trainer._moment
    return trainer.progress.batches_ready, moment.hook, id(moment.batch)


def _apart(places: list[dict[str, Any] | None], seconds: float) -> bool:
    """Whether all are stuck for so long, and not in the same collective, which may just be slow.

    What goes from one rank to another (send, recv) has two places for one thing.
    """
    known = [place for place in places if place is not None]
    if len(known) < len(places) or any(place["stuck"] < seconds for place in known):
        return False
    calls = [place["where"][-1] for place in known]
    if any(word in call for call in calls for word in ("send", "recv")):
        return False
    return len({tuple(place["where"]) for place in known}) > 1


def _deadlock() -> float:
    """The seconds that the environment asks for. Raises ``MisconfigurationException`` for what is no number."""
    text = os.environ.get(DEADLOCK_SECONDS, "").strip()
    try:
        seconds = float(text or DEADLOCK)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise MisconfigurationException(
            f"{DEADLOCK_SECONDS}={text!r}: a number of seconds was expected, after which ranks that wait for one "
            "another are ended; 0 for never."
        )
    return seconds or math.inf


def _newest(trainer: Any) -> str:
    saved = [getattr(each, "_last_checkpoint_saved", "") for each in trainer.checkpoint_callbacks]
    saved = [path for path in saved if path and os.path.exists(path)]
    if not saved:
        return "No checkpoint was written before."
    return f"The newest checkpoint before is {max(saved, key=os.path.getmtime)!r}."
