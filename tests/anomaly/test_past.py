"""A score measured by its own past: pieces, peaks, gaps, and looking ahead."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.anomaly.past import Past, fading


def noise(rows=2000, seed=0):
    """Raw scores of quiet times: positive, with a long tail."""
    return np.random.default_rng(seed).gamma(2.0, 1.0, rows)


@given(cuts=st.lists(st.integers(0, 500), max_size=6), seed=st.integers(0, 99))
def test_pieces_give_the_scores_of_the_whole(cuts, seed):
    raw = noise(500, seed)
    raw[::37] = np.nan
    past, edges = Past(), [0, *sorted(cuts), 500]

    pieces = [past.update(raw[start:stop]) for start, stop in zip(edges, edges[1:], strict=False)]

    np.testing.assert_allclose(np.concatenate(pieces), Past().update(raw), rtol=1e-9, atol=1e-9)


@given(share=st.sampled_from([0.0, 0.002, 0.05, 0.5, 1.0]), rows=st.integers(0, 700), seed=st.integers(0, 99))
def test_rows_at_once_are_rows_one_by_one(share, rows, seed):
    """To the last bit, wherever some enter with less than they have."""

    class Slow(Past):
        def _usual(self, logs, mean, spread):
            return 0

    rng = np.random.default_rng(seed)
    raw = rng.gamma(2.0, 1.0, rows) * np.where(rng.random(rows) < share, 50, 1)
    past, slow = Past(), Slow()

    for found, expected in zip(past.measure(raw), slow.measure(raw), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert str(past.state_dict()) == str(slow.state_dict())


def test_quiet_times_stay_below_three():
    score = Past().update(noise())

    assert (score >= 0).all()
    assert (score > 3).mean() < 0.01


def test_a_stranger_time_rises_above_three_at_once():
    """Ten times the usual raw score is noticed within ten rows, not only after a window."""
    raw = noise()
    raw[1500:1540] *= 10

    score = Past().update(raw)

    assert score[1400:1500].max() < 3
    assert score[1510] > 3


def test_a_single_row_counts_less_a_margin():
    raw = np.full(400, 1.0) + np.random.default_rng(0).normal(0, 0.1, 400)
    raw[300] = 50.0

    assert Past().update(raw)[300] > 10
    assert Past(margin=1e9).update(raw)[300] < Past().update(raw)[300]


def test_a_peak_fades_by_a_factor_of_e_in_hold_rows():
    score = np.zeros(200)
    score[10] = 5.0

    held = fading(score, hold=50.0)

    assert held[9] == 0
    assert held[10] == pytest.approx(5.0)
    assert held[60] == pytest.approx(5.0 / np.e)


def test_the_unit_of_the_raw_score_does_not_matter():
    np.testing.assert_allclose(Past().update(noise()), Past().update(1000 * noise()), atol=1e-9)


def test_rows_without_a_score_are_not_remembered():
    raw = noise()
    gaps = np.insert(raw, 1000, np.full(50, np.nan))

    score = Past().update(gaps)

    assert np.isnan(score[1000:1050]).all()
    np.testing.assert_allclose(np.delete(score, slice(1000, 1050)), Past().update(raw))


def test_a_past_of_too_few_rows_says_nothing():
    assert not Past().update(np.array([1.0, 900.0, 1.0, 50.0])).any()


def test_looking_ahead_raises_the_rows_before_a_peak():
    raw = noise()
    raw[1500:1540] *= 10

    score = Past(offline=True, lead=8).update(raw)

    assert Past().update(raw)[1495] < 2
    assert score[1495] > 3


def test_the_state_goes_on_where_it_was():
    past, raw = Past(), noise()
    past.update(raw[:700])
    other = Past(rows=3)

    other.load_state_dict(copy.deepcopy(past.state_dict()))

    np.testing.assert_array_equal(other.update(raw[700:]), past.update(raw[700:]))


def test_a_rows_own_score_ends_with_its_cause():
    """What fades is the score; the row's own is down again ten rows after the strange ones."""
    raw = noise()
    raw[1500:1540] *= 10

    score, own = Past().measure(raw)

    assert (own <= score + 1e-9).all()
    assert own[1500:1540].max() > 3
    assert own[1555:1700].max() < 1 < score[1555]


def test_one_outage_does_not_hide_a_later_spike():
    """A day at a hundred times the usual raw score, and weeks later a row at twenty times."""
    raw = noise()
    raw[1500] = 20 * raw[:500].mean()
    calm = raw.copy()
    raw[600:624] *= 100

    assert Past().measure(raw)[1][1500] > 0.8 * Past().measure(calm)[1][1500]
