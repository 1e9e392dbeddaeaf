"""Which hyperparameters matter: known ones are found, chance is not, and the same runs give the same answer."""

import numpy as np
import pytest

from fulgurite.base.optional import available
from fulgurite.track.server.api.influence import BINS, FOREST, likely, ranks, ratio, study

METHODS = [pytest.param(FOREST, marks=pytest.mark.skipif(not available("sklearn"), reason="needs scikit-learn")), BINS]


def drawn(n=200):
    """Settings at random: x, y and z are numbers, word is one of three, noise has to do with nothing."""
    rng = np.random.default_rng(3)
    columns = {name: rng.uniform(-1, 1, n).tolist() for name in ("x", "y", "z", "noise")}
    return {**columns, "word": rng.choice(["a", "b", "c"], n).tolist()}


def importances(columns, metric, method):
    return {each.column: each.importance for each in study(columns, metric, method).influences}


@pytest.mark.parametrize("method", METHODS)
def test_what_rises_is_seen_by_both_figures(method):
    columns = drawn()
    found = study(
        columns, [3 * x + 0.1 * noise for x, noise in zip(columns["x"], columns["noise"], strict=True)], method
    )

    assert found.influences[0].column == "x" and found.influences[0].correlation > 0.95
    assert all(each.importance < 0.1 * found.influences[0].importance for each in found.influences[1:])


@pytest.mark.parametrize("method", METHODS)
def test_a_valley_has_importance_without_correlation(method):
    """The best value in the middle: ranks don't rise with it, and yet nothing else matters."""
    columns = drawn()
    first = study(columns, [x**2 for x in columns["x"]], method).influences[0]

    assert first.column == "x" and abs(first.correlation) < 0.2 and first.importance > 0.5


@pytest.mark.parametrize("method", METHODS)
def test_words_count(method):
    columns = drawn()
    found = study(columns, [{"a": 0.0, "b": 5.0, "c": 1.0}[word] for word in columns["word"]], method)

    assert found.influences[0].column == "word" and found.influences[0].correlation is None
    assert found.influences[0].importance > 0.5


def test_the_forest_sees_what_matters_in_combination_only():
    """The sign of a product: each factor alone tells nothing."""
    pytest.importorskip("sklearn")
    columns = drawn(400)
    metric = [float(x * y > 0) for x, y in zip(columns["x"], columns["y"], strict=True)]

    alone, together = importances(columns, metric, BINS), importances(columns, metric, FOREST)

    assert max(alone["x"], alone["y"]) < 0.1
    assert min(together["x"], together["y"]) > 5 * max(together["z"], together["noise"], together["word"])


@pytest.mark.parametrize("method", METHODS)
def test_one_run_that_went_astray_does_not_hide_the_rest(method):
    columns = drawn()
    metric = list(columns["x"])
    metric[7] = 1e30

    assert study(columns, metric, method).influences[0].column == "x"


@pytest.mark.parametrize("method", METHODS)
def test_the_same_runs_give_the_same_answer(method):
    columns = drawn(60)
    metric = [x + y for x, y in zip(columns["x"], columns["y"], strict=True)]

    assert study(columns, metric, method) == study(columns, metric, method)


@pytest.mark.parametrize("method", METHODS)
def test_missing_values_and_columns_without_any(method):
    """A setting that only some runs have counts among these; one that none has is not important."""
    columns = drawn()
    metric = columns["x"]
    columns = {
        "x": [x if i % 2 else None for i, x in enumerate(metric)],
        "none": [None] * 200,
        "odd": [float("nan")] * 200,
    }
    found = {each.column: each for each in study(columns, metric, method).influences}

    assert found["x"].runs == 100 and found["x"].correlation == pytest.approx(1.0) and found["x"].importance > 0.2
    assert found["none"].importance == found["odd"].importance == 0 and found["none"].correlation is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("metric", [[1.0] * 50, [float(i) for i in range(7)]])
def test_nothing_is_said_where_nothing_can_be(method, metric):
    """A metric that is always the same, or too few runs."""
    found = study({"x": [float(i) for i in range(len(metric))]}, metric, method)

    assert [(each.correlation, each.importance) for each in found.influences] == [(None, None)]


def test_ranks_share_their_places():
    assert ranks(np.array([10.0, 30.0, 20.0, 20.0])).tolist() == [1.0, 4.0, 2.5, 2.5]


def test_chance_is_taken_off_the_ratio():
    """Ten bins of noise would explain a tenth by themselves; over many tries little is left."""
    rng = np.random.default_rng(0)
    found = [ratio(rng.integers(0, 10, 100), rng.normal(size=100)) for _ in range(200)]

    assert np.mean(found) < 0.03 and ratio(np.repeat([0, 1], 5), np.repeat([0.0, 1.0], 5)) == 1.0


def test_of_very_many_columns_the_likely_ones_are_kept():
    columns = {**{f"c{i}": np.random.default_rng(i).normal(size=80).tolist() for i in range(30)}, "x": list(range(80))}

    assert "x" in likely(columns, [float(i) for i in range(80)], 5) and len(likely(columns, list(range(80)), 5)) == 5
