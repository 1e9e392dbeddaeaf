"""Scaling and vocabularies: learned on the training rows, right on any others."""

import numpy as np
import pytest

from fulgurite.anomaly.encoding import UNKNOWN, Scaling, Vocabulary
from fulgurite.anomaly.series import Category
from fulgurite.base.errors import DataError


def column(*words):
    """A column as a reader makes it, its words in the order in which they came."""
    known = tuple(dict.fromkeys(word for word in words if word is not None))
    codes = [-1 if word is None else known.index(word) for word in words]
    return Category("state", np.array(codes, np.int32), known)


def test_training_rows_get_mean_0_and_deviation_1():
    """Other rows are measured by the training rows' mean and deviation, not by their own."""
    train = np.random.default_rng(0).normal([5, -100], [2, 30], (500, 2))
    scaling = Scaling.fit(("a", "b"), train)

    assert scaling(train).mean(axis=0) == pytest.approx([0, 0], abs=1e-5)
    assert scaling(train).std(axis=0) == pytest.approx([1, 1], abs=1e-5)
    assert scaling(train[:1] + 2 * scaling.spread) == pytest.approx(scaling(train[:1]) + 2, abs=1e-5)


def test_scaled_numbers_come_back_in_their_unit():
    """Each column by its own mean and deviation."""
    train = np.random.default_rng(0).normal([5, -100], [2, 30], (500, 2))
    scaling = Scaling.fit(("a", "b"), train)

    assert scaling.undo(scaling(train)[:, 1], 1) == pytest.approx(train[:, 1], abs=1e-3)


def test_an_empty_cell_counts_as_the_median():
    """Of the training rows, also where they have empty cells themselves."""
    scaling = Scaling.fit(("a",), np.array([[1.0], [2.0], [np.nan], [30.0]]))

    assert scaling(np.array([[np.nan]])) == scaling(np.array([[2.0]]))


@pytest.mark.parametrize("value", [1e39, -1e39, 1e300])
def test_a_huge_number_stays_a_number(value):
    """Float32 ends at 3e38; a number of 1e39 is far away, not absent."""
    scaling = Scaling.fit(("a",), np.array([[1.0], [2.0], [3.0]]))

    assert scaling(np.array([[value]])).tolist() == [[np.sign(value) * 1e6]]


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_a_constant_column_becomes_0(value):
    """Neither a division by zero nor rounding blown up to noise."""
    scaling = Scaling.fit(("a",), np.full((1000, 1), value))

    assert scaling(np.full((3, 1), value)).tolist() == [[0.0]] * 3


def test_a_column_without_numbers_is_named():
    """The error says which column and what to do."""
    with pytest.raises(DataError, match="'b'. Leave the column out"):
        Scaling.fit(("a", "b"), np.array([[1.0, np.nan], [2.0, np.nan]]))


def test_words_are_found_again_in_any_order():
    """A file that lists its words in another order gets the same codes."""
    words = Vocabulary.fit(column("on", "off", "on"))

    assert words(column("on", "off", "on")).tolist() == [2, 1, 2]
    assert words(column("off", "off", "on")).tolist() == [1, 1, 2]


def test_unseen_and_empty_cells_are_unknown():
    """They get the slot that is kept for them, and codes stay within the vocabulary."""
    words = Vocabulary.fit(column("on", None, "off"))

    assert words(column("broken", "on", None)).tolist() == [UNKNOWN, 2, UNKNOWN]
    assert len(words) == 3


def test_words_that_only_other_rows_use_are_not_learned():
    """The words of the whole file stand in the column; the training rows are a part of it."""
    whole = column("on", "off", "idle")

    assert Vocabulary.fit(whole.rows(slice(0, 2))).words == ("off", "on")


def test_both_survive_as_plain_data():
    """What `state_dict` gives are numbers, words and lists of them."""
    scaling = Scaling.fit(("a", "b"), np.random.default_rng(0).normal(size=(50, 2)))
    words = Vocabulary.fit(column("on", "off"))
    rows = np.random.default_rng(1).normal(size=(5, 2))

    assert np.array_equal(Scaling.from_state(scaling.state_dict())(rows), scaling(rows))
    assert Vocabulary.from_state(words.state_dict()) == words
