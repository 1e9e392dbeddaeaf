"""The window model: it finds what is put in, in pieces as in one go, with gaps, categories and more columns."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.judge.vus import vus, window_length
from fulgurite.anomaly.kinds import WINDOW
from fulgurite.anomaly.labels import labels_of, read_windows
from fulgurite.anomaly.past import Past
from fulgurite.anomaly.reading import read
from fulgurite.anomaly.series import Category, Series, chunks
from fulgurite.anomaly.threshold import Threshold
from fulgurite.anomaly.window import WindowModel
from fulgurite.base import format as disk
from fulgurite.base.errors import DataError, MisconfigurationException

pytest.importorskip("holidays")

NAB = Path(__file__).resolve().parents[3] / "shared" / "data" / "nab"
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def fitted(series, **settings):
    """A model that learned from the first 40 %, calibrated on the next 10 %, and its memory of both."""
    half, memory = len(series) // 2, {}
    cut = int(half * 0.8)
    model = WindowModel(**settings)
    model.fit(series.rows(0, cut), QUIET)
    model.score(series.rows(0, cut), memory)
    model.calibrate(series.rows(cut, half), copy.deepcopy(memory))
    return model, memory, series.rows(cut, half), series.rows(half)


def normalised(model, memory, calibration, test):
    past = Past()
    past.update(model.score(calibration, memory).raw)
    return past.update(model.score(test, memory).raw)


@pytest.fixture(scope="module")
def trained():
    """A model after a short training on a clean series, and what `fitted` gives with it."""
    return fitted(generate(rows=2000, kinds=("spike",)), epochs=30)


@pytest.mark.parametrize("kind", ["spike", "shift", "flat"])
def test_what_was_put_in_is_found(kind):
    """The stated goal for made-up series: a volume under the surface of 0.9, with the settings as they are."""
    made = generate(kinds=(kind,), seed=5)

    score = normalised(*fitted(made))

    assert vus(made.label[2000:], score, window_length(made.value))[0] >= 0.9


def test_few_rows_of_a_clean_series_are_flagged():
    model, memory, calibration, test = fitted(generate(kinds=(), seed=5))
    past = Past()
    past.update(model.score(calibration, memory).raw)

    _, own = past.measure(model.score(test, memory).raw)

    assert (own > Threshold.parse(WINDOW.threshold).number).mean() < 0.01


def test_pieces_are_scored_as_the_whole(trained):
    model, memory, _, test = trained
    whole = model.score(test, copy.deepcopy(memory))
    memory = copy.deepcopy(memory)

    pieces = [model.score(part, memory) for part in chunks(test, 77)]

    for name in vars(whole):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        np.testing.assert_allclose(joined, getattr(whole, name), rtol=2e-3, atol=2e-3)


def test_a_window_that_is_not_full_has_no_score(trained):
    model, _, _, test = trained

    scored = model.score(test, {})

    assert np.isnan(scored.raw[: model.window - 1]).all()
    assert np.isfinite(scored.raw[model.window - 1 :]).all()


def test_fewer_rows_than_a_window_have_no_score_but_are_remembered(trained):
    model, _, _, test = trained
    memory = {}
    first = model.score(test.rows(0, 5), memory)
    rest = model.score(test.rows(5), memory)

    whole = model.score(test, {})

    assert np.isnan(first.raw).all()
    np.testing.assert_allclose(rest.raw, whole.raw[5:], rtol=2e-3)


def test_a_row_without_a_number_has_no_score_and_spoils_no_other(trained):
    """Twenty rows without a number: they are not scored, and those after them are not flagged for it."""
    model, memory, calibration, _ = trained
    clean = generate(rows=2000, kinds=(), seed=0).rows(1000)
    values = clean.values.copy()
    values[300:320] = np.nan

    score = normalised(model, copy.deepcopy(memory), calibration, replace(clean, values=values))

    assert np.isnan(score[300:320]).all()
    assert np.isfinite(np.delete(score, slice(300, 320))).all()
    assert score[320:400].max() < 3


def test_a_calm_row_lies_in_the_band(trained):
    model, memory, _, _ = trained
    clean = generate(rows=2000, kinds=(), seed=0).rows(1000)

    scored = model.score(clean, copy.deepcopy(memory))

    assert ((scored.low <= clean.value) & (clean.value <= scored.high)).mean() > 0.95
    assert (scored.low < scored.expected).all() and (scored.expected < scored.high).all()


def test_the_same_weeks_a_year_later_score_the_same(trained):
    """52 weeks: the calendar's hours and days are the same, and nothing else of the time is looked at."""
    model, memory, _, test = trained
    later = test.clock + np.timedelta64(364, "D")

    moved = model.score(replace(test, time=later, clock=later), copy.deepcopy(memory))

    np.testing.assert_array_equal(moved.raw, model.score(test, copy.deepcopy(memory)).raw)


