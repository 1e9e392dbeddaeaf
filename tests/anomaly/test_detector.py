"""AnomalyDetector: what it learns from, how it scores, what a file of it holds, and what it says of odd rows."""

from dataclasses import replace

import numpy as np
import pandas
import polars
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from fulgurite.anomaly import AnomalyDetector
from fulgurite.anomaly import scorer as scorer_module
from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.series import Category, Series
from fulgurite.anomaly.verdict import Verdict
from fulgurite.base import format as disk
from fulgurite.base.errors import CheckpointError, DataError, MisconfigurationException
from support.zscore import ZScore

ROWS, TRAINING = 600, 400


def series(rows=ROWS, spikes=(500, 501, 560), step=300):
    """A noisy constant with spikes, one row every ``step`` seconds."""
    value = np.random.default_rng(0).normal(10, 1, rows)
    value[[spike for spike in spikes if spike < rows]] += 50
    time = np.datetime64("2024-01-01", "us") + np.arange(rows) * np.timedelta64(step, "s")
    return Series(time, time, value[:, None], ("value",))


def detector(**settings):
    settings = {"model": ZScore(), "threshold": "quantile:0.99", "normalise": False, **settings}
    return AnomalyDetector(**settings).fit(series().rows(None, TRAINING))


def frame(part):
    return pandas.DataFrame({"when": part.time, "value": part.value})


class Seen(ZScore):
    """Keeps which rows it was given to learn from."""

    def fit(self, series, trainer):
        super().fit(series, trainer)
        self.rows, self.trainer = len(series), dict(trainer)


@pytest.mark.parametrize(
    ("threshold", "normalise", "learned"),
    [("quantile:0.99", False, 320), ("fixed:3", True, 320), ("pot:1e-3", False, 320), ("fixed:3", False, 400),
     ("scored:0.99", False, 400)],
)  # fmt: skip
def test_the_last_fifth_calibrates_where_there_is_something_to_calibrate(threshold, normalise, learned):
    """Quantiles and the past are taken from rows that the model did not learn from; else it learns from all rows."""
    found = detector(model=Seen(), threshold=threshold, normalise=normalise)

    assert found.model_.rows == learned
    assert any(f"{learned} " in note and "earned from" in note for note in found.notes_)


def test_labels_are_never_looked_at():
    """The same scores come out whatever the labels say."""
    part = series().rows(None, TRAINING)
    without = AnomalyDetector(ZScore()).fit(part)
    labelled = AnomalyDetector(ZScore()).fit(replace(part, label=np.arange(TRAINING) % 2 == 0), y=np.ones(TRAINING))

    test = series().rows(TRAINING)
    np.testing.assert_array_equal(without.score(test).score, labelled.score(test).score)


@pytest.mark.parametrize("normalise", [False, True])
def test_the_parts_sum_to_the_score(normalise):
    """Also where the score is measured by its past; a part's share of the score is its share of the raw score."""
    verdict = detector(normalise=normalise).score(series().rows(TRAINING))

    np.testing.assert_allclose(verdict.scored.parts.sum(axis=1), verdict.score, rtol=1e-9)
    columns = verdict.columns()
    assert list(columns)[:5] == ["score", "is_anomaly", "expected", "expected_low", "expected_high"]
    assert list(columns)[5:] == ["score_value", "score_mean"]


@pytest.mark.parametrize("normalise", [False, True])
def test_pieces_give_the_scores_of_the_whole(monkeypatch, normalise):
    """What the model is given at once, and in which pieces rows arrive, changes no number, flag or event."""
    found, test = detector(normalise=normalise), series().rows(TRAINING)
    whole = found.judge(test)
    monkeypatch.setattr(scorer_module, "CHUNK", 7)
    chunked = found.judge(test)
    stream, _ = found.stream(test)
    pieces = [stream.update(test.rows(start, start + 13)) for start in range(0, len(test), 13)]

    np.testing.assert_allclose(chunked.score, whole.score, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([piece.score for piece in pieces]), whole.score, rtol=1e-12)
    np.testing.assert_array_equal(np.concatenate([piece.flags for piece in pieces]), whole.flags)
    events = [event for piece in pieces for event in piece.events] + list(stream.close())
    assert [(event.start, event.end) for event in events] == [(event.start, event.end) for event in whole.events]


def test_rows_right_behind_training_go_on_from_it():
    """The window is full from the first row on, and the scores are those of one long series."""
    verdict = detector().judge(series().rows(TRAINING))

    assert not np.isnan(verdict.score).any()
    assert verdict.notes == ()


