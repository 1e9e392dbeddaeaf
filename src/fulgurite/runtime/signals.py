"""Signals that reach a training run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fulgurite.base.errors import SIGTERMException
from fulgurite.base.rank import rank_zero_info


@contextmanager
def noticed_signals(trainer: Any) -> Iterator[None]:
    """While this is open, SIGTERM and the first Ctrl-C are only noted in ``trainer``; `end_if_asked` acts on them.

    A second Ctrl-C acts at once. Only the main thread can listen; a handler that the program set itself for SIGTERM is
    called as well, one for SIGINT is left alone. Both come back afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    on_term, on_int = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    def terminate(number: int, frame: Any) -> None:
        trainer.received_sigterm = True
        if callable(on_term):
            on_term(number, frame)

    def interrupt(number: int, frame: Any) -> None:
        if trainer.received_sigint:
            raise KeyboardInterrupt
        trainer.received_sigint = True
        rank_zero_info("Ctrl-C: training ends after this batch. Press it again to end at once.")

    signal.signal(signal.SIGTERM, terminate)
    if on_int is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, on_term if on_term is not None else signal.SIG_DFL)
        signal.signal(signal.SIGINT, on_int if on_int is not None else signal.default_int_handler)


def end_if_asked(session: Any) -> None:
    """Raise what ends the run if a signal has asked for it. Called where a checkpoint would be exact."""
    trainer = session.trainer
    if (trainer.received_sigterm or trainer.received_sigint) and session.strategy.agree_on_end(session.progress):
        raise_if_asked(trainer)


def raise_if_asked(trainer: Any) -> None:
    """Raise it whatever the others do."""
    trainer.ended_as_asked = trainer.received_sigterm or trainer.received_sigint
    if trainer.received_sigterm:
        raise SIGTERMException
    if trainer.received_sigint:
        raise KeyboardInterrupt
