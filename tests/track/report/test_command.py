"""`fulgurite report` at the prompt."""

import re
import subprocess
import sys

import pytest

from fulgurite.cli import main
from fulgurite.track.report import command

from .conftest import PIXEL


@pytest.fixture
def report(store, tmp_path):
    """Runs the command and returns its exit code; the page is ``tmp_path/r.html``."""
    return lambda *words: main(["report", *words, "--data", str(store.folder), "--out", str(tmp_path / "r.html")])


def test_a_project_becomes_one_page(report, runs, keep, store, tmp_path, capsys):
    """What was logged, said and printed is in it, and nothing in it is loaded from elsewhere."""
    keep(runs[0], "a.png", PIXEL)
    store.history.append(runs[0].id, [(3, {"seen": {"_type": "image-file", "path": "a.png"}})])
    store.runs.alert(runs[0], "Too high", "at step 3", "WARN")

    assert report("p", "--title", "Two <rates>") == 0

    page = (tmp_path / "r.html").read_text()
    assert "<title>Two &lt;rates&gt;</title>" in page
    texts = ("run 0", "run 1", "baseline", "Seen.\nTwice.", "Too high", "at step 3", "line 249", "best.epoch")
    for text in (*texts, "What differs", "0.25", "data:image/png;base64,", "plotly.js"):
        assert text in page, text
    assert "line 49<" not in page and "\x1b" not in page
    ours = page[: page.index("<script>/**")]
    assert not re.search(r'(src|href)="(?!data:|#)', ours)
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path / 'r.html'}: 2 runs, ") and said.endswith(" MB\n")


def test_only_metrics_of_a_name_are_drawn(report, runs, tmp_path):
    assert report("p", "--key", "a*") == 0

    page = (tmp_path / "r.html").read_text()
    assert page.count("data-chart=") == 1 and 'title="acc"' in page


def test_a_name_that_no_metric_has_is_told(report, runs, capsys):
    assert report("p", "--key", "nope*") == 2
    assert "No metric is called 'nope*'; the runs have logged: acc, train/loss." in capsys.readouterr().err


def test_a_page_without_scripts_is_small(report, runs, tmp_path):
    pytest.importorskip("matplotlib")

    assert report("p", "--static") == 0

    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page and page.count('src="data:image/svg+xml;base64,') == 2
    assert "script-src &#x27;none&#x27;" in page and len(page) < 500_000


def test_what_does_not_fit_is_left_out_and_told(report, runs, keep, store, tmp_path, capsys):
    keep(runs[0], "film.mp4", bytes(2_000_000))
    store.history.append(runs[0].id, [(3, {"film": {"_type": "video-file", "path": "film.mp4"}})])

    assert report("p", "--max-size", "6") == 0

    assert (tmp_path / "r.html").stat().st_size < 6e6
    assert "film.mp4 (2 MB) is left out" in (tmp_path / "r.html").read_text()
    assert capsys.readouterr().err == "1 file left out and named in the page instead.\n"


def test_charts_that_do_not_fit_are_an_error_with_ways_out(report, runs, tmp_path, capsys):
    assert report("p", "--max-size", "1") == 2

    assert re.search(r"take 4\.\d+ MB, more than the 1 MB of --max-size\. Draw fewer metrics", capsys.readouterr().err)
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("words", [["--max-size", "x"], ["--max-size", "-1"], ["--newest", "0"], ["--newest", "x"]])
def test_numbers_that_make_no_sense_are_refused(report, words):
    with pytest.raises(SystemExit) as ended:
        report("p", *words)
    assert ended.value.code == 2


def test_what_is_not_there_is_named(report, runs, capsys):
    assert report("nope") == 2
    assert capsys.readouterr().err.startswith("fulgurite report: 'nope' is no run and no project.")


def test_a_folder_is_no_place_for_a_page(store, runs, tmp_path, capsys):
    assert main(["report", "p", "--data", str(store.folder), "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} is a folder. Name a file with --out, such as {tmp_path / 'report.html'}." in (
        capsys.readouterr().err
    )


def test_the_page_is_whole_or_the_former_one(report, runs, tmp_path, monkeypatch):
    """A report that can't be made leaves the one that was there, and nothing beside it."""
    assert report("p") == 0
    before = (tmp_path / "r.html").read_bytes()
    monkeypatch.setattr(command, "page_of", lambda *_: (None, None))  # breaks while the file is written

    with pytest.raises(AttributeError):
        report("p")

    assert (tmp_path / "r.html").read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "r.html"]


def test_half_letters_become_question_marks(report, made, tmp_path):
    """A name that is no text in any file is written all the same."""
    made("r1", config={"bad\ud800name": "x\udfff"})

    assert report("r1") == 0
    assert "bad?name" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_neither_pytorch_nor_the_server_is_loaded(runs, store, tmp_path):
    """It starts at once, and where only the store and plotly are installed."""
    script = f"""
import sys
for name in ("torch", "starlette", "wandb", "google.protobuf", "graphql", "PIL", "matplotlib"):
    sys.modules[name] = None
from fulgurite.cli import main
sys.exit(main(["report", "p", "--data", {str(store.folder)!r}, "--out", "r.html"]))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "r.html").exists()


def test_a_run_that_logged_nothing_has_a_page(report, made, tmp_path):
    made("empty")

    assert report("empty") == 0
    page = (tmp_path / "r.html").read_text()
    assert "No numbers were logged." in page and "Nothing was said." in page and "The runs have no results." in page