@pytest.mark.parametrize(("begin", "unscored"), [(TRAINING, 0), (TRAINING + 4, 0), (TRAINING + 6, 4), (100, 4)])
def test_rows_that_do_not_follow_start_anew(begin, unscored):
    """More than a window behind training, or before its end, the first rows only fill the window, and that is said."""
    verdict = detector().judge(series().rows(begin))

    assert np.isnan(verdict.score[:unscored]).all()
    assert not np.isnan(verdict.score[unscored:]).any()
    assert any("the first 4 only fill" in note for note in verdict.notes) == bool(unscored)


def test_who_knows_better_says_whether_rows_follow():
    """Rows without times never follow by themselves."""
    rows = series()
    plain = replace(rows, clock=None)
    found = AnomalyDetector(ZScore()).fit(plain.rows(None, TRAINING))

    assert np.isnan(found.judge(plain.rows(TRAINING)).score).sum() == 4
    assert np.isnan(found.judge(plain.rows(TRAINING), follows=True).score).sum() == 0
    assert np.isnan(found.judge(plain.rows(TRAINING), follows=False).score).sum() == 4


def test_scoring_leaves_the_detector_as_it_was():
    """The same rows have the same scores again."""
    found, test = detector(normalise=True), series().rows(TRAINING)

    np.testing.assert_array_equal(found.score(test).score, found.score(test).score)


def test_the_events_are_told():
    """Flags close together are one event, and the reason is in the value's unit."""
    found = detector(threshold="fixed:20", refractory=5)

    found.score(series().rows(TRAINING))

    assert [event.start for event in found.events_] == [series().time[500], series().time[560]]
    assert found.events_[0].rows >= 2
    assert "expected" in found.events_[0].reason
    assert found.notes_[-1] == "Flagged are rows whose score is above 20, a number given by hand."


def test_a_row_without_a_number_has_no_score_and_no_flag():
    """And it is no anomaly."""
    rows = series()
    rows.values[450] = np.nan
    verdict = detector().judge(rows.rows(TRAINING))

    assert np.isnan(verdict.score[50]) and not verdict.flags[50]


# -- tables --


@pytest.mark.parametrize("kind", ["pandas", "polars", "numpy"])
def test_a_table_comes_back_as_what_it_was(kind):
    """pandas in, pandas out; polars in, polars out; an array gives pandas. Its own columns stay as they were."""
    make = {"pandas": frame, "polars": lambda part: polars.DataFrame(frame(part)), "numpy": lambda part: part.value}
    make = make[kind]
    found = AnomalyDetector(ZScore(), threshold="fixed:20", normalise=False)
    found.fit(make(series().rows(None, TRAINING)))

    scored = found.score(make(series().rows(TRAINING)), follows=True)

    assert type(scored) is (polars.DataFrame if kind == "polars" else pandas.DataFrame)
    assert list(scored.columns)[-7:] == ["score", "is_anomaly", "expected", "expected_low", "expected_high",
                                         "score_value", "score_mean"]  # fmt: skip
    np.testing.assert_array_equal(scored["value"].to_numpy(), series().value[TRAINING:])
    np.testing.assert_array_equal(scored["is_anomaly"].to_numpy() > 0, scored["score"].to_numpy() > 20)
    assert scored["is_anomaly"].to_numpy()[100] == 1


def test_unsorted_rows_get_their_own_scores():
    """Each score stands beside its row, in the order in which the rows came."""
    part = frame(series().rows(TRAINING))
    shuffled = part.sample(frac=1, random_state=0)
    found = detector()

    scored = found.score(shuffled)

    np.testing.assert_array_equal(scored.sort_index()["score"].to_numpy(), found.score(part)["score"].to_numpy())


def test_rows_of_other_columns_are_refused():
    """Both sides are named."""
    found = AnomalyDetector(ZScore()).fit(frame(series().rows(None, TRAINING)))

    with pytest.raises(DataError, match="no column 'value'.* 'level'.* trained on the value 'value'"):
        found.score(frame(series().rows(TRAINING)).rename(columns={"value": "level"}))


def test_a_series_of_another_schema_is_refused_with_both_sides_named():
    """Missing and strange columns are told."""
    rows = series()
    words = Category("line", np.zeros(ROWS, np.int32), ("a",))
    found = AnomalyDetector(ZScore()).fit(replace(rows, categories=(words,)).rows(None, TRAINING))

    with pytest.raises(DataError, match=r"trained on the value 'value' and the categorical 'line', .* Missing: 'line'"):
        found.score(rows.rows(TRAINING))


def test_another_step_is_worth_a_word():
    """A model of five minutes is not silently used for hours."""
    found = detector()

    assert any("every 1 h, those of training every 5 min" in note for note in found.judge(series(step=3600)).notes)
    assert not any("every" in note for note in found.judge(series(step=450)).notes)


def test_flags_everywhere_are_worth_a_word():
    """They say more of the rows than of anomalies in them."""
    verdict = detector().judge(replace(series(), values=series().values + 100))

    assert any("flagged: more likely" in note for note in verdict.notes)


