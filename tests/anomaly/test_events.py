"""Events: flagged rows that belong together, at once or as they come."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.anomaly.events import Alarms, events, words_for
from fulgurite.anomaly.model import Scored
from fulgurite.anomaly.series import Series
from fulgurite.base.errors import MisconfigurationException

NAMES = ("value_level", "value_shift", "day_of_week")


def series_of(values) -> Series:
    values = np.asarray(values, dtype=np.float64)
    time = np.datetime64("2024-01-01T00:00:00", "us") + np.arange(len(values)) * np.timedelta64(60, "s")
    return Series(time, time, values.reshape(-1, 1), ("value",))


def rows(flags, seed=0):
    """A series with these rows flagged; their parts are random and sum to the score."""
    random = np.random.default_rng(seed)
    n = len(flags)
    parts = random.exponential(size=(n, len(NAMES)))
    values = random.normal(size=n)
    scored = Scored(parts, values + 1, values, values + 2)
    return series_of(values), scored, parts.sum(axis=1), np.array(flags, dtype=bool)


def piece(data, part):
    series, scored, score, flags = data
    cut = Scored(scored.parts[part], scored.expected[part], scored.low[part], scored.high[part])
    return series.rows(part.start, part.stop), cut, score[part], flags[part]


FLAGS = st.lists(st.booleans() | st.just(False), max_size=80)


@given(FLAGS, st.integers(1, 6), st.lists(st.integers(0, 80), max_size=8))
def test_rows_in_pieces_give_the_same_events(flags, refractory, cuts):
    """However the rows are cut, even into empty pieces and through a saved state, the events are equal to the digit."""
    data = rows(flags)
    whole = events(data[0], data[1], NAMES, data[2], data[3], refractory)
    edges = [0, *sorted(min(cut, len(flags)) for cut in cuts), len(flags)]

    found, alarms = [], Alarms(refractory, NAMES)
    for start, stop in zip(edges, edges[1:], strict=False):
        found += alarms.update(*piece(data, slice(start, stop)))
        state = json.loads(json.dumps(alarms.state_dict()))
        alarms = Alarms(refractory, NAMES)
        alarms.load_state_dict(state)

    assert found + alarms.close() == whole


@given(FLAGS, st.integers(1, 6))
def test_events_hold_exactly_the_flagged_rows(flags, refractory):
    """Each flagged row lies in one event, counted once; events begin and end with one and keep their distance."""
    series, scored, score, flags = rows(flags)
    found = events(series, scored, NAMES, score, flags, refractory)
    inside = [(series.time >= event.start) & (series.time <= event.end) & flags for event in found]

    assert [event.rows for event in found] == [each.sum() for each in inside]
    assert (np.sum(inside, axis=0) == flags).all() if found else not flags.any()
    steps = [
        (later.start - event.end) // np.timedelta64(60, "s") for event, later in zip(found, found[1:], strict=False)
    ]
    assert all(step > refractory for step in steps)


@given(FLAGS.filter(any), st.integers(1, 6))
def test_an_event_tells_of_its_highest_row(flags, refractory):
    """The peak has the highest score of the flagged rows, and the share is that of the leading part."""
    series, scored, score, flags = rows(flags)

    for event in events(series, scored, NAMES, score, flags, refractory):
        inside = (series.time >= event.start) & (series.time <= event.end) & flags
        sums = scored.parts[inside].sum(axis=0)
        assert event.score == score[inside].max() == score[series.time == event.peak][0]
        assert event.part == NAMES[sums.argmax()]
        assert 1 / len(NAMES) <= event.share <= 1
        assert event.share == pytest.approx(sums.max() / sums.sum())


def test_the_reason_speaks_the_unit_of_the_value():
    """Value, expected value and band are those of the row furthest outside; the leading part follows in words."""
    scored = Scored(np.array([[1.0, 0, 0], [9.0, 1, 0]]), np.array([84.0, 85.12]), np.array([80.0, 80.2]),
                    np.array([88.0, 89.94]))  # fmt: skip
    (event,) = events(series_of([83.0, 76.21]), scored, NAMES, np.array([1.0, 10]), np.array([True, True]), 5)

    assert event.reason == "value 76.21, expected 85.12 (80.2 to 89.94): far from the usual level"
    assert (event.rows, event.part, event.share) == (2, "value_level", 10 / 11)


@pytest.mark.parametrize("size", [1, 3])
def test_the_reason_quotes_the_row_furthest_outside_its_band(size):
    """The score is highest later, at a row inside its band: what an engineer looks for is the value that was off."""
    value, expected = np.array([10.0, 60.0, 11.0]), np.full(3, 10.0)
    scored = Scored(np.array([[1.0, 0, 0]] * 3), expected, expected - 2, expected + 2)
    score, flags = np.array([3.0, 4, 9]), np.ones(3, bool)
    alarms, whole = Alarms(5, NAMES), series_of(value)
    for start in range(0, 3, size):
        rows = slice(start, start + size)
        part = Scored(scored.parts[rows], scored.expected[rows], scored.low[rows], scored.high[rows])
        alarms.update(whole.rows(start, start + size), part, score[rows], flags[rows])

    (event,) = alarms.close()

    assert event.peak == whole.time[2]
    assert event.reason.startswith("value 60, expected 10 (8 to 12)")


def test_a_row_without_value_or_expectation_still_has_a_reason():
    """What is not known is left out."""
    nothing = np.full(1, np.nan)
    (event,) = events(series_of([np.nan]), Scored(np.array([[0.0, 2, 3]]), nothing, nothing, nothing), NAMES,
                      np.array([5.0]), np.array([True]), 1)  # fmt: skip

    assert event.reason == "no value: most of it by 'day_of_week'"


def test_an_open_event_is_known_before_it_ends():
    """An alarm is raised at the first flagged row; the event ends when the quiet has lasted long enough."""
    data = rows([0, 1, 0, 0, 0])
    alarms = Alarms(2, NAMES)

    assert alarms.update(*piece(data, slice(0, 2))) == []
    assert alarms.open.start == data[0].time[1]
    assert alarms.update(*piece(data, slice(2, 3))) == []
    assert alarms.open is not None
    assert [event.rows for event in alarms.update(*piece(data, slice(3, 5)))] == [1]
    assert alarms.open is None
    assert alarms.close() == []


def test_negative_parts_keep_the_share_between_0_and_1():
    """A normalised score can be below 0; shares are of what speaks for the event."""
    scored = Scored(np.array([[3.0, -1, 0]]), np.zeros(1), np.zeros(1), np.zeros(1))
    (event,) = events(series_of([0.0]), scored, NAMES, np.array([2.0]), np.array([True]), 1)

    assert event.share == 1


def test_a_distance_below_one_row_is_refused():
    """Neighbouring rows are always one event."""
    with pytest.raises(MisconfigurationException, match="refractory=0"):
        Alarms(0, NAMES)


@pytest.mark.parametrize("part, words", [("value_level", "far from the usual level"),
                                         ("load_in_flat", "'load_in': hardly changes"),
                                         ("water_level", "most of it by 'water_level'"), ("t", "most of it by 't'"),
                                         ("latent", "the pattern as a whole is rare")])  # fmt: skip
def test_parts_have_words(part, words):
    """Terms of a column are told of that column; a column that is only called like a term is quoted."""
    assert words_for(part, ["value", "load_in", "water_level", "water"]) == words
