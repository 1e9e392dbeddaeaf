"""Signals that come while the main thread is in a C call, where Python's handlers have to wait for it."""

import os
import select
import signal
import socket
import threading
from contextlib import suppress

from fulgurite.runtime import signals

_open: set[int] = set()
"""What this process has given to ``signal.set_wakeup_fd``."""


class Ear:
    """Hears which signals come, in whatever thread it is asked.

    It does so if the main thread has made it, and while nobody else does, such as asyncio; otherwise it only waits.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._number = self._writer.fileno()
        if threading.current_thread() is not threading.main_thread():
            return
        before = signal.set_wakeup_fd(self._number, warn_on_full_buffer=False)
        if before != -1:
            signal.set_wakeup_fd(before)
        else:
            _open.add(self._number)

    def wait(self, seconds: float) -> set[int]:
        """Return the numbers of the signals that came, or nothing when the time is over, or after `wake`."""
        # An error: it was closed meanwhile.
        with suppress(OSError, ValueError):
            select.select([self._reader], [], [], seconds)
            return {number for number in self._reader.recv(4096) if number}
        return set()

    def wake(self) -> None:
        """Let the thread that waits go on."""
        with suppress(OSError):
            self._writer.send(b"\0")

    def close(self) -> None:
        if self._number in _open:
            _open.discard(self._number)
            with suppress(ValueError):  # not in the main thread
                before = signal.set_wakeup_fd(-1)
                if before != self._number:
                    signal.set_wakeup_fd(before)
        self._reader.close()
        self._writer.close()


def asks_for_the_end(number: int) -> bool:
    """Whether training listens to this signal; the program may use it for something of its own."""
    handler = signal.getsignal(number)
    return handler is signal.default_int_handler or getattr(handler, "__module__", "") == signals.__name__


def name_of(number: int) -> str:
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def _forget() -> None:
    """A process that was forked must not write down here what is sent to it."""
    if _open:
        _open.clear()
        with suppress(ValueError):
            signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