# -- conventions --


def test_arguments_stay_as_they_were_given():
    """As scikit-learn expects: `clone`, `get_params` and `set_params` work, and fit changes none of them."""
    found = AnomalyDetector("seed", epochs=3, threshold="fixed:1")
    twin = clone(found)

    assert twin.get_params() == found.get_params()
    assert twin.set_params(epochs=4).epochs == 4
    assert repr(found) == "AnomalyDetector(model='seed', threshold='fixed:1', epochs=3)"
    with pytest.raises(ValueError, match="no 'epoch'"):
        found.set_params(epoch=1)


def test_what_was_learned_has_names_that_end_in_an_underscore():
    """And `fit` gives the detector back."""
    found = detector()

    assert isinstance(found.judge(series()), Verdict)
    assert list(found.feature_names_in_) == ["value"]
    assert found.n_features_in_ == 1
    assert found.threshold_.level is not None


@pytest.mark.parametrize(
    "use",
    [lambda found: found.score(series()), lambda found: found.save("x"), lambda found: found.n_features_in_],
    ids=["score", "save", "features"],
)
def test_nothing_works_before_fit(use):
    """One message says what to call."""
    found = AnomalyDetector(ZScore())

    with pytest.raises(MisconfigurationException, match="call fit"):
        use(found)


@pytest.mark.parametrize(
    "settings", [{"model": "windows"}, {"threshold": "99%"}, {"model": "seed", "options": {"x": 1}}]
)
def test_settings_that_mean_nothing_are_refused(settings):
    """Before anything is learned."""
    with pytest.raises((MisconfigurationException, TypeError), match="window|threshold|x"):
        AnomalyDetector(**settings).fit(series())


# -- the file --


@pytest.mark.parametrize("normalise", [False, True])
def test_a_file_scores_as_the_detector_did(normalise):
    """Its rows need not be there: also those that follow training go on from it."""
    found = detector(normalise=normalise)
    found.save("model.ckpt")
    loaded = AnomalyDetector.load("model.ckpt", model=ZScore())

    for begin in (TRAINING, 100):
        part = series().rows(begin)
        np.testing.assert_array_equal(loaded.score(part).score, found.score(part).score)
    assert loaded.threshold_.level == found.threshold_.level
    assert loaded.schema_ == found.schema_


def test_a_file_is_plain_data():
    """torch loads it safely, and nothing in it can be run."""
    detector().save("model.ckpt")

    assert torch.load("model.ckpt", weights_only=True)["fulgurite_anomaly"] == {"what": "model", "format": 3}


def test_a_model_of_ones_own_has_to_be_given_again():
    """The file holds its numbers, not its code."""
    detector().save("model.ckpt")

    with pytest.raises(CheckpointError, match=r"holds a support\.zscore\.ZScore: give one"):
        AnomalyDetector.load("model.ckpt")


@pytest.mark.parametrize(
    ("content", "told"),
    [({"state_dict": {}}, "a checkpoint of a Trainer"), ({"x": 1}, "something else"),
     ({"fulgurite_anomaly": {"what": "state", "format": 1}}, "an anomaly state"),
     ({"fulgurite_anomaly": {"what": "model", "format": 99}}, "newer than")],
)  # fmt: skip
def test_another_file_is_not_taken_for_a_model(content, told):
    """It is said what the file is instead."""
    torch.save(content, "other.ckpt")

    with pytest.raises(CheckpointError, match=told):
        AnomalyDetector.load("other.ckpt")


def test_the_documents_model_comes_back_from_a_file():
    """Scalers, words and weights travel with it."""
    rows = generate(rows=400, kinds=("spike",), seed=1)
    found = AnomalyDetector("seed", epochs=1, options={"layer_sizes": (8, 4)}).fit(rows.rows(None, 300))
    found.save("model.ckpt")

    np.testing.assert_array_equal(
        AnomalyDetector.load("model.ckpt").score(rows.rows(300)).score, found.score(rows.rows(300)).score
    )


def test_a_rule_and_a_score_that_do_not_fit_are_refused():
    """Standard deviations of the past mean nothing where the past is not measured."""
    with pytest.raises(MisconfigurationException, match="normalise=False does not measure"):
        detector(threshold="normalised:3", normalise=False)


def test_a_rule_brings_the_score_that_it_needs():
    seed = detector(threshold="normalised:3", normalise=None)
    plain = AnomalyDetector(ZScore(), normalise=False).fit(series().rows(None, TRAINING))

    assert seed.judge(series().rows(TRAINING), follows=True).score.min() >= 0  # measured by the past, which gives >= 0
    assert plain.threshold_.rule == "quantile"


