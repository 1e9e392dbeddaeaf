"""The search in all that a run printed."""

import pytest

from fulgurite.track.server.api.searching import AT_ONCE, readable
from fulgurite.track.store.console import Line

SEARCH = "/api/projects/local/p/runs/abc/console/search"


def printed(store, run, lines):
    store.console.write(run.id, [Line(number, "stdout", None, None, line) for number, line in enumerate(lines)])


def found(client, **parameters):
    answer = client.get(SEARCH, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["numbers"]


def test_every_line_is_searched(client, store, run):
    """Also where there are more than are read at once."""
    printed(store, run, [f"line {number}" for number in range(AT_ONCE + 500)])

    answer = client.get(SEARCH, params={"text": "LINE 1049"}).json()

    assert answer == {"numbers": [1049, *range(10490, 10500)], "count": 11, "lines": AT_ONCE + 500}
    assert found(client, text="line 1049", first=2000) == list(range(10490, 10500))
    assert found(client, text="LINE", case=1) == []


def test_what_a_terminal_would_not_show_is_not_found(client, store, run):
    """Colours stand between no letters, and what a carriage return took back is gone."""
    printed(store, run, ["\x1b[31mer\x1b[1mror\x1b[0m", " 10%\r 50%\r100%\r"])

    assert found(client, text="error") == [0]
    assert found(client, text="[31m") == []
    assert found(client, text="50%") == [] and found(client, text="100%") == [1]


def test_a_pattern_is_searched_for(client, store, run):
    printed(store, run, ["loss 0.5", "loss nan", "x" * 100_000])

    assert found(client, text=r"loss \d", regex=1) == [0]
    assert found(client, text=r"loss \d") == []


@pytest.mark.parametrize("asked", [{}, {"text": ""}, {"text": "x" * 1001}, {"text": "(", "regex": 1}])
def test_what_cannot_be_searched_for_is_told(client, run, asked):
    answer = client.get(SEARCH, params=asked)

    assert answer.status_code == 400 and answer.json()["error"]


def test_a_pattern_that_would_take_for_ever_is_refused(client, store, run):
    printed(store, run, ["a" * 1000])

    for text in ("(a+)+b", ".*.*.*.*.*b"):
        assert client.get(SEARCH, params={"text": text, "regex": 1}).status_code == 400


@pytest.mark.parametrize(
    "line", ["\x1b]0;title\x07text", "\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "\x1b[2K\x1b[1Gtext", "\x1bMtext"]
)
def test_escapes_are_no_text(line):
    assert readable(line) == "text"


def test_all_lines_come_as_one_text(client, store, run):
    """To be read, or as they were printed."""
    printed(store, run, ["\x1b[31mé\x1b[0m", "", *map(str, range(AT_ONCE))])

    answer = client.get(SEARCH.replace("search", "text"))

    assert answer.text == "é\n\n" + "".join(f"{number}\n" for number in range(AT_ONCE))
    assert answer.headers["content-disposition"].startswith("attachment")
    assert client.get(SEARCH.replace("search", "text"), params={"raw": 1}).text.startswith("\x1b[31mé\x1b[0m\n")
