"""Signals that reach a training run."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fulgurite.base.errors import RequeueException, SIGTERMException
from fulgurite.base.rank import rank_zero_info


@contextmanager
def noticed_signals(trainer: Any) -> Iterator[None]:
    """While this is open, SIGTERM, the first Ctrl-C and what a cluster sends are only noted in ``trainer``.

    `end_if_asked` acts on them. A second Ctrl-C acts at once. Only the main thread can listen; a handler that the
    program set itself for SIGTERM is called as well, any other is left alone. All come back afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    on_term, on_int = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    process, interrupts = os.getpid(), 0

    def terminate(number: int, frame: Any) -> None:
        if os.getpid() != process and not callable(on_term):
            end_process(number)
        trainer.received_sigterm = True
        if callable(on_term):
            on_term(number, frame)

    def interrupt(number: int, frame: Any) -> None:
        # Counted here: another rank may have passed on the very Ctrl-C that comes to this one as well.
        nonlocal interrupts
        interrupts += 1
        if interrupts > 1:
            raise KeyboardInterrupt
        note(trainer, number)

    def make_room(number: int, frame: Any) -> None:
        if os.getpid() != process:
            return  # a worker that was forked: the cluster sends it to all of them
        note(trainer, number)

    signal.signal(signal.SIGTERM, terminate)
    if on_int is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    announces = _free_requeue_signal(trainer)
    on_room = None if announces is None else signal.getsignal(announces)
    if announces is not None:
        signal.signal(announces, make_room)
    try:
        yield
    except Exception as error:
        if trainer.received_sigterm:
            # A program that catches its own errors and goes on must not miss that it shall end.
            raise SIGTERMException from error
        if trainer.received_sigint and trainer.strategy.was_freed:
            # Where each rank was has been said; what a collective felt of it tells nothing more.
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGTERM, on_term if on_term is not None else signal.SIG_DFL)
        signal.signal(signal.SIGINT, on_int if on_int is not None else signal.default_int_handler)
        if announces is not None:
            signal.signal(announces, on_room)


@contextmanager
def ended_at_once(trainer: Any) -> Iterator[None]:
    """While this is open, SIGTERM and what a cluster sends end the run where it stands: there is no batch to finish."""
    cluster, process = trainer.strategy.cluster_environment, os.getpid()
    numbers = {signal.SIGTERM, signal.SIGTERM if cluster is None else cluster.requeue_signal} - {None}

    def end(number: int, frame: Any) -> None:
        if os.getpid() != process:
            end_process(number)
        raise SIGTERMException if number == signal.SIGTERM else RequeueException(number)

    in_main_thread = threading.current_thread() is threading.main_thread()
    free = [each for each in numbers if in_main_thread and signal.getsignal(each) is signal.SIG_DFL]
    for number in free:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in free:
            signal.signal(number, signal.SIG_DFL)


def note(trainer: Any, number: int) -> None:
    """Let the run end after this batch, as this signal asks."""
    if number == signal.SIGTERM:
        trainer.received_sigterm = True
    elif number == signal.SIGINT and not trainer.received_sigint:
        trainer.received_sigint = True
        rank_zero_info("Ctrl-C: training ends after this batch. Press it again to end at once.")
    elif number != signal.SIGINT and not trainer.received_requeue:
        trainer.received_requeue = number
        rank_zero_info("The job's time is up: training ends after this batch, and its state is saved.")


def asking(trainer: Any) -> int:
    """The number of the signal that asks the run to end; 0 if none does."""
    if trainer.received_requeue:
        return int(trainer.received_requeue)
    return signal.SIGTERM if trainer.received_sigterm else signal.SIGINT if trainer.received_sigint else 0


def end_process(number: int) -> None:
    """What a signal does by default; in a process that was forked, which has nothing to close."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def end_if_asked(session: Any) -> None:
    """Raise what ends the run if a signal has asked for it. Called where a checkpoint would be exact."""
    trainer = session.trainer
    asked = trainer.received_sigterm or trainer.received_sigint or trainer.received_requeue or trainer.received_stop
    if asked and session.strategy.agree_on_end(session.progress):
        trainer.should_stop = trainer.should_stop or trainer.received_stop
        trainer.received_stop = False
        raise_if_asked(trainer)


def raise_if_asked(trainer: Any) -> None:
    """Raise it whatever the others do."""
    if trainer.received_requeue and not trainer.received_sigint:
        # Also where SIGTERM came in the same batch, as it does when the time is over: the job shall go on.
        raise RequeueException(trainer.received_requeue)
    trainer.ended_as_asked = trainer.received_sigterm or trainer.received_sigint
    if trainer.received_sigterm:
        raise SIGTERMException
    if trainer.received_sigint:
        raise KeyboardInterrupt


def _free_requeue_signal(trainer: Any) -> signal.Signals | None:
    """The signal by which the cluster announces the end of the job, unless the program listens to it itself."""
    cluster = trainer.strategy.cluster_environment
    number = None if cluster is None else cluster.requeue_signal
    listener = None if number is None else signal.getsignal(number)
    if listener in (None, signal.SIG_DFL):
        return number
    if getattr(listener, "__module__", "") != __name__:
        rank_zero_info(
            f"The program has a handler of its own for {signal.Signals(number).name}: training neither saves its state "  # type: ignore[arg-type]
            "at that signal nor lets the job run again."
        )
    return None
