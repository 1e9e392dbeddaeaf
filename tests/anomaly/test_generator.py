"""The made-up series: what is known of it must be exact."""

import numpy as np
import pytest

from fulgurite.anomaly.generator import KINDS, generate
from fulgurite.base.errors import DataError

pytest.importorskip("holidays")


def test_the_same_seed_makes_the_same_series():
    """And another seed another one."""
    first, again, other = generate(seed=3), generate(seed=3), generate(seed=4)

    np.testing.assert_array_equal(first.values, again.values)
    assert first.injected == again.injected
    assert not np.array_equal(first.values, other.values, equal_nan=True)


@pytest.mark.parametrize("seed", range(8))
def test_rows_differ_from_the_clean_ones_just_where_the_list_says(seed):
    """Outside of every injection the value is the clean one; within a labelled one it is not."""
    series = generate(seed=seed)
    touched = np.zeros(len(series), bool)
    for injection in series.injected:
        inside = (series.time >= injection.start) & (series.time <= injection.end)
        # A day of another shape begins and ends with hours that both shapes share.
        day = injection.start.astype("datetime64[D]"), injection.end.astype("datetime64[D]")
        whole = (series.time.astype("datetime64[D]") >= day[0]) & (series.time.astype("datetime64[D]") <= day[1])
        touched |= whole if injection.kind == "calendar" else inside
        assert series.label[inside].all() == (injection.kind != "missing")
        assert np.isnan(series.value[inside]).all() == (injection.kind == "missing")

    np.testing.assert_array_equal(series.value[~touched], series.clean[~touched])
    assert not series.label[~touched].any()


def test_every_kind_is_there_as_often_as_asked_and_none_in_the_front():
    """The front is what a detector learns from."""
    series = generate(each=3, clean_share=0.6, rows=5000)

    assert sorted(injection.kind for injection in series.injected) == sorted(KINDS * 3)
    assert not series.label[:3000].any()
    assert not np.isnan(series.value[:3000]).any()


def test_a_series_can_be_clean_throughout():
    """Without kinds nothing is wrong in it."""
    series = generate(kinds=())

    assert not series.label.any()
    np.testing.assert_array_equal(series.value, series.clean)


def test_a_holiday_looks_like_a_sunday():
    """Martin Luther King's day, a Monday, is as quiet as the Sunday before it."""
    series = generate(kinds=(), noise=0)
    days = series.value[:3984].reshape(-1, 24)

    np.testing.assert_allclose(days[14], days[13])
    assert days[15].max() > days[14].max() + 15


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kinds": ("spike", "flood")}, "'flood' is none of"),
        ({"rows": 0}, "rows >= 1"),
        ({"clean_share": 1.0}, "clean_share < 1"),
        ({"rows": 60}, "more rows"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments, words):
    """The message says which argument to change."""
    with pytest.raises(DataError, match=words):
        generate(**arguments)
