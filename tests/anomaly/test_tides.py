"""Scale, period and the usual value of an hour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.tides import Scale, Tides, period
from fulgurite.base.errors import DataError


def series_of(values, step="h"):
    values = np.asarray(values, float)
    time = np.datetime64("2024-01-01", "us") + np.arange(len(values)) * np.timedelta64(1, step)
    return Series(time, time, values[:, None], ("value",))


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=50))
def test_scaling_can_be_undone(values):
    series = series_of(values)
    scale = Scale.fit(series)

    back = scale.undo(scale(series.values)[:, 0], 0)

    np.testing.assert_allclose(back, values, rtol=1e-6, atol=1e-3 * max(1.0, scale.half[0]))


def test_an_enormous_value_stays_of_the_order_of_others():
    values = [*np.sin(np.arange(100)), 1e9]

    assert Scale.fit(series_of(values))(np.array([[1e9]]))[0, 0] < 30


def test_a_column_without_a_number_is_refused_by_name():
    with pytest.raises(DataError, match="'value'"):
        Scale.fit(series_of([np.nan] * 20))


def test_the_period_is_the_day_where_the_week_repeats_even_better():
    """A week is the highest peak of the generator's autocorrelation, a day the first one that is high enough."""
    assert period(generate(kinds=()).value) == 24


@pytest.mark.parametrize("length", [7, 30, 100])
def test_the_period_of_a_wave_is_its_length(length):
    wave = np.sin(2 * np.pi * np.arange(3000) / length)

    assert abs(period(wave) - length) <= 1


def test_noise_has_no_period():
    assert period(np.random.default_rng(0).normal(size=5000)) is None


def test_an_hour_has_its_usual_value_on_working_days_and_at_weekends():
    made = generate(kinds=(), rows=24 * 7 * 6)
    tides = Tides.fit(Scale.fit(made)(made.values), made)

    usual = tides.usual(made)[:, 0]

    off = Scale.fit(made)(made.values)[:, 0] - usual
    assert np.abs(np.median(off)) < 0.05
    assert np.quantile(np.abs(off), 0.9) < 0.3


def test_gaps_are_filled_with_what_the_hour_usually_has():
    made = generate(kinds=(), rows=24 * 7 * 6)
    scaled = Scale.fit(made)(made.values)
    tides = Tides.fit(scaled, made)
    gaps = scaled.copy()
    gaps[500:520] = np.nan

    filled = tides.fill(gaps, made)

    np.testing.assert_array_equal(filled[500:520], tides.usual(made)[500:520])
    np.testing.assert_array_equal(filled[:500], scaled[:500])


def test_too_few_days_have_one_usual_value():
    short = series_of(np.arange(30.0))
    tides = Tides.fit(Scale.fit(short)(short.values), short)

    assert len(np.unique(tides.usual(short))) == 1


def test_two_outages_make_no_period():
    """A day's wave with two outages 117 rows apart, each a hundred times as deep as the wave is high."""
    value = np.sin(2 * np.pi * np.arange(500) / 24) + np.random.default_rng(0).normal(0, 0.2, 500)
    value[100:112] -= 100
    value[217:229] -= 100

    assert abs(period(value) - 24) <= 1
