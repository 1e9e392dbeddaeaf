"""Ranks wait for one another in steps, and say for whom."""

import re
import socket
import sys
import threading
import time
from datetime import timedelta

import pytest
import torch.distributed as dist

from fulgurite.base import ports
from fulgurite.base.errors import MisconfigurationException, RankFailed
from fulgurite.strategies import meeting
from fulgurite.strategies.meeting import Meeting
from support.ports import free_port

LONG, SHORT = timedelta(seconds=30), timedelta(seconds=0.4)


@pytest.fixture
def port(monkeypatch):
    number = free_port()
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(number))
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    return number


def nothing():
    pass


class Left(Exception):
    pass


def leaves_after(seconds):
    end = time.monotonic() + seconds

    def look():
        if time.monotonic() > end:
            raise Left

    return look


def comes(rank, size=2, timeout=LONG, look=nothing, speaks=True):
    return Meeting(rank, size, timeout, speaks, look).come(by_agent=False)


def in_thread(rank, found, **how):
    def come():
        try:
            found[rank] = comes(rank, **how)
        except BaseException as error:
            found[rank] = error

    thread = threading.Thread(target=come, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("late", [0, 1])
def test_all_come_into_one_store(port, late):
    found = {}
    other = in_thread(1 - late, found)
    found[late] = (time.sleep(0.5), comes(late))[1]
    other.join(20)

    found[0].set("said", "by rank 0")
    assert found[1].get("said") == b"by rank 0"


def test_in_time_or_not(port):
    with pytest.raises(
        dist.DistStoreError, match="1 of 4 ranks came to 127.*within 0:00:00.4.*; ranks 1, 2, 3 did not"
    ):
        comes(0, size=4, timeout=SHORT)
    with pytest.raises(dist.DistStoreError, match=f"Rank 1 waits for rank 0 at 127.0.0.1:{port}.*refused.*in vain"):
        comes(1, timeout=SHORT)


def test_who_is_awaited_is_said(port, monkeypatch, caplog):
    monkeypatch.setattr(meeting, "FIRST_WORD", 0)
    until = r"the wait ends at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\."

    with pytest.raises(Left):
        comes(1, look=leaves_after(0.3))
    with pytest.raises(Left):
        comes(0, size=20, look=leaves_after(0.3))

    there, here = caplog.messages
    assert re.fullmatch(rf"Rank 1 waits for rank 0 at .*:{port}, which can't be reached \(.*refused\); {until}", there)
    missing = "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 11 more"
    assert re.fullmatch(rf"1 of 20 ranks are at 127.0.0.1:{port} and wait for {missing}; {until}", here)


def test_who_leaves_can_come_again(port):
    """The others go on to wait: somebody starts it anew."""
    found = {}
    first = in_thread(0, found, size=3)
    with pytest.raises(Left):
        comes(1, size=3, look=leaves_after(0.5))
    third = in_thread(2, found, size=3)
    time.sleep(0.5)
    assert not found

    comes(1, size=3)
    first.join(20)
    third.join(20)
    found[0].set("said", "by rank 0")
    assert found[2].get("said") == b"by rank 0"


def test_rank_0_is_gone(port):
    found = {}
    other = in_thread(1, found)
    with pytest.raises(Left):
        comes(0, size=3, look=leaves_after(1))
    other.join(20)

    assert isinstance(found[1], RankFailed) and "rank 0, or torchrun, ended before all 2 had come" in str(found[1])


@pytest.mark.skipif(sys.platform == "win32", reason="torch listens by itself there")
def test_waiting_ends_where_rank_0_holds_the_port_only(port):
    """It has not come to listen to it, so that torch's own attempt has no end."""
    ports.hold(port)
    began = time.monotonic()
    try:
        with pytest.raises(Left):
            comes(1, timeout=timedelta(seconds=3), look=leaves_after(0.5))
    finally:
        ports.let_go(port)

    assert time.monotonic() - began < 2


def test_a_port_that_is_taken(port):
    with (
        socket.create_server(("", port)),
        pytest.raises(MisconfigurationException, match=f"{port}.*MASTER_PORT.*Unset"),
    ):
        comes(0)
