"""What runs printed."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fulgurite.track.store.console import Line

posts = st.lists(st.tuples(st.integers(0, 12), st.lists(st.text(max_size=5), max_size=4)), max_size=6)


@given(posts, st.integers(0, 14), st.integers(0, 14), st.integers(1, 5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_lines_are_there_once_by_their_number(store, run, posts, cut, first, most):
    """Written in any order and again, against a plain dict."""
    store.console.clear(run.id)
    expected = {}
    for start, texts in posts:
        lines = [Line(start + i, "stdout", None, None, text) for i, text in enumerate(texts)]
        store.console.write(run.id, lines)
        expected.update({line.number: line for line in lines})
    store.console.clear(run.id, cut)
    expected = {number: line for number, line in expected.items() if number < cut}

    assert store.console.read(run.id) == [expected[number] for number in sorted(expected)]
    wanted = [expected[number] for number in sorted(expected) if number >= first]
    assert store.console.read(run.id, first, most) == wanted[:most]
    assert store.console.count(run.id) == max(expected, default=-1) + 1


def test_a_line_keeps_all_that_is_known_of_it(store, run):
    """Halves of characters, which no file may hold, are written out."""
    line = Line(3, "stderr", "2026-11-23T06:57:10", "rank 1", "50 % \x1b[0m")
    store.console.write(run.id, [line, Line(4, "stdout", None, None, "\udcff")])

    assert store.console.read(run.id) == [line, Line(4, "stdout", None, None, "\\udcff")]