def test_the_state_scores_as_the_model_does(trained, tmp_path):
    """Through a file that loads without running anything in it."""
    model, memory, _, test = trained
    disk.write({"model": model.state_dict()}, tmp_path / "state.ckpt")
    other = WindowModel(epochs=1)

    other.load_state_dict(disk.read(tmp_path / "state.ckpt")["model"])

    np.testing.assert_array_equal(
        other.score(test, copy.deepcopy(memory)).parts, model.score(test, copy.deepcopy(memory)).parts
    )
    assert other.part_names == model.part_names


def test_training_is_repeatable_and_leaves_the_random_state_alone():
    rows = generate(rows=600, kinds=()).rows(0, 500)
    torch.manual_seed(7)
    before = torch.get_rng_state()

    scores = []
    for seed in (3, 3, 4):
        model = WindowModel(seed=seed, epochs=2)
        model.fit(rows, QUIET)
        scores.append(model.score(rows, {}).raw[model.window :])

    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_a_category_that_training_never_saw_is_unknown_and_not_an_error():
    rows = generate(rows=600, kinds=())
    machine = Category("machine", (np.arange(600) // 50 % 2).astype(np.int32), ("press", "saw"))
    model = WindowModel(epochs=2)
    model.fit(replace(rows.rows(0, 400), categories=(machine.rows(slice(0, 400)),)), QUIET)
    new = Category("machine", np.zeros(200, np.int32), ("lathe",))

    scored = model.score(replace(rows.rows(400), categories=(new,)), {})

    assert np.isfinite(scored.raw[model.window - 1 :]).all()


def test_a_second_column_has_parts_of_its_own_and_takes_the_blame():
    """A jump in the second column alone: its parts rise, those of the first do not."""
    rows, load = generate(rows=1200, kinds=()), generate(rows=1200, kinds=(), seed=1).values.copy()
    load[1100:1120] += 200
    both = replace(rows, values=np.column_stack([rows.values, load]), names=("value", "load"))
    model, memory, _, test = fitted(both, epochs=10)

    parts = model.score(test, memory).parts

    own = np.array([name.startswith("load_") for name in model.part_names])
    calm, jump = slice(300, 400), slice(500, 520)
    assert parts[jump][:, own].sum() > 3 * parts[calm][:, own].sum() / 5
    assert parts[jump][:, own].sum() > parts[jump][:, ~own].sum()


def test_rows_without_times_are_scored_without_a_calendar():
    values = np.sin(np.arange(900) / 4)[:, None] + np.random.default_rng(0).normal(0, 0.1, (900, 1))
    time = np.arange(900).astype("datetime64[s]").astype("datetime64[us]")
    rows = Series(time, None, values, ("value",))
    model = WindowModel(epochs=3)
    model.fit(rows.rows(0, 600), QUIET)

    assert model.calendar == ()
    assert np.isfinite(model.score(rows.rows(600), {}).raw[model.window - 1 :]).all()


def test_too_few_rows_are_refused_with_the_number_that_is_needed():
    with pytest.raises(DataError, match="There are 20 rows .* at least 36 are needed"):
        WindowModel().fit(generate(rows=600, kinds=()).rows(0, 20), QUIET)


@pytest.mark.nab
@pytest.mark.slow
@pytest.mark.skipif(not NAB.is_dir(), reason="the NAB series do not lie beside the checkout")
def test_the_development_series_are_ranked_far_better_than_by_chance():
    """Half of each of the seven files is learned from. Their mean was .54 when settings were chosen; chance is .16."""
    found = []
    for path in sorted(NAB.glob("*.csv")):
        series = read(path)
        labels = labels_of(series, read_windows(NAB / "windows.json", path.name))
        score = normalised(*fitted(series))
        found.append(vus(labels[len(series) // 2 :], score, window_length(series.value))[0])

    assert len(found) == 7
    assert np.mean(found) > 0.45


@pytest.mark.parametrize("window", [0, -3, 5])
def test_a_window_that_cannot_be_is_refused(window):
    with pytest.raises(MisconfigurationException, match="window=.* whole number of 12 or more"):
        WindowModel(window=window)
