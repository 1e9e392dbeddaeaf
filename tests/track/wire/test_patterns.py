"""Patterns of clients fit what they should, and none takes for ever."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.wire.patterns import BadPattern, Pattern, like

LONG = "a" * 40 + "!"


@pytest.mark.parametrize(
    "pattern",
    ["(a|a)+$", "(a|aa)*$", "((a)+)+$", "(a+)+$", "((ab)?c?)*", "(a*){9}", "(?:(?:a|b)c)+x", r"([)]a+)+", r"(\(a+)+"],
)
def test_a_group_that_fits_in_many_ways_is_not_repeated(pattern):
    """Each repeat would multiply the ways: 40 letters take years."""
    with pytest.raises(BadPattern, match="repeats a group"):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", [".*a" * 8 + "b", "(a|a)" * 40 + "b", "a?" * 30 + "a" * 30])
def test_many_repeats_and_choices_need_a_short_text(pattern):
    """What may take too long is told in place of being tried."""
    with pytest.raises(BadPattern, match="may take too long in a text of 41"):
        Pattern(pattern).is_in(LONG)


@pytest.mark.parametrize("pattern", ["(?#[)(a+)+b]", "(?x)(a #(\n+)+"])
def test_what_would_be_read_otherwise_is_refused(pattern):
    """A comment may hold half of a group."""
    with pytest.raises(BadPattern):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^run-(1|2)$", "run-2"),
        (r"^exp_\d{3}(-retry)?$", "exp_004-retry"),
        (".*res.*net.*", "my-resnet-50"),
        (r"[^\]]+", "x"),
        ("(ab)+c", "ababc"),
        ("a{1,2}?b", "aab"),
        ("{", "a{b"),
        ("(?P<n>[ab]+)-(?P=n)", "ab-ab"),
    ],
)
def test_patterns_that_people_write_are_taken(pattern, text):
    assert Pattern(pattern).is_in(text)
    assert not Pattern(pattern).is_in("")


@given(st.text("a%_\\", max_size=8), st.text("ab", max_size=8))
def test_like_is_what_sql_means(pattern, text):
    """The same as the plain translation, which is slow where there are many %."""
    parts = re.split(r"(\\.|%|_)", pattern)
    plain = "".join({"%": ".*", "_": "."}.get(part) or re.escape(part.removeprefix("\\")) for part in parts)

    assert bool(like(pattern).fullmatch(text)) == bool(re.fullmatch(plain, text, re.IGNORECASE | re.DOTALL))


@pytest.mark.timeout(20)
def test_like_ends_where_many_texts_may_be_anything():
    """The plain translation would take longer than anybody lives."""
    assert not like("%a" * 30 + "%b").fullmatch("a" * 5000)
