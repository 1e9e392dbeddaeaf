"""Whether the main thread does anything: it may compute for long inside one C call, or wait there for ever."""

import os
import sys
import time
from collections.abc import Hashable
from types import FrameType

BUSY = 0.05
"""The share of one processor from which on a process computes. One that waits, and looks at itself, takes a tenth."""
SLACK = 0.1
"""Seconds of computing that tell nothing."""
WAITS = (
    os.path.join("torch", "distributed", ""),
    os.path.join("torch", "nn", "parallel", "distributed.py"),
    os.path.join("torch", "autograd", "graph.py"),
    os.path.join("torch", "_ops.py"),
    os.path.join("deepspeed", "comm", ""),
)
"""Where the line is that waits for other ranks. Backward passes do as well; these compute most of the time."""


class Stillness:
    """How long a thread has stayed where it is while the whole process computed nothing."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.moved = self._since = time.monotonic()
        """When it was last seen to have moved."""
        self._computed = time.process_time()
        self._mark: Hashable = None
        self.waits = False
        """Whether it is where ranks wait for one another."""

    def look(self, *beside: Hashable) -> float:
        """Return for how many seconds nothing happened. What is ``beside`` tells of a move as well."""
        now, computed = time.monotonic(), time.process_time()
        frame = sys._current_frames().get(self.thread)
        # The frame itself would keep alive what it holds.
        mark = (id(frame), 0 if frame is None else frame.f_lasti, *beside)
        if mark != self._mark:
            self._mark, self.moved = mark, now
        if self.moved == now or computed - self._computed > SLACK + BUSY * (now - self._since):
            self._since, self._computed = now, computed
        self.waits = _waits(frame)
        return now - self._since


def _waits(frame: FrameType | None) -> bool:
    return frame is not None and any(place in frame.f_code.co_filename for place in WAITS)
