"""JSON as clients send it."""

import pytest

from fulgurite.track.wire.documents import read_json


def test_halves_of_characters_are_replaced():
    """Alone no text can hold them; together they are the character that they are."""
    assert read_json(rb'{"\ud800": ["a\uDFFFb", "\ud83d\ude00", "\u00e9"]}') == {"\ufffd": ["a\ufffdb", "😀", "é"]}


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_told_in_one_way(text):
    with pytest.raises(ValueError):
        read_json(text)
