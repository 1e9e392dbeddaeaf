"""Addresses for uploads and downloads: only those that were given out are good, for what they were given out for."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.wire import addresses
from fulgurite.track.wire.addresses import Addresses, Refused

GIVEN = Addresses(b"s" * 32, "http://127.0.0.1:1/")


def token(address):
    return address.rpartition("/")[2]


GOOD = token(GIVEN.upload(run=3, name="x"))


def test_an_address_stands_for_what_it_was_given_out_for():
    assert GIVEN.opened(token(GIVEN.upload(run=3, name="../é\n")), "put") == {"run": 3, "name": "../é\n"}
    assert GIVEN.opened(token(GIVEN.download("ab", "n")), "get") == {"sha256": "ab", "name": "n"}


def test_reading_is_no_permission_to_write():
    """Nor the other way round."""
    with pytest.raises(Refused):
        GIVEN.opened(token(GIVEN.download("ab")), "put")
    with pytest.raises(Refused):
        GIVEN.opened(token(GIVEN.upload(run=3, name="x")), "get")


def test_an_address_loses_its_worth(monkeypatch):
    """After a day; nothing is kept for it."""
    given_out = token(GIVEN.upload(run=3, name="x"))
    now = time.time()
    monkeypatch.setattr(addresses.time, "time", lambda: now + addresses.LIFE + 1)

    with pytest.raises(Refused, match="no longer valid"):
        GIVEN.opened(given_out, "put")


def test_another_stores_address_is_none_of_ours():
    with pytest.raises(Refused):
        GIVEN.opened(token(Addresses(b"t" * 32, "http://127.0.0.1:1").upload(run=3, name="x")), "put")


@given(st.text())
def test_any_other_text_is_refused(text):
    """Whatever it holds, also what no address can hold."""
    with pytest.raises(Refused):
        GIVEN.opened(text, "put")


@given(st.data())
def test_a_changed_address_is_refused(data):
    """One character is enough."""
    at = data.draw(st.integers(0, len(GOOD) - 1))
    other = data.draw(st.characters().filter(lambda character: character != GOOD[at]))

    with pytest.raises(Refused):
        GIVEN.opened(GOOD[:at] + other + GOOD[at + 1 :], "put")
