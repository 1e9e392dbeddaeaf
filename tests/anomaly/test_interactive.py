"""The picture to look around in: whole, small, harmless."""

import re

import numpy as np
import pytest

from fulgurite.anomaly.events import Event
from fulgurite.anomaly.interactive import draw_html
from fulgurite.anomaly.picture import Scene
from fulgurite.anomaly.rows import Rows
from fulgurite.base.errors import DataError

pytest.importorskip("plotly")
START = np.datetime64("2024-01-01", "us")
MINUTE = np.timedelta64(60, "s")
EVIL = "</script><script>alert('x')</script>\"'%{x} & <b>"


def scored(n=500, name="value", clocked=True) -> Rows:
    place = np.arange(n)
    wave = np.sin(place / 4)
    value = wave.copy()
    value[n // 2] += 8
    score = np.abs(value - wave)
    parts = {name: score, "shift": np.zeros(n)}
    time = START + place * MINUTE if clocked else place
    return Rows(name, time, value, wave, wave - 1, wave + 1, score, score > 3, parts)


def event(place=250, reason="value 8, expected 0", part="level") -> Event:
    moment = START + place * MINUTE
    return Event(moment, moment, moment, 1, 8.0, 0.9, part, reason)


def page(tmp_path, rows, events, **options) -> str:
    draw_html(Scene(rows, events, 3.0, **options), tmp_path / "picture.html")
    return (tmp_path / "picture.html").read_text(encoding="utf-8")


def own(text: str) -> str:
    """The page without the library that draws it."""
    return text.replace(max(re.findall(r"<script.*?</script>", text, re.DOTALL), key=len), "")


def test_the_page_stands_alone(tmp_path):
    """The library is in the file, once; no script or style is fetched, and no button sends anything away."""
    text = page(tmp_path, scored(), [event()], title="sensor.csv", caption="Above 3.")

    assert text.count("* plotly.js v") == 1
    assert not re.search(r"<(script|img|iframe)[^>]+src=|<link", own(text))
    assert '"showSendToCloud": false' in text
    assert '"modeBarButtons": [["zoom2d"' in text


def test_events_are_listed_with_what_a_click_shows(tmp_path):
    """Each row of the list knows its stretch of time; the event is in the middle."""
    text = page(tmp_path, scored(), [event()])
    start, end = re.search(r"data-view='\[&quot;(.*?)&quot;, &quot;(.*?)&quot;\]'", text).groups()

    assert "value 8, expected 0 (90 %)" in text
    assert np.datetime64(start) < event().start < np.datetime64(end)


def test_names_from_the_data_are_only_text(tmp_path):
    """A column, a part, a title or a reason that looks like a tag or a template does nothing."""
    text = page(tmp_path, scored(name=EVIL), [event(reason=EVIL, part=EVIL)], title=EVIL, caption=EVIL)

    assert "<script>alert" not in text
    assert "<b>" not in own(text).replace("<b>%{x}</b>", "")
    assert "%{x}<" not in own(text).replace("\\u003cb\\u003e%{x}\\u003c", "")


def test_millions_of_rows_make_a_small_file(tmp_path):
    """Two million rows, eight parts, a thousand events: below 8 MB, and what is left out is said."""
    rows = scored(2_000_000)
    noise = np.random.default_rng(0).normal(size=2_000_000)
    rows = Rows(
        rows.name, rows.time, noise, noise, noise, noise, noise, noise > 2, {f"part {i}": noise for i in range(8)}
    )
    text = page(tmp_path, rows, [event(place) for place in range(0, 1_000_000, 1_000)])

    assert (tmp_path / "picture.html").stat().st_size < 8e6
    assert re.search(r"Drawn are [\d,]+ of 2,000,000 rows", text)
    assert "Of 1,000 events the 300 highest are shown." in text


@pytest.mark.parametrize("rows", [
    scored(clocked=False),
    scored(1),
    scored(2),
    scored().changed(lambda name, column: np.full(500, np.nan) if column.dtype == float else column),
    scored().changed(lambda name, column: np.full(500, START) if name == "time" else column),
], ids=["numbered", "one", "two", "empty", "one moment"])  # fmt: skip
def test_odd_rows_are_drawn(rows, tmp_path):
    """Rows without times, values or room still make a page."""
    assert "</html>" in page(tmp_path, rows, [event()], known=[(START, START + MINUTE)])


def test_rows_that_were_learned_from_are_shown_as_such(tmp_path):
    """Only where there are such rows."""
    assert "learned from" in page(tmp_path, scored(), [event()], begin=START + 100 * MINUTE)
    assert "learned from" not in page(tmp_path, scored(), [event()])


def test_no_event_is_said(tmp_path):
    """An empty list would leave one wondering."""
    assert "Nothing was flagged." in page(tmp_path, scored(), [])


def test_no_rows_are_an_error(tmp_path):
    """Nothing is written."""
    with pytest.raises(DataError, match="no rows"):
        draw_html(Scene(scored().changed(lambda name, column: column[:0]), [], 3.0), tmp_path / "none.html")

    assert list(tmp_path.iterdir()) == []
