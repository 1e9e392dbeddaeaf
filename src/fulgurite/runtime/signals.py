"""Signals that reach a training run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def noticed_sigterm(trainer: Any) -> Iterator[None]:
    """While this is open, SIGTERM sets ``trainer.received_sigterm``; the loop ends at the next batch.

    Only the main thread can listen; a handler that the program set itself is called as well and comes back afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)

    def notice(number: int, frame: Any) -> None:
        trainer.received_sigterm = True
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, notice)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
