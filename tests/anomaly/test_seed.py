"""The document's model: what it is trained on, what a score is made of, and that the published result comes out."""

import copy
import csv
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fulgurite.anomaly.seed import SeedModel
from fulgurite.anomaly.series import Category, Series, chunks
from fulgurite.base import format as disk
from fulgurite.base.errors import DataError, MisconfigurationException
from fulgurite.callbacks import Callback
from fulgurite.loggers import CSVLogger

pytest.importorskip("holidays")

NAB = Path(__file__).resolve().parents[3] / "shared" / "data" / "nab"
MACHINE = NAB / "machine_temperature_system_failure.csv"
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def series(rows=600, seed=0, state=None):
    """Hourly values with a daily shape from the December on which the document's series begins."""
    random = np.random.default_rng(seed)
    clock = np.datetime64("2013-12-02", "us") + np.arange(rows) * np.timedelta64(1, "h")
    values = 80 + 10 * np.sin(np.arange(rows) / 24 * 2 * np.pi) + random.normal(0, 1, rows)
    states = () if state is None else (Category("state", random.integers(0, len(state), rows).astype(np.int32), state),)
    return Series(clock, clock, values[:, None], ("value",), states)


def with_values(rows, values):
    return replace(rows, values=values)


@pytest.fixture(scope="module")
def trained():
    """A model after two short epochs, and the rows it was trained on."""
    rows = series(state=("on", "off"))
    model = SeedModel(epochs=2)
    model.fit(rows, QUIET)
    return model, rows


def test_the_parts_are_the_features_and_sum_to_the_loss(trained):
    """One part for each column, one for the latent place; their mean sum is the loss that `test` logs."""
    model, rows = trained
    later = series(300, seed=1, state=("on", "off"))

    scored = model.score(later, {})

    assert model.part_names == ("value", "hour_min", "gap_holiday", "t", "day_of_week", "holiday", "state", "kld")
    assert scored.parts.shape == (300, 8) and scored.parts.dtype == np.float64
    assert (scored.parts[:, :-1] >= 0).all()
    assert scored.raw.mean() == pytest.approx(model.test(later), rel=1e-5)


def test_a_part_is_its_columns_share_of_the_loss(trained):
    """Smooth-L1 of the column over the width of the joined row, with an embedding's columns added up."""
    model, rows = trained
    table, module = model.table(rows), model.module.eval()
    with torch.no_grad():
        rebuilt, _, _, joined = module((table.continuous, table.categorical))
    errors = torch.nn.functional.smooth_l1_loss(rebuilt, joined, reduction="none").double().numpy() / joined.shape[1]

    parts = model.score(rows, {}).parts

    assert joined.shape[1] == 3 * 16 + 4
    assert parts[:, 0] == pytest.approx(errors[:, 48], rel=1e-4, abs=1e-8)
    assert parts[:, 4] == pytest.approx(errors[:, :16].sum(axis=1), rel=1e-4, abs=1e-8)


def test_the_band_holds_the_share_of_training_rows_that_was_asked_for(trained):
    """`expected` is in the value's own unit."""
    model, rows = trained
    scored = model.score(rows, {})

    inside = (scored.low <= rows.value) & (rows.value <= scored.high)

    assert 60 < scored.expected.mean() < 100
    assert inside.mean() == pytest.approx(0.99, abs=0.005)


def test_pieces_score_as_the_whole(trained):
    """Up to the rounding of float32."""
    model, rows = trained
    memory = {}
    whole = model.score(rows, {})

    pieces = [model.score(piece, memory) for piece in chunks(rows, 77)]

    assert np.concatenate([each.parts for each in pieces]) == pytest.approx(whole.parts, rel=1e-4, abs=1e-6)
    assert np.concatenate([each.expected for each in pieces]) == pytest.approx(whole.expected, abs=1e-3)


