"""Numbers, times and shares as people write them."""

import numpy as np
import pytest

from fulgurite.anomaly.words import counted, moment, number, percent, short


@pytest.mark.parametrize("value, text", [(76.2134, "76.21"), (10817.3, "10,817"), (-2500, "-2,500"), (3.0, "3"),
                                         (0.00123456, "0.001235"), (np.nan, ""), (1.5e13, "1.5e+13")])  # fmt: skip
def test_numbers_are_written_for_people(value, text):
    """Four digits that count; thousands are set apart."""
    assert number(value) == text


@pytest.mark.parametrize("time, text", [("2024-01-02T03:04", "2024-01-02 03:04"), ("2024-01-02", "2024-01-02 00:00"),
                                        ("2024-01-02T03:04:05", "2024-01-02 03:04:05"),
                                        ("2024-01-02T03:04:05.25", "2024-01-02 03:04:05.250")])  # fmt: skip
def test_times_have_the_seconds_they_need(time, text):
    """Whole minutes show none."""
    assert moment(np.datetime64(time, "us")) == text


def test_rows_without_times_are_numbered():
    """The number of a row is said to be one."""
    assert moment(np.int64(12345)) == "row 12,345"


@pytest.mark.parametrize(
    "share, text", [(0.0173, "1.7 %"), (0, "0 %"), (1, "100 %"), (0.9999, "99.99 %"), (6e-7, "6e-05 %")]
)
def test_shares_are_percents(share, text):
    """Small ones are not rounded to nothing, nor large ones to all."""
    assert percent(share) == text


def test_one_is_singular():
    """Everything else is plural."""
    assert [counted(count, "row") for count in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_long_texts_are_cut_where_seen():
    """The cut is shown, and lines are joined."""
    assert short("one\ntwo", 10) == "one two"
    assert short("a" * 20, 10) == "a" * 9 + "…"
