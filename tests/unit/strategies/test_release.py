"""When ranks count as waiting for one another for ever."""

import math
from types import SimpleNamespace

import pytest

from fulgurite.base.errors import MisconfigurationException
from fulgurite.strategies import release
from fulgurite.strategies.release import DEADLOCK_SECONDS, Release


def at(where, call="all_reduce", stuck=70.0, times=1):
    return {"what": where, "where": [where, 0, 3, call], "stuck": stuck, "times": times, "at": 0.0}


LEARNS = at("in the backward pass", "_engine_run_backward")


@pytest.fixture
def rank_0(monkeypatch):
    monkeypatch.setattr(release, "SURE", 0.0)
    return Release(SimpleNamespace(), 0, 2, SimpleNamespace(), str)


def decided(rank_0, *looks):
    return [rank_0._are_apart(places, 60.0) for places in looks]


def test_ranks_at_different_places_that_say_so_twice(rank_0):
    again = [{**LEARNS, "times": 2}, at("in training_step", times=2)]

    assert decided(rank_0, [LEARNS, at("in training_step")], again) == [False, True]


def test_one_that_can_say_nothing_any_more_may_have_moved(rank_0):
    """Its thread waits for the interpreter, or has ended: what it said last is old."""
    looks = [[{**LEARNS, "times": times}, at("in training_step")] for times in (1, 2, 3)]

    assert decided(rank_0, *looks) == [False] * 3


@pytest.mark.parametrize(
    "places",
    [
        [at("in training_step"), at("in training_step")],
        [at("in training_step"), None],
        [at("in training_step"), {**LEARNS, "stuck": 59.0}],
        [at("in training_step", "recv"), {**LEARNS}],
        [at("in training_step", "recv"), at("in training_step", "send_object_list")],
    ],
    ids=["the same place", "nothing known", "not for so long", "from one to another", "both sides of it"],
)
def test_these_are_not(places, rank_0):
    looks = [[each and {**each, "times": times} for each in places] for times in (1, 2, 3)]

    assert decided(rank_0, *looks) == [False] * 3


def test_a_move_in_between_begins_anew(rank_0):
    moved = [{**LEARNS, "stuck": 0.0, "times": 2}, at("in training_step", times=2)]
    later = [[{**LEARNS, "times": times}, at("in training_step", times=times)] for times in (3, 4)]

    assert decided(rank_0, [LEARNS, at("in training_step")], moved, *later) == [False, False, False, True]


@pytest.mark.parametrize(("given", "seconds"), [("", 60.0), ("5", 5.0), ("0", math.inf), ("inf", math.inf)])
def test_another_time(given, seconds, monkeypatch, rank_0):
    monkeypatch.setenv(DEADLOCK_SECONDS, given)
    again = Release(SimpleNamespace(), 0, 2, SimpleNamespace(), str)

    again.stuck = min(seconds, 1e9) - 1
    assert not again.has_cause
    again.stuck = 1e9
    assert again.has_cause == (seconds < math.inf)


@pytest.mark.parametrize("given", ["soon", "-1", "nan"])
def test_no_number_is_refused(given, monkeypatch):
    monkeypatch.setenv(DEADLOCK_SECONDS, given)

    with pytest.raises(MisconfigurationException, match=f"{DEADLOCK_SECONDS}='{given}': a number of seconds was exp"):
        Release(SimpleNamespace(), 0, 2, SimpleNamespace(), str)