def test_rows_without_a_number_get_no_score(trained):
    """All parts and the band are NaN, and the rows around them are scored as before."""
    model, rows = trained
    values = rows.values.copy()
    values[10] = np.nan

    scored = model.score(with_values(rows, values), {})

    assert np.isnan(scored.parts[10]).all() and np.isnan([scored.expected[10], scored.low[10], scored.high[10]]).all()
    assert np.isfinite(np.delete(scored.parts, 10, axis=0)).all()


@pytest.mark.parametrize("value", [1e12, 1e39, -1e300])
def test_a_huge_number_is_scored_as_strange(trained, value):
    """More than any other, by a number that sums from its parts."""
    model, rows = trained
    values = rows.values.copy()
    values[10] = value

    scored = model.score(with_values(rows, values), {})

    assert np.isfinite(scored.parts).all()
    assert scored.raw.argmax() == 10


def test_rows_without_a_number_are_not_learned_from():
    """Training with empty rows is training without them."""
    rows = series(200)
    values = rows.values.copy()
    values[::2] = np.nan
    holed, kept = SeedModel(epochs=1), SeedModel(epochs=1)
    holed.fit(with_values(rows, values), QUIET)
    every_second = Series(rows.time[1::2], rows.clock[1::2], rows.values[1::2], rows.names)
    kept.fit(every_second, QUIET)

    assert np.array_equal(holed.score(rows, {}).parts, kept.score(rows, {}).parts)


def test_an_unseen_word_is_scored(trained):
    """No IndexError: it goes to the unknown slot, whose embedding is zero."""
    model, _ = trained
    later = series(50, state=("on", "broken"))

    scored = model.score(later, {})

    assert np.isfinite(scored.parts).all()
    assert set(model.table(later).categorical[:, 2].tolist()) == {0, 2}
    assert not model.module.encoder.embeddings[2].weight[0].any()


def test_a_missing_column_is_named(trained):
    """Rows of another schema get no score."""
    model, _ = trained

    with pytest.raises(DataError, match="categories named 'state'"):
        model.score(series(50), {})


def test_a_column_with_the_name_of_a_calendar_column_stays_the_users():
    """The calendar's own gives way under another name, and so does the latent part."""
    rows = series(200)
    names = ("holiday", "kld")
    rows = Series(rows.time, rows.clock, np.hstack([rows.values, rows.values]), names)
    model = SeedModel(epochs=1)

    model.fit(rows, QUIET)

    assert model.part_names == ("holiday", "kld", "hour_min", "gap_holiday", "t", "day_of_week", "holiday_", "kld_")


def test_without_holidays_or_a_clock_the_columns_that_need_them_are_left_out():
    """No holidays: no `gap_holiday`, no `holiday`. No times at all: the row's number is what remains."""
    rows = series(200)
    model = SeedModel(holidays=None, epochs=1)

    model.fit(rows, QUIET)
    assert model.part_names == ("value", "hour_min", "t", "day_of_week", "kld")
    model.fit(replace(rows, clock=None), QUIET)
    assert model.part_names == ("value", "t", "kld")
    assert np.isfinite(model.score(replace(rows, clock=None), {}).parts).all()


def test_the_calendars_columns_can_be_chosen():
    """The document's text uses only the time beside the value; a misspelt column is named with those there are."""
    model = SeedModel(epochs=1, calendar=["t", "month"])
    model.fit(series(200), QUIET)

    assert model.part_names == ("value", "t", "month", "day_of_week", "holiday", "kld")
    with pytest.raises(MisconfigurationException, match="'hours'.*choose among 'day', 'month'"):
        SeedModel(calendar=["hours"])


def test_a_model_from_a_file_scores_the_same(trained, tmp_path):
    """The state is plain data: it loads under `weights_only=True` into a model made with other arguments."""
    model, rows = trained
    disk.write(model.state_dict(), tmp_path / "model.ckpt")
    loaded = SeedModel(epochs=1, latent_dim=4)

    loaded.load_state_dict(disk.read(tmp_path / "model.ckpt"))

    assert loaded.part_names == model.part_names and loaded.epochs == 2
    ours, theirs = loaded.score(rows, {}), model.score(rows, {})
    assert np.array_equal(ours.parts, theirs.parts) and np.array_equal(ours.low, theirs.low)
    assert np.array_equal(ours.expected, theirs.expected)
    assert loaded.test(rows) == pytest.approx(model.test(rows))


