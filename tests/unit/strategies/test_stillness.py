"""A thread that computes inside one C call, or moves, is told from one that waits."""

import hashlib
import threading
import time

import pytest

from fulgurite.strategies.stillness import Stillness


@pytest.fixture
def looked_at():
    """Look for a second at a thread that does something; return the seconds in which it was still at the end."""

    def look(act, marks=None):
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        still = Stillness(thread.ident)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            time.sleep(0.05)
            seconds = still.look(*(() if marks is None else (marks(),)))
        return seconds

    return look


def test_a_thread_that_waits_is_still(looked_at):
    assert 0.7 < looked_at(threading.Event().wait) < 1.1


def test_one_that_computes_in_c_is_not(looked_at):
    ended = time.monotonic() + 2

    def compute():
        while time.monotonic() < ended:
            hashlib.pbkdf2_hmac("sha256", b"", b"", 500_000)

    assert looked_at(compute) < 0.5


def test_one_that_has_ended_is_not(looked_at):
    assert looked_at(lambda: time.sleep(0.3)) == 0


def test_a_pause_of_the_whole_process_does_not_count():
    """As after Ctrl-Z: nobody looks meanwhile, and nobody moves."""
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    still = Stillness(thread.ident)
    for seconds in (0, 0.3, 1.5, 0.3):
        time.sleep(seconds)
        found = still.look()

    assert 0.5 < found < 1.0


def test_nor_is_one_that_comes_by_the_same_line_for_another_batch(looked_at):
    assert looked_at(threading.Event().wait, marks=time.monotonic) < 0.2
