"""Rows become columns, whichever way they are taken."""

from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.store.paths import flattened
from fulgurite.track.store.transpose import transposed

NAMES = st.sampled_from(["a", "b", "c.d", "\x1f", "é"])
VALUES = st.recursive(
    st.integers(-5, 5) | st.floats(allow_nan=False) | st.booleans() | st.text(max_size=3),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
ROWS = st.lists(st.tuples(st.integers(0, 6), st.dictionaries(NAMES, VALUES, max_size=4)), max_size=12)


@given(ROWS)
def test_each_value_is_at_its_step_and_the_last_one_counts(rows):
    """As if each row were taken alone, value by value."""
    expected = {}
    for step, row in rows:
        for path, value in flattened(row):
            expected.setdefault(path, {})[step] = value

    steps, series = transposed(rows)

    assert steps == [step for step, _ in rows]
    assert {path: dict(zip(*each, strict=True)) for path, each in series.items()} == expected
    kept = {(path, s): v for path, each in expected.items() for s, v in each.items()}
    assert all(type(dict(zip(*series[path], strict=True))[s]) is type(v) for (path, s), v in kept.items())
