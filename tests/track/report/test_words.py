"""Numbers, times and values as a report writes them."""

import math

import pytest

from fulgurite.track.report import words


@pytest.mark.parametrize(
    ("value", "written"),
    [(3, "3"), (3.0, "3"), (0.1234567, "0.12346"), (1e-9, "1e-09"), (math.nan, "NaN"), (-math.inf, "-∞")],
)
def test_numbers_are_short(value, written):
    assert words.number(value) == written


@pytest.mark.parametrize(
    ("seconds", "written"), [(0, "0s"), (59.6, "1m"), (3661, "1h 1m"), (90_000, "1d 1h"), (86_400, "1d"), (-5, "0s")]
)
def test_durations_have_two_units(seconds, written):
    assert words.duration(seconds) == written


def test_sizes_have_three_digits():
    assert [words.size(count) for count in (12, 1234, 5_200_000, 7e9)] == ["12 B", "1.23 kB", "5.2 MB", "7 GB"]


def test_leaves_have_dots_and_what_a_client_keeps_for_itself_is_left_out():
    values = {"a": {"b": 1, "c": {}}, "_wandb": {"x": 1}, "image": {"_type": "image-file", "path": "p"}}

    assert list(words.leaves(values)) == [("a.b", 1), ("a.c", {}), ("image", {"_type": "image-file", "path": "p"})]
    assert words.brief(values["image"]) == "image-file"
    assert words.brief([1, "x"]) == '[1, "x"]'
