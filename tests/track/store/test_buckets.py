"""Charts against the values themselves: no extreme is ever lost."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fulgurite.track.store.buckets import bucketed
from fulgurite.track.store.cells import column

pairs = st.dictionaries(
    st.integers(-(2**40), 2**40) | st.integers(0, 50), st.floats(width=32) | st.just(math.nan), min_size=1, max_size=60
)


@given(pairs, st.integers(1, 20))
@settings(deadline=None)
def test_stretches_have_one_width_and_lose_nothing(pairs, buckets):
    """Each stretch lies in one of ``buckets`` equal parts of the steps in sight."""
    part = column(list(pairs), list(pairs.values()))

    chart = bucketed(part, buckets)

    assert len(chart) <= max(buckets, 1)
    numbers = part.numbers()
    there = numbers[~np.isnan(numbers)]
    if len(there):
        assert np.nanmin(chart.low) == there.min()
        assert np.nanmax(chart.high) == there.max()
    assert chart.steps[-1] == part.steps[-1]
    assert np.array_equal(chart.last, numbers[np.searchsorted(part.steps, chart.steps)], equal_nan=True)
    if len(part) > buckets:
        width = (int(part.steps[-1]) - int(part.steps[0])) / buckets
        starts = part.steps[np.append(0, np.searchsorted(part.steps, chart.steps)[:-1] + 1)]
        assert (chart.steps - starts <= width * (1 + 1e-9)).all()
