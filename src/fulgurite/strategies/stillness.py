"""Whether the main thread does anything: it may compute for long inside one C call, or wait there for ever."""

import os
import sys
import time
from collections.abc import Hashable
from functools import partial
from types import FrameType

BUSY = 0.05
"""The share of one processor from which on a thread, or a process, computes."""
SLACK = 0.1
"""Seconds of computing that tell nothing."""
SPAN = 2.0
"""Seconds over which computing is counted."""
PAUSE = 1.0
"""Seconds between two looks from which on the whole process stood still, as after Ctrl-Z."""
WAITS = (
    os.path.join("torch", "distributed", ""),
    os.path.join("torch", "nn", "parallel", "distributed.py"),
    os.path.join("torch", "autograd", "graph.py"),
    os.path.join("torch", "_ops.py"),
    os.path.join("deepspeed", "comm", ""),
)
"""Where the line is that waits for other ranks. Backward passes do as well; these compute most of the time."""
OTHER_WAITS = tuple(os.path.join("torch", "distributed", name, "") for name in ("checkpoint", "rpc"))
"""Where it waits for files, or for processes that are no ranks."""


class Stillness:
    """How long a thread has stayed where it is and computed nothing.

    Where not all is computed ``on_cpu`` the whole process counts: autograd has a thread for each further device.
    """

    def __init__(self, thread: int, on_cpu: bool = True) -> None:
        self.thread = thread
        alone = on_cpu and hasattr(time, "pthread_getcpuclockid")
        self._clock = partial(time.clock_gettime, time.pthread_getcpuclockid(thread)) if alone else time.process_time
        self.moved = self._since = self._looked = self._counted = time.monotonic()
        """When it was last seen to have moved."""
        self._computed = self._clock()
        self._mark: Hashable = None
        self.waits = False
        """Whether it is where ranks wait for one another."""

    def look(self, *beside: Hashable) -> float:
        """Return for how many seconds nothing happened. What is ``beside`` tells of a move as well.

        A thread that has ended is not still.
        """
        now = time.monotonic()
        try:
            computed = self._clock()
        except OSError:
            return 0.0
        frame = sys._current_frames().get(self.thread)
        # The frame itself would keep alive what it holds.
        mark = (id(frame), 0 if frame is None else frame.f_lasti, *beside)
        if now - self._looked > PAUSE:
            # It is no fault of this thread's.
            self._since += now - self._looked
            self._counted, self._computed = now, computed
        self._looked = now
        if mark != self._mark:
            self._mark, self.moved = mark, now
        if self.moved == now or computed - self._computed > SLACK + BUSY * (now - self._counted):
            self._since = self._counted = now
            self._computed = computed
        elif now - self._counted > SPAN:
            self._counted, self._computed = now, computed
        self.waits = _waits(frame)
        return now - self._since


def _waits(frame: FrameType | None) -> bool:
    file = "" if frame is None else frame.f_code.co_filename
    return any(place in file for place in WAITS) and not any(place in file for place in OTHER_WAITS)
