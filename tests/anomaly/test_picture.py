"""The picture: a PNG of every kind of rows."""

import struct

import numpy as np
import pytest

from fulgurite.anomaly.events import Event
from fulgurite.anomaly.picture import FLAG, KNOWN, LEARNED, YEARS, Scene, draw_png
from fulgurite.anomaly.rows import Rows
from fulgurite.base.errors import DataError

pytest.importorskip("matplotlib")
START = np.datetime64("2024-01-01", "us")
HOUR = np.timedelta64(1, "h")


def scored(n=500, clocked=True, name="value") -> Rows:
    """Waves with a spike at row 200, which is flagged."""
    place = np.arange(n)
    value = np.sin(place / 4)
    value[200 % n] += 8
    score = np.abs(value - np.sin(place / 4))
    time = START + place * HOUR if clocked else place
    wave = np.sin(place / 4)
    return Rows(name, time, value, wave, wave - 1, wave + 1, score, score > 3, {"level": score})


def event(first=200, last=203) -> Event:
    start, end = (START + place * HOUR for place in (first, last))
    return Event(start, end, start, 1, 8.0, 0.9, "level", "value 8, expected 0")


def colours(path) -> set:
    from matplotlib.image import imread

    return set(map(tuple, (imread(path)[..., :3].reshape(-1, 3) * 255).round().astype(int)))


def rgb(colour: str) -> tuple:
    return tuple(bytes.fromhex(colour[1:]))


def test_the_picture_shows_flags_and_what_is_known(tmp_path):
    """Flags have their colour; the strip of known anomalies is there only if some are known."""
    draw_png(Scene(scored(), [event()], 3.0, title="sensor.csv", caption="Above 3."), tmp_path / "plain.png")
    draw_png(Scene(scored(), [event()], 3.0, known=[(START + 190 * HOUR, START + 210 * HOUR)]), tmp_path / "known.png")

    assert rgb(FLAG) in colours(tmp_path / "plain.png")
    assert rgb(KNOWN) not in colours(tmp_path / "plain.png")
    assert rgb(KNOWN) in colours(tmp_path / "known.png")
    size = struct.unpack(">II", (tmp_path / "plain.png").read_bytes()[16:24])
    assert size == (1800, 900)


@pytest.mark.parametrize("rows", [
    scored(clocked=False),
    scored(1),
    scored(2),
    scored(name="price in $ and a_b^c $$"),
    scored().changed(lambda name, column: np.full(500, np.nan) if column.dtype == float else column),
    scored().changed(lambda name, column: np.full(500, 7.0) if column.dtype == float else column),
    scored().changed(lambda name, column: column * 1e9 if name == "score" else column),
    scored().changed(lambda name, column: np.where(np.arange(500) == 9, np.inf, column) if name == "score" else column),
    scored().changed(lambda name, column: np.full(500, START) if name == "time" else column),
    scored().changed(lambda name, column: np.where(column > 0, 1.7e308, -1.7e308) if name == "value" else column),
    scored().changed(lambda name, column: YEARS[column.argsort() % 2] if name == "time" else column),
], ids=["numbered", "one", "two", "dollars", "empty", "constant", "steep", "infinite",
        "one moment", "huge", "all years"])  # fmt: skip
def test_odd_rows_are_drawn(rows, tmp_path):
    """Rows without times, values, variation or room still make a picture."""
    draw_png(Scene(rows, [event()], 3.0, known=[(START, START + HOUR)]), tmp_path / "odd.png")

    assert (tmp_path / "odd.png").read_bytes().startswith(b"\x89PNG")


def test_a_level_below_nothing_is_drawn(tmp_path):
    """A fixed threshold may be negative."""
    draw_png(Scene(scored(), [], -2.0), tmp_path / "low.png")

    assert rgb(FLAG) in colours(tmp_path / "low.png")


def test_thousands_of_events_are_drawn(tmp_path):
    """They are one shape, not one each."""
    draw_png(
        Scene(scored(5_000), [event(place, place + 1) for place in range(0, 4_000, 2)], 3.0), tmp_path / "many.png"
    )

    assert (tmp_path / "many.png").stat().st_size > 10_000


def test_no_rows_are_an_error_that_says_so(tmp_path):
    """Nothing is written."""
    with pytest.raises(DataError, match="no rows of 'value'"):
        draw_png(Scene(scored().changed(lambda name, column: column[:0]), [], 3.0), tmp_path / "none.png")

    assert list(tmp_path.iterdir()) == []


def test_rows_that_were_learned_from_are_shown_as_such(tmp_path):
    """They have a ground of their own, and the share that is flagged is that of the others."""
    draw_png(Scene(scored(), [event()], 3.0, begin=START + 100 * HOUR), tmp_path / "learned.png")

    assert rgb(LEARNED) in colours(tmp_path / "learned.png")
    assert Scene(scored(), [event()], 3.0, begin=START + 100 * HOUR).outline.endswith(
        "1 event, 1 of 400 rows flagged (0.25 %)"
    )


def test_the_outline_counts():
    """Rows, time, events, flagged rows."""
    line = Scene(scored(), [event()], 3.0).outline

    assert line == "500 rows, 2024-01-01 00:00 to 2024-01-21 19:00   ·   1 event, 1 row flagged (0.2 %)"
