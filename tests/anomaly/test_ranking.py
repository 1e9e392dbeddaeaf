"""Rows are ranked by their own scores where these are high, and by their windows elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from fulgurite.anomaly import AnomalyDetector
from fulgurite.anomaly import scorer as scorer_module
from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.past import Past
from fulgurite.anomaly.ranking import HIGH, Ranking, high, higher
from fulgurite.base import format as disk
from support.zscore import ZScore

PLAIN = {"epochs": 20}


@pytest.fixture(scope="module")
def rows():
    return generate(rows=2000, kinds=("spike", "shift"), seed=1)


@pytest.fixture(scope="module")
def live(rows):
    return AnomalyDetector(**PLAIN).fit(rows.rows(0, 1000))


def test_high_scores_are_those_above_a_limit():
    np.testing.assert_array_equal(high(np.array([0.5, HIGH, 4.0, np.nan])), [0, 0, 4, np.nan])


def test_the_greater_of_both_ranks_a_row():
    own, around = np.array([5.0, 5.0, 1.9, 1.9, np.nan]), np.array([3.0, 30.0, 3.0, 0.0, 3.0])

    np.testing.assert_array_equal(higher(own, around), [5, 10, 1, 0, np.nan])


def test_the_parts_at_the_places_are_measured_by_their_own_past():
    parts = np.random.default_rng(0).gamma(2.0, 1.0, (500, 3))

    found = Ranking([0, 2]).update(parts, np.zeros(500))

    np.testing.assert_allclose(found, Past().update(parts[:, 0] + parts[:, 2]) / 3)


def test_a_flagged_row_has_its_own_score_at_least(live, rows):
    found = live.judge(rows.rows(1000))

    assert found.flags.any()
    assert (found.score[found.flags] > 3).all()
    np.testing.assert_allclose(found.scored.parts.sum(axis=1), found.score)


def test_a_window_unlike_training_ranks_rows_that_are_not_flagged(live, rows):
    """Half of each day runs backwards: no value is strange by itself."""
    values = generate(rows=2000, kinds=(), seed=1).values[1000:].copy()
    values[480:528] = values[480:528][::-1]

    found = live.judge(replace(rows.rows(1000), values=values))

    assert found.score[500:528].mean() > 5 * np.median(found.score[:480])


def test_pieces_give_the_scores_of_the_whole(live, rows, monkeypatch):
    whole = live.judge(rows.rows(1000))
    monkeypatch.setattr(scorer_module, "CHUNK", 170)

    pieces = live.judge(rows.rows(1000))

    np.testing.assert_allclose(pieces.score, whole.score, atol=1e-3)
    np.testing.assert_array_equal(pieces.flags, whole.flags)


def test_each_columns_window_counts(rows):
    both = replace(rows.rows(0), values=np.tile(rows.values, 2), names=("value", "load"))
    found = AnomalyDetector(**PLAIN).fit(both.rows(0, 1000))

    names = [found.model_.part_names[place] for place in found._scorer.ranking.places]

    assert names == ["value_shape", "load_shape"]


def test_a_file_from_before_scores_as_it_did(live, rows, tmp_path):
    """Then, all terms together ranked rows, and their peaks faded."""
    live.save(tmp_path / "model.ckpt")
    state = disk.read(tmp_path / "model.ckpt")
    state["fulgurite_anomaly"]["format"] = 1
    del state["scorer"]["ranking"], state["scorer"]["lasting"]
    disk.write(state, tmp_path / "model.ckpt")

    found = AnomalyDetector.load(tmp_path / "model.ckpt").judge(rows.rows(1000))

    memory, past = {}, Past()
    past.load_state_dict(live._scorer.past.state_dict())
    live.model_.score(rows.rows(0, 1000), memory)
    score, own = past.measure(live.model_.score(rows.rows(1000), memory).raw)
    np.testing.assert_allclose(found.score, score, atol=1e-3)
    np.testing.assert_array_equal(found.flags, own > 3)


def test_a_file_of_format_2_compares_windows_by_their_logarithms(live, rows, tmp_path):
    live.save(tmp_path / "model.ckpt")
    state = disk.read(tmp_path / "model.ckpt")
    state["fulgurite_anomaly"]["format"] = 2
    del state["model"]["unfolds"], state["scorer"]["least"]
    disk.write(state, tmp_path / "model.ckpt")

    found = AnomalyDetector.load(tmp_path / "model.ckpt")

    assert not found.model_.terms.unfolds and found._scorer.least == 2.0
    assert live.model_.terms.unfolds and live._scorer.least == HIGH
    assert np.abs(found.judge(rows.rows(1000)).score - live.judge(rows.rows(1000)).score).max() > 0.1


def test_a_model_that_names_no_such_parts_is_ranked_by_all(rows):
    found = AnomalyDetector(ZScore(), threshold="normalised:3").fit(rows.rows(0, 1000))

    assert found._scorer.ranking is None
