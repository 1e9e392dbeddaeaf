"""What is left of the rows when a picture has too few pixels for them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.anomaly.rows import Rows, alone, drawable, spans

SECOND = np.timedelta64(1, "s")


def rows_of(value, time=None, score=None, flags=None) -> Rows:
    value = np.asarray(value, dtype=np.float64)
    n = len(value)
    time = np.datetime64("2024-01-01", "us") + np.arange(n) * SECOND if time is None else time
    score = np.zeros(n) if score is None else score
    flags = np.zeros(n, dtype=bool) if flags is None else flags
    return Rows("value", time, value, value, value - 1, value + 1, score, flags, {"level": score})


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0, 0.9))
def test_thinning_keeps_what_the_eye_would_see(seed, columns, holes):
    """Of each pixel column the lowest and highest value, the highest score and a flagged row remain."""
    random = np.random.default_rng(seed)
    value, score = random.normal(size=1_000), random.normal(size=1_000)
    value[random.random(1_000) < holes] = np.nan
    rows = rows_of(value, score=score, flags=random.random(1_000) < 0.01)
    shown, note = drawable(rows, columns)
    column = np.minimum(np.arange(1_000) * columns // 999, columns - 1)
    place = ((shown.time - rows.time[0]) // SECOND).astype(int)

    assert f"of {len(rows):,} rows" in note
    assert len(shown) <= 4 * columns + 2
    for one in range(columns):
        before, after = column == one, (column == one)[place]
        for part, kept in ((value, shown.value), (score, shown.score)):
            if np.isfinite(part[before]).any():
                assert np.nanmax(kept[after]) == np.nanmax(part[before])
        if np.isfinite(value[before]).any():
            assert np.nanmin(shown.value[after]) == np.nanmin(value[before])
        assert shown.flags[after].any() == rows.flags[before].any()


def test_a_spike_in_millions_of_rows_is_drawn():
    """One row of two million survives, with its time."""
    value = np.zeros(2_000_000)
    value[1_234_567] = 5
    shown, _ = drawable(rows_of(value), 1_000)

    assert shown.time[shown.value == 5].tolist() == [(np.datetime64("2024-01-01", "us") + 1_234_567 * SECOND).item()]


def test_few_rows_are_drawn_as_they_are():
    """Nothing is left out, and nothing is said."""
    shown, note = drawable(rows_of(np.arange(100.0)), 1_000)

    assert note == ""
    assert shown.value.tolist() == np.arange(100.0).tolist()


def test_lines_break_in_gaps():
    """A row without a value stands in the middle of the gap, and nowhere else."""
    time = np.datetime64("2024-01-01", "us") + np.r_[0:50, 150:200] * SECOND
    shown, _ = drawable(rows_of(np.ones(100), time), 1_000)

    assert np.flatnonzero(np.isnan(shown.value)).tolist() == [50]
    assert shown.time[50] == np.datetime64("2024-01-01T00:01:39.500", "us")
    assert not shown.flags[50]
    assert np.isnan(shown.parts["level"][50])


def test_rows_that_come_at_irregular_times_stay_one_line():
    """Waiting times as of a Poisson process are no gaps."""
    waits = np.random.default_rng(0).exponential(size=500)
    time = np.datetime64("2024-01-01", "us") + (waits.cumsum() * 1e6).astype("timedelta64[us]")
    shown, _ = drawable(rows_of(np.ones(500), time), 1_000)

    assert np.isnan(shown.value).sum() <= 2


def test_known_anomalies_are_runs_of_labels():
    """First and last row of each run, also at the edges."""
    label = np.array([1, 1, 0, 1, 0, 0, 1], dtype=bool)

    assert spans(np.arange(7), label) == [(0, 1), (3, 3), (6, 6)]
    assert spans(np.arange(3), np.zeros(3, dtype=bool)) == []


def test_a_value_between_holes_is_alone():
    """No line could show it."""
    nan = np.nan

    assert alone(np.array([1, nan, 2, nan, 3, 4, nan, 5])).tolist() == [
        True,
        False,
        True,
        False,
        False,
        False,
        False,
        True,
    ]
