"""Charts over time or another key: the same lines from summaries as from every single value."""

import numpy as np
import pytest

from fulgurite.track.server.api.axes import View, line
from fulgurite.track.store.cells import FLOAT, Column

COUNT = 200_000


@pytest.fixture
def values():
    """A noisy line with one spike."""
    y = np.random.default_rng(0).normal(size=COUNT)
    y[123_456] = 50.0
    return y


def logged(store, run, y, x):
    """Keep both keys as a run logs them: together, post by post."""
    for start in range(0, COUNT, 5_000):
        steps = np.arange(start, min(start + 5_000, COUNT))
        store.history.append_columns(
            run.id, {"y": Column(steps, FLOAT, y[steps]), "_runtime": Column(steps, FLOAT, x[steps])}
        )
    store.history.compact(run.id)


@pytest.fixture
def fresh(store):
    return store.runs.open(store.runs.project("p", create=True), "long")[0]


def test_a_line_over_time_from_afar_loses_no_extreme(store, fresh, values):
    """The spike is in sight at its time, and each stretch's band holds the values of that time."""
    x = np.cumsum(np.random.default_rng(1).uniform(0.001, 0.02, COUNT))
    logged(store, fresh, values, x)

    found = line(store.history, fresh.id, "y", View("_runtime", buckets=200))

    assert len(found["x"]) <= 200 and (np.diff(found["x"]) > 0).all()
    at = int(found["high"].argmax())
    assert found["high"][at] == 50.0
    assert found["x"][max(at - 1, 0)] - 1 <= x[123_456] <= found["x"][at] + 1
    assert found["low"].min() == values.min() and found["last"][-1] == values[-1]


def test_a_part_of_it_is_shown_value_by_value(store, fresh, values):
    """Near enough, the line is the one that every single value makes."""
    x = np.arange(COUNT) * 0.01
    logged(store, fresh, values, x)

    found = line(store.history, fresh.id, "y", View("_runtime", buckets=500, low=1234.0, high=1235.0))

    inside = (x >= 1234.0) & (x <= 1235.0)
    assert np.array_equal(found["x"], x[inside]) and np.array_equal(found["last"], values[inside])


def test_nothing_in_sight_is_an_empty_line(store, fresh, values):
    logged(store, fresh, values, np.arange(COUNT) * 0.01)

    assert len(line(store.history, fresh.id, "y", View("_runtime", low=1e9))["x"]) == 0


def test_an_axis_that_falls_is_sorted(store, fresh, values):
    """A learning rate that decays is an axis as well; there each value is looked at."""
    x = np.arange(COUNT)[::-1] * 0.01
    logged(store, fresh, values, x)

    found = line(store.history, fresh.id, "y", View("_runtime", buckets=200))

    assert (np.diff(found["x"]) > 0).all()
    assert found["high"].max() == 50.0 and found["last"][-1] == values[0]
