"""Media in a report: within the size that was wished, in forms that can do no harm."""

import io
import json

import pytest
from PIL import Image

from fulgurite.track.report.budget import Budget
from fulgurite.track.report.media import ROWS, Media
from fulgurite.track.writer.media import histogram

from .conftest import PIXEL


@pytest.fixture
def run(made):
    return made("r1")


@pytest.fixture
def drawn(store, run):
    """The HTML of a value in the run."""
    return lambda value, most=1e6, **how: Media(store, run, Budget(store, most), **how).drawn(value)


def test_a_picture_is_part_of_the_page(drawn, keep, run):
    keep(run, "a.png", PIXEL)

    shown = drawn({"_type": "image-file", "path": "a.png", "caption": "<b>"})

    assert '<img src="data:image/png;base64,iVBOR' in shown
    assert 'alt="&lt;b&gt;"' in shown and "<figcaption>&lt;b&gt;</figcaption>" in shown


def test_a_large_picture_is_made_smaller(drawn, keep, run):
    buffer = io.BytesIO()
    Image.effect_noise((2000, 1500), 90).save(buffer, "PNG")
    keep(run, "big.png", buffer.getvalue())

    shown = drawn({"_type": "image-file", "path": "big.png"}, 5e6)

    assert "data:image/jpeg" in shown
    assert len(shown) < len(buffer.getvalue()) / 2


def test_a_large_file_that_is_no_picture_is_named(drawn, keep, run):
    keep(run, "big.png", b"\x89PNG" + bytes(1_500_000))

    assert "big.png (1.5 MB) is left out: it is large, and can&#x27;t be made smaller." in drawn(
        {"_type": "image-file", "path": "big.png"}, 5e6
    )


def test_what_does_not_fit_is_named_and_counted(store, keep, run):
    """The first ones get in; a smaller one after a large one does, too."""
    for name, size in (("a.wav", 30_000), ("b.mp4", 60_000), ("c.wav", 3000)):
        keep(run, name, bytes(size))
    budget = Budget(store, 60_000)
    media = Media(store, run, budget)

    a, b, c = (media.drawn({"_type": kind, "path": name}) for kind, name in
               (("audio-file", "a.wav"), ("video-file", "b.mp4"), ("audio-file", "c.wav")))  # fmt: skip

    assert '<audio src="data:audio/' in a and '<audio src="data:audio/' in c
    assert "b.mp4 (60 kB) is left out: the page would get too large." in b
    assert budget.left_out == 1


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x", "x.js"])
def test_what_is_no_sound_is_not_played(drawn, keep, run, name):
    keep(run, name, b"<script>1</script>")

    assert "data:" not in drawn({"_type": "audio-file", "path": name})


@pytest.mark.parametrize(("kind", "name"), [("html-file", "p.html"), ("image-file", "p.svg"), ("html-file", "p.png")])
def test_pages_and_drawings_stand_in_frames_that_may_do_nothing(drawn, keep, run, kind, name):
    keep(run, name, b"<svg><script>alert('\"></iframe>')</script></svg>")

    shown = drawn({"_type": kind, "path": name})

    assert '<iframe sandbox="" srcdoc="&lt;svg&gt;&lt;script&gt;alert(&#x27;&quot;&gt;&lt;/iframe&gt;' in shown
    assert "<script>" not in shown


def test_a_table_shows_its_first_rows_and_how_many_there_are(drawn, keep, run):
    keep(run, "pixel.png", PIXEL)
    picture = {"_type": "image-file", "path": "pixel.png"}
    rows = [["<i>", i, float("nan"), picture] for i in range(ROWS + 20)]
    keep(run, "t.json", json.dumps({"columns": ["<b>", "n", "x", "p"], "data": rows}).encode())

    shown = drawn({"_type": "table-file", "path": "t.json", "nrows": ROWS + 20})

    assert shown.count("<tr>") == ROWS + 1
    assert f"The first {ROWS} of {ROWS + 20} rows." in shown
    assert '<th scope="col">&lt;b&gt;</th>' in shown and "<td>&lt;i&gt;</td>" in shown
    assert '<td class="number">NaN</td>' in shown and "data:image/png" in shown


@pytest.mark.parametrize("content", [b"no", b"[]", b'{"columns": 1}', b"[" * 100_000, b"\xff"])
def test_a_broken_table_is_told(drawn, keep, run, content):
    keep(run, "t.json", content)

    assert "t.json can&#x27;t be read as a table." in drawn({"_type": "table-file", "path": "t.json"})


def test_a_table_that_holds_itself_has_an_end(drawn, keep, run):
    inside = {"_type": "html", "html": [{"_type": "table-file", "path": "t.json"}]}
    keep(run, "t.json", {"columns": ["a"], "data": [[inside]]})

    assert "t.json is a table inside of a table." in drawn({"_type": "table-file", "path": "t.json"})


def test_texts_count_as_files_do(store, run):
    """A run that logs thousands of words makes no page of them."""
    store.history.append(run.id, [(i, {f"note{j}": "word " * 300 for j in range(9)}) for i in range(4)])
    budget = Budget(store, 20_000)

    sections = Media(store, run, budget).sections()

    assert sum(map(len, sections)) < 30_000
    assert "note8 (1.51 kB) is left out: the page would get too large." in sections[-1]
    assert budget.left_out == 36 - 13


def test_a_histogram_is_drawn_with_its_numbers(drawn):
    shown = drawn(histogram([0.0, 1.0, 1.0, 2.0], bins=2))

    assert "<title>0 to 1: 1</title>" in shown and "<title>1 to 2: 3</title>" in shown
    assert shown.count("<rect") == 2


def test_a_figure_needs_the_pages_script(drawn, keep, run):
    keep(run, "f.json", {"data": [{"y": [1, 2], "name": "</script>"}], "layout": {"title": "t"}})
    value = {"_type": "plotly-file", "path": "f.json"}

    assert '<div class="figure"></div><script type="application/json">{"data":[{"y":[1,2],' in drawn(value)
    assert drawn(value).count("</script>") == 1
    assert "f.json is a figure that needs a script." in drawn(value, interactive=False)


@pytest.mark.parametrize(
    "value",
    [
        {"_type": "image-file"},
        {"_type": "image-file", "path": ["x"]},
        {"_type": "images/separated", "filenames": 3},
        {"_type": "histogram", "values": ["<b>"], "bins": [0, 1]},
        {"_type": "histogram", "values": [], "bins": []},
        {"_type": "<b>", "path": "<b>"},
        {"_type": ["histogram"]},
        "<b>",
        ["<b>"],
        None,
        True,
    ],
)  # fmt: skip
def test_what_is_not_what_it_says_is_shown_as_text(drawn, value):
    shown = drawn(value)

    assert shown.startswith("<")
    assert "<b>" not in shown


def test_each_key_has_its_newest_values(store, run):
    """Numbers that are not finite are the charts' affair, though they are kept as texts beside others."""
    store.history.append(run.id, [(i, {"note": f"word {i}", "_own": "x"}) for i in range(9)])
    store.history.append(run.id, [(i, {"big": 2**70}) for i in range(3)])

    (section,) = Media(store, run, Budget(store, 1e6)).sections()

    assert "the last 4 of 9" in section and "word 8" in section and "word 4" not in section
