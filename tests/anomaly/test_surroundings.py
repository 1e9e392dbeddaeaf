"""What is around a row: in pieces as in one go, in the middle of what it looks at, near the ends and in a file."""

import numpy as np
import pytest

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.series import chunks
from fulgurite.anomaly.surroundings import Surroundings
from fulgurite.anomaly.tides import Scale, Tides
from fulgurite.base import format as disk

WINDOW = 24


def surroundings(series):
    scale = Scale.fit(series)
    return Surroundings(scale, Tides.fit(scale(series.values), series), series.names, WINDOW).fit(series)


@pytest.fixture(scope="module")
def rows():
    return generate(rows=1200, kinds=(), seed=0)


@pytest.fixture(scope="module")
def learned(rows):
    return surroundings(rows.rows(0, 600))


def test_distances_are_those_to_the_nearest_training_windows(rows, learned):
    """By hand, for windows that are short enough to be compared row by row."""
    training = learned.tides.fill(learned.scale(rows.values[:600]), rows.rows(0, 600))[:, 0]
    later = learned.tides.fill(learned.scale(rows.values[600:700]), rows.rows(600, 700))[:, 0]
    known, new = (np.lib.stride_tricks.sliding_window_view(part, WINDOW) for part in (training, later))

    found = learned.distances(rows.rows(600, 700), {})[:, 0, 0]

    by_hand = np.sqrt(((new[:, None] - known[None]) ** 2).mean(axis=2)).min(axis=1)
    assert np.isnan(found[: WINDOW - 1]).all()
    np.testing.assert_allclose(found[WINDOW - 1 :], by_hand, atol=1e-3)


@pytest.mark.parametrize("size", [1, 7, 90])
def test_pieces_give_the_distances_of_the_whole(rows, learned, size):
    test, memory = rows.rows(900, 1100), {}
    learned.distances(rows.rows(0, 900), memory)

    pieces = [learned.distances(part, memory) for part in chunks(test, size)]

    whole = {}
    learned.distances(rows.rows(0, 900), whole)
    np.testing.assert_allclose(np.concatenate(pieces), learned.distances(test, whole), atol=2e-3)
    np.testing.assert_array_equal(memory["values"], whole["values"])


def test_a_strange_stretch_is_strangest_in_its_middle(rows, learned):
    values = rows.values.copy()
    values[800:824] += 60
    strange = type(rows.rows(0))(rows.time, rows.clock, values, rows.names)

    found = learned.centred(learned.distances(strange, {}))

    for place in range(len(learned.widths)):
        above = np.maximum(found[:, place, 0] - 2 * np.nanmedian(found[:, place, 0]), 0)
        assert (np.arange(1200) * above).sum() / above.sum() == pytest.approx(811.5, abs=WINDOW / 4)


def test_rows_near_the_ends_take_the_nearest_full_window(rows, learned):
    ending = learned.distances(rows.rows(600), {})

    found = learned.centred(ending)

    assert np.isfinite(found).all()
    for place, width in enumerate(learned.widths):
        assert (found[: width - 1 - width // 2, place] == ending[width - 1, place]).all()
        assert (found[-(width // 2) :, place] == ending[-1, place]).all()


def test_a_width_that_few_rows_do_not_fill_counts_as_the_others(rows, learned):
    few = learned.centred(learned.distances(rows.rows(600, 600 + 2 * WINDOW), {}))

    parts = learned.parts(few)

    assert np.isnan(few[:, 2]).all() and np.isfinite(few[:, :2]).all()
    np.testing.assert_allclose(parts, 1.5 * np.log1p(few[:, :2]).sum(axis=1))
    assert np.isnan(learned.parts(np.full((5, 3, 1), np.nan))).all()


def test_no_width_is_more_than_a_third_of_the_training_rows(rows):
    assert surroundings(rows.rows(0, 600)).widths == (24, 48, 96)
    assert surroundings(rows.rows(0, 150)).widths == (24, 48)
    assert surroundings(rows.rows(0, 80)).widths == (24,)


def test_the_state_gives_the_same_through_a_file(rows, learned, tmp_path):
    learned.calibrate(learned.distances(rows.rows(600, 900), {}))
    disk.write({"surroundings": learned.state_dict()}, tmp_path / "state.ckpt")

    other = Surroundings.from_state(disk.read(tmp_path / "state.ckpt")["surroundings"])

    test = rows.rows(900)
    np.testing.assert_array_equal(other.parts(other.distances(test, {})), learned.parts(learned.distances(test, {})))
    assert other.part_names == learned.part_names == ("value_surroundings",)
