"""Spans of time, read as users write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.base.cadence import parse_duration
from fulgurite.base.errors import MisconfigurationException


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_words_and_units_mean_the_same(days, hours, minutes, seconds):
    """DD:HH:MM:SS, a dict and a timedelta of the same span are equal."""
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)

    assert parse_duration(f"{days:02d}:{hours:02d}:{minutes:02d}:{seconds:02d}") == expected
    assert parse_duration({"days": days, "hours": hours, "minutes": minutes, "seconds": seconds}) == expected
    assert parse_duration(expected) == expected


@pytest.mark.parametrize("given", ["", "soon", "1:2:3", "00:00:00:0001", "12:00", {"fortnights": 1}, {"hours": -1}])
def test_what_is_no_span_is_named(given):
    """The error names the setting and what was given."""
    with pytest.raises(MisconfigurationException) as raised:
        parse_duration(given, "Trainer(max_time=...)")

    assert "Trainer(max_time=...)" in str(raised.value) and repr(given) in str(raised.value)


def test_a_bare_number_is_no_span():
    """Seconds, minutes, hours? The error asks for a unit."""
    with pytest.raises(TypeError, match="Timer.*30.*timedelta"):
        parse_duration(30, "Timer(duration=...)")
