"""The newest values of a series."""

import pytest


@pytest.mark.parametrize(
    "value", [1, 2.5, True, "text", {"_type": "x", "long": "é" * 20_000}, [1, {"a": None}], "\ud800"]
)
def test_a_glimpse_tells_the_kind_of_a_series(store, run, value):
    """One value of the last chunk, also where it is longer than what is read at first."""
    store.history.append(run.id, [(step, {"key": value, "number": step}) for step in range(5)])

    assert store.newest.glimpse(run.id, "key") == value
    assert store.newest.glimpse(run.id, "number") == 0
    assert store.newest.glimpse(run.id, "nothing") is None


def test_the_latest_value_at_a_step(store, run):
    store.history.append(run.id, [(step, {"key": f"at {step}"}) for step in (1, 5, 9)])

    assert store.newest.value(run.id, "key").values() == ["at 9"]
    assert store.newest.value(run.id, "key", 8).values() == ["at 5"]
    assert len(store.newest.value(run.id, "key", 0)) == len(store.newest.value(run.id, "nothing")) == 0
