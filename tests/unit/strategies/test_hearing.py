"""Signals are heard in another thread, once, and whoever else listens is left alone."""

import os
import signal
import socket
import sys
import threading
import time

import pytest

from fulgurite.runtime.signals import noticed_signals
from fulgurite.strategies.hearing import Ear, asks_for_the_end

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def ear():
    ear = Ear()
    yield ear
    ear.close()
    assert signal.set_wakeup_fd(-1) == -1


@pytest.fixture
def usr1():
    before = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_is_heard_while_the_main_thread_is_busy_in_c(ear, usr1):
    heard = []
    thread = threading.Thread(target=lambda: heard.append((ear.wait(10), ear.wait(0.05))))
    thread.start()
    os.kill(os.getpid(), signal.SIGUSR1)
    # A lock that is never free: Python's own handler has to wait until it is over.
    thread.join()

    assert heard == [({signal.SIGUSR1}, set())]


def test_what_is_woken_hears_nothing(ear):
    ear.wake()
    began = time.monotonic()

    assert ear.wait(10) == set() and time.monotonic() - began < 5


def test_a_process_that_was_forked_writes_nothing_down(ear, usr1):
    """Ctrl-C at a terminal comes to the workers of a loader, too; it was pressed once."""
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGUSR1)
        os._exit(0)
    os.waitpid(child, 0)

    # Its end is told as well, where anybody has set a handler for that.
    assert ear.wait(0.2) <= {signal.SIGCHLD}


def test_who_listens_already_goes_on_listening(usr1):
    mine, other = socket.socketpair()
    other.setblocking(False)
    signal.set_wakeup_fd(other.fileno())
    ear = Ear()

    os.kill(os.getpid(), signal.SIGUSR1)

    assert ear.wait(0.1) == set() and mine.recv(10) == bytes([signal.SIGUSR1])
    ear.close()
    assert signal.set_wakeup_fd(-1) == other.fileno()
    mine.close(), other.close()


def test_who_begins_to_listen_meanwhile_is_not_cut_off():
    ear = Ear()
    mine, other = socket.socketpair()
    other.setblocking(False)
    signal.set_wakeup_fd(other.fileno())

    ear.close()

    assert signal.set_wakeup_fd(-1) == other.fileno()
    mine.close(), other.close()


def test_in_another_thread_it_only_waits():
    ears = []
    thread = threading.Thread(target=lambda: ears.append(Ear()))
    thread.start()
    thread.join()

    assert signal.set_wakeup_fd(-1) == -1 and ears[0].wait(0.05) == set()
    ears[0].close()
    assert ears[0].wait(0.05) == set()


def test_a_signal_that_the_program_uses_itself_asks_for_nothing(usr1):
    class Quiet:
        received_sigint = received_sigterm = False
        received_requeue = 0

        class strategy:
            cluster_environment = None

    assert not asks_for_the_end(signal.SIGUSR1) and not asks_for_the_end(signal.SIGTERM)
    with noticed_signals(Quiet()):
        assert asks_for_the_end(signal.SIGTERM) and asks_for_the_end(signal.SIGINT)
