"""Offline: rows are ranked by what is around them, and what is flagged stays as it is."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from fulgurite.anomaly import AnomalyDetector
from fulgurite.anomaly import scorer as scorer_module
from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.judge.vus import vus, window_length
from fulgurite.base import format as disk
from fulgurite.base.errors import CheckpointError
from support.zscore import ZScore

TRAINING = 1000
PLAIN = {"epochs": 20}


@pytest.fixture(scope="module")
def rows():
    return generate(rows=2 * TRAINING, kinds=("spike", "shift"), seed=1)


@pytest.fixture(scope="module")
def offline(rows):
    return AnomalyDetector(offline=True, **PLAIN).fit(rows.rows(0, TRAINING))


@pytest.fixture(scope="module")
def test(rows):
    return rows.rows(TRAINING)


def test_what_is_flagged_is_what_is_flagged_live(rows, offline, test):
    live = AnomalyDetector(**PLAIN).fit(rows.rows(0, TRAINING)).judge(test)
    found = offline.judge(test)

    assert live.flags.any()
    np.testing.assert_array_equal(found.flags, live.flags)
    assert (found.score[found.flags] > offline.threshold_.level).all(), "a flagged row is ranked by itself at least"
    np.testing.assert_array_equal(found.scored.expected, live.scored.expected)


def test_an_event_has_the_reason_that_it_has_live(rows, offline, test):
    live = AnomalyDetector(**PLAIN).fit(rows.rows(0, TRAINING)).judge(test)

    found = offline.judge(test).events

    assert found
    assert [(each.start, each.end, each.part) for each in found] == [
        (each.start, each.end, each.part) for each in live.events
    ]
    assert not any("surroundings" in each.part for each in found)


def test_the_parts_sum_to_the_score(offline, test):
    found = offline.judge(test)

    assert found.part_names == (*offline.model_.part_names, "value_surroundings")
    np.testing.assert_allclose(found.scored.parts.sum(axis=1), found.score)
    own, around = found.scored.parts[:, :-1].sum(axis=1), found.scored.parts[:, -1]
    assert ((own == 0) | (around == 0)).all(), "a row is ranked by itself or by what is around it"
    assert (own[own > 0] > 2).all() and own.any() and around.any()


def test_rows_before_a_shift_are_ranked_by_what_comes(rows):
    """Half a window ahead of it what is around a row has changed already; live, nothing has."""
    values = rows.values.copy()
    values[:] = generate(rows=2 * TRAINING, kinds=(), seed=1).values
    values[1500:1560] += 60
    moved = replace(rows.rows(TRAINING), values=values[TRAINING:])

    scores = [
        AnomalyDetector(offline=ahead, **PLAIN).fit(rows.rows(0, TRAINING)).judge(moved).score
        for ahead in (True, False)
    ]

    before, calm = slice(494, 500), slice(200, 300)
    assert scores[0][before].min() > 3 > np.median(scores[0][calm])
    assert scores[1][before].max() < 3


@pytest.mark.parametrize(("kind", "least"), [("spike", 0.85), ("shift", 0.9), ("flat", 0.9)])
def test_what_was_put_in_is_ranked_high(kind, least):
    """With the settings as they are. A spike strangely surrounds the rows of a day, which costs it a little."""
    made = generate(kinds=(kind,), seed=5)

    found = AnomalyDetector(offline=True).fit(made.rows(0, 2000)).judge(made.rows(2000))

    assert vus(made.label[2000:], found.score, window_length(made.value))[0] >= least


def test_pieces_give_the_scores_of_the_whole(offline, test, monkeypatch):
    whole = offline.judge(test)
    monkeypatch.setattr(scorer_module, "CHUNK", 170)

    pieces = offline.judge(test)

    np.testing.assert_allclose(pieces.score, whole.score, atol=1e-3)
    np.testing.assert_allclose(pieces.scored.parts, whole.scored.parts, atol=1e-3)


def test_a_file_scores_as_the_detector_did(offline, test, tmp_path):
    offline.save(tmp_path / "model.ckpt")

    loaded = AnomalyDetector.load(tmp_path / "model.ckpt")

    np.testing.assert_array_equal(loaded.judge(test).score, offline.judge(test).score)
    assert loaded.judge(test).part_names == offline.judge(test).part_names


def test_a_file_from_before_surroundings_scores_as_it_did(rows, offline, test, tmp_path):
    """Then, the past looked ahead, and no more than that."""
    offline.save(tmp_path / "model.ckpt")
    state = disk.read(tmp_path / "model.ckpt")
    del state["scorer"]["hindsight"]
    state["scorer"]["past"] |= {"offline": True, "lead": 6}
    disk.write(state, tmp_path / "model.ckpt")

    found = AnomalyDetector.load(tmp_path / "model.ckpt").judge(test)

    assert found.part_names == tuple(offline.model_.part_names)
    np.testing.assert_allclose(found.scored.parts.sum(axis=1), found.score)
    np.testing.assert_array_equal(found.flags, offline.judge(test).flags)


def test_a_file_with_one_past_for_all_widths_says_that_it_is_too_old(offline, tmp_path):
    offline.save(tmp_path / "model.ckpt")
    state = disk.read(tmp_path / "model.ckpt")
    hindsight = state["scorer"]["hindsight"]
    hindsight["past"] = hindsight.pop("pasts")[0]
    disk.write(state, tmp_path / "model.ckpt")

    with pytest.raises(CheckpointError, match=r"was fitted with offline=True by an earlier .* Fit it again"):
        AnomalyDetector.load(tmp_path / "model.ckpt")


def test_scoring_leaves_the_detector_as_it_was(offline, test):
    before = copy.deepcopy(offline._scorer.state_dict())

    first, second = offline.judge(test).score, offline.judge(test).score

    np.testing.assert_array_equal(first, second)
    assert offline._scorer.state_dict()["hindsight"]["pasts"] == before["hindsight"]["pasts"]
    np.testing.assert_array_equal(
        offline._scorer.state_dict()["hindsight"]["memory"]["values"], before["hindsight"]["memory"]["values"]
    )


@pytest.mark.parametrize("size", [10, 40, 60, 200])
def test_few_rows_of_another_time_have_the_scores_that_fill_a_window(offline, test, size):
    found = offline.judge(test.rows(0, size), follows=False)

    assert np.isnan(found.score).sum() == min(size, offline.model_.window - 1)
    assert np.isfinite(found.score[offline.model_.window - 1 :]).all()


def test_no_rows_at_all_have_no_scores(offline, test):
    found = offline.judge(test.rows(0, 0), follows=True)

    assert found.score.shape == (0,)
    assert found.scored.parts.shape == (0, len(found.part_names))


def test_a_row_without_a_number_has_no_score_and_no_flag(offline, test):
    values = test.values.copy()
    values[300:330] = np.nan

    found = offline.judge(replace(test, values=values))

    assert np.isnan(found.score[300:330]).all() and not found.flags[300:330].any()
    assert np.isnan(found.scored.parts[300:330]).all()
    assert np.isfinite(np.delete(found.score, slice(300, 330))).all()


def test_a_second_column_has_surroundings_of_its_own(rows):
    """A jump in the second column alone: what is around it rises, and what is around the first does not."""
    load = generate(rows=2 * TRAINING, kinds=(), seed=2).values.copy()
    value = generate(rows=2 * TRAINING, kinds=(), seed=3).values
    load[1500:1550] += 200
    both = replace(rows.rows(0), values=np.column_stack([value, load]), names=("value", "load"))
    found = AnomalyDetector(offline=True, **PLAIN).fit(both.rows(0, TRAINING)).judge(both.rows(TRAINING))

    parts = dict(zip(found.part_names, found.scored.parts.T, strict=True))

    assert parts["load_surroundings"][500:550].mean() > 2 * parts["value_surroundings"][500:550].mean()


def test_a_model_without_surroundings_looks_ahead_by_its_past(rows):
    found = AnomalyDetector(ZScore(), offline=True, threshold="normalised:3").fit(rows.rows(0, TRAINING))

    assert found._scorer.hindsight is None and found._scorer.past.offline
    assert found.judge(rows.rows(TRAINING)).part_names == ("value", "mean")


def test_without_a_past_nothing_looks_ahead(rows, test):
    settings = {"normalise": False, "threshold": "quantile:0.99", **PLAIN}

    found = AnomalyDetector(offline=True, **settings).fit(rows.rows(0, TRAINING))

    assert found._scorer.hindsight is None
    np.testing.assert_array_equal(
        found.judge(test).score, AnomalyDetector(**settings).fit(rows.rows(0, TRAINING)).judge(test).score
    )