def test_a_trained_model_can_be_copied_without_its_trainer(trained):
    """What is copied or pickled holds no training rows."""
    model, rows = trained

    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.trainer is None
        assert np.array_equal(other.score(rows, {}).parts, model.score(rows, {}).parts)


def test_the_seed_alone_decides():
    """Two models of one seed are equal, and the caller's random numbers are not touched."""
    rows = series(200)
    models = [SeedModel(epochs=1, seed=seed) for seed in (3, 3, 4)]
    torch.manual_seed(11)
    for model in models:
        model.fit(rows, QUIET)
    drawn = torch.rand(1)

    first, second, third = (model.score(rows, {}).raw for model in models)
    assert np.array_equal(first, second) and not np.array_equal(first, third)
    torch.manual_seed(11)
    assert torch.equal(drawn, torch.rand(1))


def test_the_losses_reach_the_logger_and_the_callbacks(tmp_path):
    """`trainer` goes to the Trainer as it stands; the three losses are logged, and `test_loss` after `test`."""
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(sorted(trainer.callback_metrics))

    rows, model = series(300), SeedModel(epochs=2)
    logger = CSVLogger(tmp_path, name="", version="")
    model.fit(rows, {**QUIET, "logger": logger, "callbacks": [Watch()], "log_every_n_steps": 1})
    model.test(rows)

    with (tmp_path / "metrics.csv").open() as file:
        written = list(csv.DictReader(file))
    assert len(seen) == 2 * 3 and seen[-1] == ["kld", "recon_loss", "total_loss"]
    assert sum(row["total_loss"] != "" for row in written) == 6
    assert float(written[-1]["test_loss"]) == pytest.approx(model.score(rows, {}).raw.mean(), rel=1e-4)


@pytest.mark.parametrize("filled", [0, 1])
def test_too_few_numbers_are_an_error(filled):
    """It says how many there are and how many are needed."""
    rows = series(10)
    values = np.full((10, 1), np.nan)
    values[:filled] = 1

    with pytest.raises(DataError, match=f"{filled} of 10 rows have a number"):
        SeedModel(epochs=1).fit(with_values(rows, values), QUIET)


def test_no_rows_are_scored_as_no_rows(trained):
    """An empty piece of a stream is no error."""
    model, rows = trained

    assert model.score(rows.rows(0, 0), {}).parts.shape == (0, 8)


def test_scoring_before_training_says_what_is_missing():
    """Not an AttributeError of some inner part."""
    with pytest.raises(RuntimeError, match="learned nothing yet. Call `fit`"):
        SeedModel().score(series(10), {})


@pytest.mark.slow
@pytest.mark.nab
@pytest.mark.timeout(600)
@pytest.mark.skipif(not MACHINE.exists(), reason="the series is not beside the checkout")
def test_the_published_result_comes_out():
    """60 epochs on the first 70 %: a test loss of 0.02 to 0.05, and seven rows flagged, all in February's failure."""
    table = np.genfromtxt(MACHINE, delimiter=",", skip_header=1, dtype=None, names=("time", "value"), encoding="utf-8")
    time = table["time"].astype("datetime64[us]")
    order = np.argsort(time, kind="stable")
    rows = Series(time[order], time[order], table["value"][order, None], ("value",))
    train, test = rows.rows(0, 15_886), rows.rows(15_886)
    start, end = (np.datetime64(moment) for moment in json.loads((NAB / "windows.json").read_text())[MACHINE.name][-1])
    model = SeedModel()

    model.fit(train, QUIET)

    scored = model.score(test, {})
    flagged = test.time[scored.raw > np.quantile(scored.raw, 0.999)]
    assert len(test) == 6_809 and len(flagged) == 7
    assert 0.02 <= model.test(test) <= 0.05
    assert ((start <= flagged) & (flagged <= end)).all()