def test_rows_of_another_time_do_not_inherit_the_last_alarm():
    """Training that ends in the middle of an outage: unrelated rows half a year later begin calm."""
    rows = series(spikes=tuple(range(390, 400)))
    fitted = AnomalyDetector(ZScore()).fit(rows.rows(None, TRAINING))
    moved = np.timedelta64(200, "D")
    calm = series(spikes=())
    later = replace(calm, time=calm.time + moved, clock=calm.clock + moved)

    assert fitted.judge(rows.rows(TRAINING), follows=True).score[0] > 2
    assert np.nanmax(fitted.judge(later).score[:100]) < 2


def test_calibration_is_on_rows_with_a_number():
    """A sensor that was dead for the last third of training: the last fifth of what it measured calibrates."""
    rows = series()
    values = rows.values.copy()
    values[270:TRAINING] = np.nan

    found = AnomalyDetector(Seen()).fit(replace(rows, values=values).rows(None, TRAINING))

    assert found.model_.rows == 270 - 54
    assert found._scorer.past.count == 54


def test_offline_flags_what_happened_and_names_its_value():
    rows = generate(rows=1200, kinds=())
    values = rows.values.copy()
    at = np.array([750, 950, 1100])
    values[at] += 80
    found = AnomalyDetector(offline=True, epochs=20).fit(rows.rows(0, 600))

    verdict = found.judge(replace(rows, values=values).rows(600), follows=True)

    assert verdict.flags[at - 600].all()
    peaks = np.searchsorted(rows.time, [event.peak for event in verdict.events])
    assert set(peaks) <= set(at)


def test_notes_of_scored_rows_do_not_enter_the_file(tmp_path):
    found = detector()
    told = found.notes_
    found.score(frame(series().rows(TRAINING)))

    found.save(tmp_path / "model.ckpt")

    assert AnomalyDetector.load(tmp_path / "model.ckpt", model=ZScore()).notes_ == told


def test_a_damaged_file_says_what_it_lacks(tmp_path):
    found = detector()
    found.save(tmp_path / "model.ckpt")
    state = disk.read(tmp_path / "model.ckpt")
    del state["schema"]
    disk.write(state, tmp_path / "model.ckpt")

    with pytest.raises(CheckpointError, match="lacks 'schema'"):
        AnomalyDetector.load(tmp_path / "model.ckpt", model=ZScore())


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0}, {"epochs": -5}, {"epochs": 2.5}, {"epochs": 10**30}, {"refractory": 0}, {"seed": -1},
        {"seed": "x"}, {"seed": 10**30}, {"threshold": 3}, {"normalise": np.array([1, 2])}, {"offline": "no"},
        {"holidays": ["US"]}, {"options": [1]}, {"options": {1: 2}}, {"trainer": True}, {"model": None},
        {"model": object}, {"model": 3},
    ],
)  # fmt: skip
def test_arguments_that_mean_nothing_are_refused(settings):
    """When it learns, as scikit-learn's clones may be given others until then; by name."""
    with pytest.raises(MisconfigurationException, match=f"{next(iter(settings))}="):
        detector(**settings)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("window", {"windows": 12}, "options={'windows': 12}.* 'window' has no such setting.* latent"),
        ("window", {"window": 24.5}, "WindowModel.window=24.5"),
        ("window", {"hidden": (64, 0)}, "hidden=0 can't be used"),
        ("seed", {"latent_dims": 3}, "latent_dims=3.: no such setting.* latent_dim"),
        ("seed", {"latent_dim": "x"}, "latent_dim='x'.: an int"),
        ("seed", {"band": 1.0}, "band=1.0"),
    ],
)
def test_options_that_a_model_has_not_are_refused(model, options, words):
    with pytest.raises((MisconfigurationException, TypeError), match=words):
        detector(model=model, options=options)


@pytest.mark.parametrize("settings", [{"epochs": np.int64(2)}, {"seed": torch.tensor(3)}, {"refractory": np.int32(5)}])
def test_numbers_of_numpy_and_torch_are_numbers(settings):
    assert detector(**settings).get_params()[next(iter(settings))] is next(iter(settings.values()))


@pytest.mark.parametrize("follows", [np.array([1, 2]), "yes", 3])
def test_whether_rows_follow_is_true_false_or_none(follows):
    with pytest.raises(MisconfigurationException, match="follows="):
        detector().score(series(), follows=follows)


def test_scikit_learn_takes_it_for_one_of_its_own():
    """In a pipeline, and where it is asked whether an estimator has learned."""
    rows = frame(series())
    fitted = Pipeline([("detector", AnomalyDetector(ZScore()))]).fit(rows[:TRAINING])

    check_is_fitted(fitted["detector"])
    assert list(fitted.score(rows[TRAINING:])["is_anomaly"]) == list(
        fitted["detector"].score(rows[TRAINING:])["is_anomaly"]
    )
    with pytest.raises(NotFittedError):
        check_is_fitted(AnomalyDetector())
