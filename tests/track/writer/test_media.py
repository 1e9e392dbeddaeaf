"""Media as W&B keeps them, so that one dashboard shows runs of both."""

import io
import json
import wave
from pathlib import Path

import matplotlib.figure
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from PIL import Image

from fulgurite.track.writer import media
from support.wandb_file import recorded_runs

PLACE = ("val/pictures", 7)
GREY, COLOUR = np.arange(24, dtype=np.uint8).reshape(4, 6), np.arange(72, dtype=np.uint8).reshape(4, 6, 3)


def pixels(kept):
    return np.asarray(Image.open(io.BytesIO(kept.content)))


def test_the_real_client_keeps_the_same(tmp_path):
    """Row by row: the client's own dicts, for the same pictures, tables, pages, sounds and videos."""
    wandb = pytest.importorskip("wandb")
    sound, video = tmp_path / "s.wav", tmp_path / "v.gif"
    sound.write_bytes(b"a sound")
    Image.new("RGB", (8, 8)).save(video)
    run = wandb.init(project="p", mode="offline", dir=tmp_path)
    run.log({"a/b": [wandb.Image(COLOUR, caption="c"), wandb.Image(GREY)]})
    run.log({"t": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2.5, None]])})
    run.log({"h": [wandb.Html("<b>x</b>", inject=False)], "one": wandb.Html("<b>x</b>", inject=False)})
    run.log({"s": wandb.Audio(str(sound)), "v": [wandb.Video(str(video), caption="c")]})
    run.log({"hist": wandb.Histogram(np_histogram=np.histogram([1.0, 2.0, 4.0], bins=3))})
    run.finish()
    (recorded,) = recorded_runs(tmp_path)
    theirs = {name: value for row in recorded.rows for name, value in row.items() if not name.startswith("_")}
    made = {
        "a/b": media.images(("a/b", 0), [COLOUR, GREY], caption=["c", None]),
        "t": media.table(("t", 1), ["a", "b"], [[1, "x"], [2.5, None]], None),
        "h": media.html(("h", 2), ["<b>x</b>"]),
        "one": media.html(("one", 2), "<b>x</b>"),
        "s": media.audio(("s", 3), [str(sound)]),
        "v": media.videos(("v", 3), [str(video)], caption=["c"]),
    }
    ours = {name: value for name, (value, _) in made.items()} | {"hist": media.histogram([1.0, 2.0, 4.0], 3)}

    # One sound alone is no list there, and a table is an artifact besides.
    theirs["s"] = {"_type": "audio", "count": 1, "audio": [theirs["s"]]}
    for beside in ("artifact_path", "_latest_artifact_path", "log_mode"):
        theirs["t"].pop(beside)
    assert ours == theirs
    files = {kept.name: kept.content for _, kepts in made.values() for kept in kepts}
    for name, content in files.items():
        if not name.endswith(".png"):
            assert (recorded.folder / "files" / name).read_bytes() == content
    assert all((recorded.folder / "files" / name).exists() for name in files)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (GREY, GREY),
        (COLOUR, COLOUR),
        (GREY[:, :, None], GREY),
        (torch.from_numpy(COLOUR).permute(2, 0, 1), COLOUR),
        (torch.from_numpy(GREY), GREY),
        (torch.from_numpy(GREY)[None], GREY),
        (COLOUR / 255, COLOUR),
        (torch.from_numpy(COLOUR / 255).permute(2, 0, 1).bfloat16().requires_grad_(), None),
        (GREY.astype(np.int64) * 100, np.clip(GREY.astype(int) * 100, 0, 255)),
        (GREY > 3, (GREY > 3) * 255),
        (np.array([[-1.0, 0.0], [1.0, np.nan]]), np.array([[0, 128], [255, 128]])),
        (np.array([[0.0, 510.0]]), np.array([[0, 255]])),
        (Image.fromarray(COLOUR), COLOUR),
    ],
)
def test_pixels_arrive(given, expected):
    """Whole numbers as they are, fractions up to 1 as shares of 255, other fractions stretched."""
    value, (kept,) = media.images(PLACE, [given])

    found = pixels(kept)
    if expected is None:
        assert np.abs(found.astype(int) - COLOUR).max() <= 1
    else:
        assert (found == expected).all()
    assert (value["height"], value["width"]) == found.shape[:2] and value["format"] == "png"
    assert kept.name.startswith("media/images/val/pictures_7_") and value["filenames"] == [kept.name]


def test_figures_paths_and_other_formats(tmp_path):
    """What Pillow and matplotlib make; a file's bytes are kept as they are."""
    path = tmp_path / "own.png"
    Image.fromarray(COLOUR).save(path)
    value, (drawn, read, jpeg) = media.images(
        PLACE, [matplotlib.figure.Figure(figsize=(1, 1), dpi=50), path, GREY], file_type=[None, None, "jpg"]
    )

    assert pixels(drawn).shape[:2] == (50, 50)
    assert read.content == path.read_bytes()
    assert jpeg.name.endswith(".jpg") and pixels(jpeg).shape == (4, 6, 3)
    assert value["count"] == 3 and "captions" not in value


