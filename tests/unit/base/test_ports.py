"""A free port that was found can't be lost to somebody else."""

import os
import socket
import sys
from datetime import timedelta

import pytest
import torch.distributed as dist

from fulgurite.base import ports
from support.ports import is_free

SOON = timedelta(seconds=10)


@pytest.fixture
def port():
    number = ports.hold_free_port()
    yield number
    ports.let_go(number)


def test_a_held_port_is_nobody_elses(port):
    assert not is_free(port)

    ports.let_go(port)
    assert is_free(port)


def test_a_port_that_somebody_named(port):
    """It is held as one that was found is; somebody else's can't be."""
    ports.hold(port)
    ports.let_go(port)
    ports.hold(port)
    assert ports.held(port) is not None

    with socket.create_server(("", 0)) as other, pytest.raises(OSError):
        ports.hold(other.getsockname()[1])


@pytest.mark.skipif(sys.platform == "win32", reason="torch listens by itself there")
def test_who_came_early_is_heard_later(port):
    """A rank may come before rank 0 listens; its connection waits, and nothing is tried again."""
    with socket.create_connection(("127.0.0.1", port)) as early:
        store = dist.TCPStore("127.0.0.1", port, 1, is_master=True, timeout=SOON, master_listen_fd=ports.take(port))
        other = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=SOON, wait_for_workers=False)
        other.set("said", "by another")

        assert store.get("said") == b"by another"
        assert early.getpeername()[1] == port


def test_what_is_taken_is_held_no_longer(port):
    descriptor = ports.take(port)
    assert descriptor is not None and ports.take(port) is None and ports.held(port) is None
    os.close(descriptor)
    assert is_free(port)


def test_a_port_of_somebody_else_is_not_held():
    assert ports.take(9) is None and ports.held(9) is None
    ports.let_go(9)


def test_what_another_process_handed_on_is_held(port):
    listener = ports.held(port)
    assert listener is not None
    copy = listener.dup()
    ports.let_go(port)

    assert ports.keep(copy) == port
    assert not is_free(port)
