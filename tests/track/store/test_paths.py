"""Paths: every nesting of names comes back from them."""

from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.store.paths import flattened, names_of, nested, path_of, shown

names = st.text(max_size=5) | st.sampled_from(["\x1f", "\x1e", "\x1e001f", "\0", "\ud800", "a.b", "_type"])
rows = st.dictionaries(names, st.recursive(st.integers(), lambda below: st.dictionaries(names, below, max_size=3)))


@given(rows)
def test_a_row_comes_back_from_its_leaves(row):
    """Whatever its names are, and each path is text that any database takes."""
    leaves = dict(flattened(row))

    assert nested(leaves) == row
    for path in leaves:
        assert "\0" not in path
        path.encode()


@given(st.lists(names, min_size=1, max_size=4))
def test_names_come_back_from_a_path(names):
    """Two lists of names never share a path."""
    assert names_of(path_of(*names)) == tuple(names)


def test_a_path_is_shown_with_dots():
    assert shown(path_of("val", "a.b", "é")) == "val.a.b.é"


def test_names_that_are_no_text_become_it():
    """As in JSON."""
    assert nested(dict(flattened({1: {2: 0.5}}))) == {"1": {"2": 0.5}}


def test_the_longer_of_two_paths_wins():
    """Whatever their order; a picture is never mixed with values below its name."""
    picture = {"_type": "image-file"}

    for leaves in ({"a": picture, path_of("a", "b"): 1}, {path_of("a", "b"): 1, "a": picture}):
        assert nested(leaves) == {"a": {"b": 1}}
    assert picture == {"_type": "image-file"}


def test_what_lies_very_deep_is_one_value():
    """So that no depth of nesting that was read can't be written."""
    row = value = {}
    for _ in range(900):
        value["a"] = value = {}

    ((path, value),) = flattened(row)

    assert len(names_of(path)) == 64
    assert nested({path: value}) == row