def test_sounds(tmp_path):
    """Arrays become WAV files of 16 bits."""
    mono, stereo = np.sin(np.linspace(0, 100, 800)), torch.zeros(800, 2)
    value, (first, second) = media.audio(PLACE, [mono, stereo], sample_rate=[8000, 16000], caption=["one", None])

    with wave.open(io.BytesIO(first.content)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 8000, 800)
        samples = np.frombuffer(file.readframes(800), "<i2") / 32767
    assert np.abs(samples - mono).max() < 1e-4
    with wave.open(io.BytesIO(second.content)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 16000)
    assert value["audio"][0]["caption"] == "one" and "caption" not in value["audio"][1]


def test_videos():
    """Arrays become GIFs with all their frames."""
    frames = torch.randint(0, 255, (5, 3, 8, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    value, (kept,) = media.videos(PLACE, [frames], fps=[10])

    with Image.open(io.BytesIO(kept.content)) as gif:
        assert gif.n_frames == 5 and gif.size == (9, 8)
    assert value["videos"][0]["path"].endswith(".gif")


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_tables_of_data_frames(frame):
    """Of pandas and polars; cells are plain."""
    value, (kept,) = media.table(PLACE, None, None, frame({"a": [1, 2], "b": ["x", "y"]}))

    assert json.loads(kept.content) == {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}
    assert (value["ncols"], value["nrows"]) == (2, 2)


def test_tables_of_rows():
    """Without columns they are numbered; cells may be tensors; an empty one is a table, too."""
    _, (kept,) = media.table(PLACE, None, [[torch.tensor(1.5), np.int64(2), Path("x")]], None)
    assert json.loads(kept.content) == {"columns": ["0", "1", "2"], "data": [[1.5, 2, "x"]]}
    value, _ = media.table(PLACE, ["a"], None, None)
    assert (value["ncols"], value["nrows"]) == (1, 0)


def test_pictures_in_a_table():
    """A cell that is a PIL image or a tensor with channels is a file of the run; the cell says which."""
    cells = [Image.fromarray(GREY), torch.zeros(3, 4, 6)]
    _, (first, second, kept) = media.table(PLACE, ["picture", "is"], [[cells[0], 1], [cells[1], 2]], None)

    (one, one_is), (two, two_is) = json.loads(kept.content)["data"]
    assert (one_is, two_is) == (1, 2)
    assert (one["_type"], one["path"], two["path"]) == ("image-file", first.name, second.name)
    assert (pixels(first) == GREY).all() and pixels(second).shape == (4, 6, 3)


def test_pages(tmp_path):
    """Sources, files, and objects that can be read."""
    (tmp_path / "page.html").write_text("<i>file</i>")
    _, files = media.html(PLACE, ["<b>x</b>", tmp_path / "page.html", str(tmp_path / "page.html"), io.StringIO("s")])

    assert [kept.content for kept in files] == [b"<b>x</b>", b"<i>file</i>", b"<i>file</i>", b"s"]


def test_histograms_count_what_is_finite():
    """Of tensors of any shape."""
    found = media.histogram(torch.tensor([[0.0, 1.0], [float("nan"), float("inf")]]), bins=2)

    assert found == {"_type": "histogram", "values": [1, 1], "bins": [0.0, 0.5, 1.0]}
    assert sum(media.histogram(torch.randn(1000, dtype=torch.bfloat16))["values"]) == 1000
    assert sum(media.histogram([])["values"]) == 0


@pytest.mark.parametrize("key", ["../../etc/passwd", "/a", "a//b", "a/./b", "ü\udc80"])
def test_no_key_leads_out_of_the_folder(key):
    """A key may hold anything; the file's name stays inside."""
    _, (kept,) = media.html((key, 0), "x")

    assert kept.name.startswith("media/html/") and kept.name.encode()
    assert not {"", ".", ".."} & set(kept.name.split("/"))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: media.images(PLACE, GREY), TypeError, "Expected a list, one entry per image"),
        (lambda: media.images(PLACE, [GREY], caption=["a", "b"]), ValueError, "Expected 1 items in caption"),
        (lambda: media.images(PLACE, [GREY], boxes=[1]), TypeError, "boxes= is not known here"),
        (lambda: media.images(PLACE, [GREY], file_type=["bmp"]), ValueError, "file_type='bmp'"),
        (lambda: media.images(PLACE, [torch.zeros(5, 4, 6)]), ValueError, r"not \(5, 4, 6\)"),
        (lambda: media.audio(PLACE, [np.zeros(5)]), ValueError, "sample_rate"),
        (lambda: media.videos(PLACE, [np.zeros((5, 4))]), ValueError, r"not \(5, 4\)"),
        (lambda: media.table(PLACE, ["a"], [[1, 2]], None), ValueError, "Row 0 has 2 cells"),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
