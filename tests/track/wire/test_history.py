"""Which rows a client gets, and of what."""

import numpy as np
import pytest

from fulgurite.track.store.history import SYSTEM
from fulgurite.track.store.store import Store
from fulgurite.track.wire import history


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def run(store):
    """A hundred rows at even steps; ``rare`` in every tenth; values inside dicts."""
    run = store.runs.open(store.runs.project("p", create=True), "abc")[0].id
    rows = [
        (2 * i, {"loss": i / 2, "deep": {"a": i, "b.c": "t"}, **({"rare": i} if i % 10 == 0 else {})})
        for i in range(100)
    ]
    store.history.append(run, rows)
    return run


def test_a_page_holds_whole_rows_from_its_first_step_to_before_its_last(store, run):
    rows = history.page(store.history, run, 2, 8, 100)

    assert [row["_step"] for row in rows] == [2, 4, 6]
    assert rows[0] == {"_step": 2, "loss": 0.5, "deep": {"a": 1, "b.c": "t"}}
    assert history.page(store.history, run, 500, 600, 100) == []


def test_a_sample_is_even_and_has_both_ends(store, run):
    steps = [row["_step"] for row in history.sampled(store.history, run, 12)]

    assert len(steps) == 12 and (steps[0], steps[-1]) == (0, 198)
    assert set(np.diff(steps)) <= {16, 18, 20}
    assert len(history.sampled(store.history, run, 1000)) == 100


def test_rows_with_some_keys_have_all_of_them_and_no_others(store, run):
    rows = history.with_keys(store.history, run, ["_step", "rare", "deep.a"], 0, 101, 100, even=False)

    assert rows == [{"_step": 20 * i, "rare": 10 * i, "deep.a": 10 * i} for i in range(6)]
    assert history.with_keys(store.history, run, ["rare", "none"], 0, 1000, 100, even=True) == []


def test_a_key_may_name_a_dict_or_a_name_with_dots(store, run):
    (row,) = history.with_keys(store.history, run, ["deep", "deep.b.c"], 4, 6, 1, even=False)

    assert row == {"deep": {"a": 2, "b.c": "t"}, "deep.b.c": "t"}


def test_system_metrics_without_steps_are_found_by_their_times(store, run):
    store.history.append(run, [(1000, {"cpu": 1.0}), (2000, {"cpu": 2.0, "gpu": 3.0})], SYSTEM)

    assert history.sampled(store.history, run, 10, SYSTEM) == [{"cpu": 1.0}, {"cpu": 2.0, "gpu": 3.0}]
