"""A change that lasts stops being news, and what comes after it is seen again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.anomaly import AnomalyDetector
from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.lasting import Lasting

ROWS = 40


def strange(rows=400, begin=100, end=400, height=10.0, seed=0):
    own = np.abs(np.random.default_rng(seed).normal(0, 0.5, rows))
    own[begin:end] += height
    return own


@given(cuts=st.lists(st.integers(0, 400), max_size=6))
def test_pieces_give_the_news_of_the_whole(cuts):
    own = strange(seed=1)
    own[::37] = np.nan
    lasting, edges = Lasting(ROWS), [0, *sorted(cuts), 400]

    pieces = [lasting.update(own[start:stop]) for start, stop in zip(edges, edges[1:], strict=False)]

    np.testing.assert_allclose(np.concatenate(pieces), Lasting(ROWS).update(own), atol=1e-9)


def test_a_change_is_news_for_half_of_the_rows():
    news = Lasting(ROWS).update(strange())

    assert (news[100:119] > 3).all()
    assert not (news[120:] > 3).any()


def test_what_is_shorter_stays_as_it_is():
    own = strange(end=118)

    np.testing.assert_array_equal(Lasting(ROWS).update(own), own)


def test_what_is_stranger_than_the_change_is_news():
    own = strange()
    own[300] += 10

    news = Lasting(ROWS).update(own)

    assert np.flatnonzero(news[120:] > 3).tolist() == [180]


def test_all_is_as_before_half_of_the_rows_after_a_change():
    own = strange(end=200)
    own[225:230] += 5

    news = Lasting(ROWS).update(own)

    np.testing.assert_array_equal(news[221:], own[221:])


def test_no_rows_take_nothing():
    own = strange()

    np.testing.assert_array_equal(Lasting().update(own), own)


def test_the_state_goes_on_where_it_was():
    lasting, own = Lasting(ROWS), strange()
    lasting.update(own[:130])

    other = Lasting.from_state(lasting.state_dict())

    np.testing.assert_array_equal(other.update(own[130:]), lasting.update(own[130:]))


@pytest.mark.parametrize("offline", [False, True])
def test_a_level_that_stays_is_flagged_for_two_windows(offline):
    """From row 1,300 on all values lie 40 higher: flagged at once, and no more than two windows or so in all."""
    made = generate(rows=2000, kinds=(), seed=4)
    made.values[1300:] += 40
    detector = AnomalyDetector(offline=offline, epochs=20).fit(made.rows(0, 1000))

    found = detector.judge(made.rows(1000))

    flagged = np.flatnonzero(found.flags[300:])
    assert flagged[0] < 3
    assert detector.model_.window < len(flagged) <= 2.5 * detector.model_.window
    assert found.score[310:340].min() > 3, "how strange a row is does not end with its news"
