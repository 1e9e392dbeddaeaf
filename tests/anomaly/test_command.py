"""`fulgurite anomaly`: from a CSV to scores, events, a picture and a page; what it prints, and its exit codes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.options import verbs
from fulgurite.anomaly.result import Result
from fulgurite.anomaly.writing import write_series
from fulgurite.base import format as disk
from fulgurite.base.tree import map_tensors
from fulgurite.cli import main

ROWS, TRAINING = 800, 500
QUICK = ["--epochs", "1", "--logger", "none"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a made-up series as CSVs, whole and in two parts, and a model that has learned from the first."""
    folder = tmp_path_factory.mktemp("made")
    series = generate(rows=ROWS, kinds=("spike", "shift"), seed=1)
    write_series(series, folder / "all.csv")
    header, *lines = (folder / "all.csv").read_text().splitlines(keepends=True)
    (folder / "first.csv").write_text("".join([header, *lines[:TRAINING]]))
    (folder / "second.csv").write_text("".join([header, *lines[TRAINING:]]))
    assert (
        main(
            [
                "anomaly",
                "fit",
                str(folder / "first.csv"),
                *QUICK,
                "--threshold",
                "normalised:1.5",
                "--out",
                str(folder / "sensor"),
            ]
        )
        == 0
    )
    return folder


@pytest.fixture
def data(made):
    """The same in the folder of the test."""
    shutil.copytree(made, "data")
    return Path("data")


def anomaly(*words):
    return main(["anomaly", *map(str, words)])


def rows_of(path):
    return list(csv.DictReader(open(path)))


def files_under(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


# -- the verbs --


def test_fit_writes_a_model_and_the_options_that_made_it(made, capsys):
    """config.yaml makes the same model again; all that was guessed is printed."""
    config = yaml.safe_load((made / "sensor" / "config.yaml").read_text())

    assert files_under(made / "sensor") == {"model.ckpt", "config.yaml"}
    assert config["epochs"] == 1
    assert anomaly("fit", made / "first.csv", "--config", made / "sensor" / "config.yaml", "--out", "again") == 0
    told = capsys.readouterr()
    assert "The times are read from the column 'time'" in told.err
    assert "calibrated on the last 100" in told.err
    assert "fulgurite anomaly score again DATA.csv" in told.out
    models = [disk.read(path)["model"] for path in (made / "sensor" / "model.ckpt", Path("again/model.ckpt"))]
    first, again = (map_tensors(model, lambda tensor: tensor.tolist()) for model in models)
    assert first == again


def test_score_writes_scores_events_and_a_summary(data, capsys):
    """The input's own columns come back as they were, ours stand behind them; nothing else is written."""
    assert anomaly("score", data / "sensor", data / "second.csv", "--out", "out") == 0

    rows, source = rows_of("out/scores.csv"), rows_of(data / "second.csv")
    own = list(source[0])
    assert [[row[name] for name in own] for row in rows] == [[row[name] for name in own] for row in source]
    assert list(rows[0])[len(own) :][:5] == ["score", "is_anomaly", "expected", "expected_low", "expected_high"]
    parts = [name for name in rows[0] if name.startswith("score_")]
    assert sum(float(rows[-1][name]) for name in parts) == pytest.approx(float(rows[-1]["score"]), abs=1e-5)
    result = Result.read("out")
    assert result.summary["found"]["flagged"] == sum(row["is_anomaly"] == "1" for row in rows) > 0
    assert len(rows_of("out/events.csv")) == len(result.events) > 0
    assert files_under("out") == {"scores.csv", "events.csv", "summary.json"}
    assert f"{result.summary['found']['flagged']} rows flagged" in capsys.readouterr().out


def test_a_model_scores_without_its_training_rows(data, made):
    """The file of the model is enough, wherever it lies; rows right behind training have scores from the first on."""
    shutil.copy(data / "sensor" / "model.ckpt", "elsewhere.ckpt")
    shutil.move(data / "second.csv", "second.csv")
    shutil.rmtree(data)

    assert anomaly("score", "elsewhere.ckpt", "second.csv", "--out", "out") == 0
    assert all(row["score"] for row in rows_of("out/scores.csv") if row["value"])


def test_scores_go_beside_the_model_unless_said(data):
    """And pictures of earlier scores do not stay beside new ones."""
    (data / "sensor" / "report.html").write_text("old")

    assert anomaly("score", data / "sensor" / "model.ckpt", data / "second.csv") == 0
    assert files_under(data / "sensor") == {"model.ckpt", "config.yaml", "scores.csv", "events.csv", "summary.json"}


def test_report_draws_what_was_scored(data, capsys):
    """A picture, a picture to zoom in, and a page."""
    anomaly("score", data / "sensor", data / "second.csv", "--out", "out")
    capsys.readouterr()

    assert anomaly("report", "out") == 0
    drawn = ["out/picture.png", "out/picture.html", "out/report.html"]
    assert capsys.readouterr().out.split() == drawn
    assert all(Path(path).stat().st_size > 1000 for path in drawn)


def test_evaluate_prints_ours_beside_every_baseline(data, capsys, monkeypatch):
    """From labels of a column, or windows in a file; all numbers are kept as JSON."""
    hide_stumpy(monkeypatch)
    assert anomaly("evaluate", data / "all.csv", "--label", "label", "--epochs", 1, "--out", "out") == 0

    table = capsys.readouterr().out
    for name in ("window", "random", "row number", "|z|", "seasonal profile", "IsolationForest", "sub-PCA", "sub-kNN"):
        assert name in table
    assert {line["detector"] for line in json.loads(Path("out/evaluation.json").read_text())["lines"]} >= {"random"}


def test_detect_does_all_in_a_row(data, capsys, monkeypatch):
    """One command leaves the model, the scores, the pictures, the page and the comparison, and a record of the run."""
    hide_stumpy(monkeypatch)
    assert anomaly("detect", data / "all.csv", "--epochs", 1, "--split", "60%", "--out", "out") == 0

    told = capsys.readouterr()
    assert {path for path in files_under("out") if "/" not in path} == {
        "model.ckpt", "config.yaml", "scores.csv", "events.csv", "summary.json", "evaluation.json",
        "picture.png", "picture.html", "report.html",
    }  # fmt: skip
    assert "learned from the 480 rows before" in told.out
    assert "VUS-PR" in told.out
    lines = json.loads(Path("out/evaluation.json").read_text())["lines"]
    summary = json.loads(Path("out/summary.json").read_text())
    took = next(line["seconds"] for line in lines if line["kind"] == "ours")
    assert took >= summary["training"]["seconds"] + summary["model"]["seconds"] - 0.001
    rows = rows_of("out/scores.csv")
    assert [bool(row["score"]) for row in rows] == [i >= 480 and bool(row["value"]) for i, row in enumerate(rows)]
    assert {"metrics.csv", "hparams.yaml", "model.ckpt", "picture.png", "events.csv"} <= {
        Path(path).name for path in files_under("out/runs/version_0")
    }


def test_detect_needs_no_file(capsys, monkeypatch):
    """Without one it shows itself on a made-up series, and says that it is made up."""
    hide_stumpy(monkeypatch)

    assert anomaly("detect", "--synthetic", *QUICK) == 0
    assert "SYNTHETIC" in capsys.readouterr().err
    assert Path("anomaly/report.html").exists()


@pytest.mark.parametrize("model", ["window", "seed"])
def test_both_models_go_the_whole_way(data, model, capsys, monkeypatch):
    """`--model` is all that differs."""
    hide_stumpy(monkeypatch)

    assert anomaly("detect", data / "all.csv", "--model", model, *QUICK, "--out", "out") == 0
    assert Result.read("out").summary["model"]["kind"] == model


def test_a_second_run_replaces_the_files_of_the_first(data, capsys):
    """And says so; what does not belong to it stays."""
    Path(data / "sensor" / "mine.txt").write_text("mine")

    assert anomaly("fit", data / "first.csv", *QUICK, "--out", data / "sensor") == 0
    assert "in place of one that was there" in capsys.readouterr().err
    assert files_under(data / "sensor") == {"model.ckpt", "config.yaml", "mine.txt"}


# -- exit codes --


@pytest.mark.parametrize(("file", "code"), [("second.csv", 3), ("first.csv", 0)])
def test_scripts_can_ask_whether_anything_was_flagged(data, file, code):
    """With --exit-code 3 says yes; without it nothing but a failure is not 0."""
    if code == 0:  # so few that they fill no window
        lines = Path(data / file).read_text().splitlines(keepends=True)
        Path(data / file).write_text("".join(lines[:11]))

    assert anomaly("score", data / "sensor", data / file, "--exit-code", "--out", "out") == code
    assert anomaly("score", data / "sensor", data / file, "--out", "out") == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fit", "missing.csv"], "There is no file missing.csv"),
        (["fit", "data/all.csv", "--value", "valu"], "Did you mean 'value'?"),
        (["fit", "data/all.csv", "--split", "half"], "neither a share such as 70% nor a time"),
        (["fit", "data/all.csv", "--split", "2050-01-01"], "leaves no row behind it"),
        (["fit", "data/all.csv", "--threshold", "99%"], "normalised:3"),
        (["fit", "data/all.csv", "--holidays", "XX"], "XX"),
        (["fit", "empty.csv"], "empty"),
        (["fit", "one.csv"], "1 number in 1 row"),
        (["fit", "text.csv"], "'oops'"),
        (["fit", "constant.csv"], "constant"),
        (["score", "data/all.csv", "data/all.csv"], "damaged, or none at all"),
        (["score", "missing", "data/all.csv"], "no checkpoint 'missing'"),
        (["score", "data/sensor", "other.csv"], "trained on the value 'value'"),
        (["report", "data"], "no summary.json in data"),
        (["evaluate", "data/second.csv", "--windows", "missing.json"], "missing.json"),
        (["detect", "data/all.csv", "--synthetic"], "leave out one of them"),
        (["fit", "data/all.csv", "--config", "missing.yaml"], "missing.yaml"),
        (["fit", "data/all.csv", "--config", "odd.yaml"], "no option 'epoch'. Did you mean 'epochs'?"),
    ],
)
def test_a_mistake_is_one_message_and_code_2(data, words, told, capsys):
    """No traceback, and nothing half done stays behind."""
    files = {
        "empty.csv": "",
        "one.csv": "time,value\n2024-01-01,1\n",
        "text.csv": "time,value\n"
        + "".join(f"2024-01-{day:02d},{day}\n" for day in range(1, 29))
        + "2024-01-29,oops\n",
        "constant.csv": "time,value\n" + "".join(f"2024-01-01 00:{minute:02d},7\n" for minute in range(60)),
        "other.csv": "time,level\n2024-01-01,1\n2024-01-02,2\n",
        "odd.yaml": "epoch: 3\n",
    }
    for name, text in files.items():
        Path(name).write_text(text)
    before = files_under(".")

    assert anomaly(*words) == 2
    message = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert len(message) == 1
    assert message[0].startswith("fulgurite anomaly: ") and told in message[0]
    assert files_under(".") == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fit", "x.csv", "--epoch", "3"], "did you mean --epochs?"),
        (["fit", "x.csv", "--epochs", "many"], "'many' was given, expected a whole number"),
        (["fit", "x.csv", "--model", "forest"], "invalid choice: 'forest'"),
        (["fti", "x.csv"], "invalid choice: 'fti'"),
        ([], "required: VERB"),
    ],
)
def test_an_option_that_is_none_ends_with_2(words, told, capsys):
    """argparse says which."""
    with pytest.raises(SystemExit) as end:
        anomaly(*words)

    assert end.value.code == 2
    assert told in capsys.readouterr().err


def test_ctrl_c_ends_with_130(data, monkeypatch, capsys):
    """One word, no traceback, no half of a file."""
    monkeypatch.setattr("fulgurite.anomaly.window.WindowModel.fit", stopped)

    assert anomaly("fit", data / "first.csv", "--out", "out") == 130
    assert capsys.readouterr().err.endswith("fulgurite anomaly: stopped.\n")
    assert not Path("out").exists()


def test_our_own_mistakes_are_not_hidden(data, monkeypatch):
    """They come with their traceback; the interpreter makes them code 1."""
    monkeypatch.setattr("fulgurite.anomaly.window.WindowModel.fit", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        anomaly("fit", data / "first.csv", "--out", "out")
    assert not Path("out").exists()


# -- options from a file --


def test_options_come_from_a_file_and_the_line_has_the_last_word(data):
    """Lists, numbers and yes or no are written as YAML has them; dashes and underscores mean the same."""
    Path("options.yaml").write_text(
        "epochs: 1\nlogger: none\nmodel: seed\nthreshold: fixed:2\nnormalise: true\ncontinuous: []\nseed: 4\n"
    )

    assert anomaly("fit", data / "first.csv", "--config", "options.yaml", "--seed", "5", "--out", "out") == 0
    written = yaml.safe_load(Path("out/config.yaml").read_text())
    wanted = {"epochs": 1, "model": "seed", "threshold": "fixed:2", "normalise": True, "seed": 5}
    assert {name: written[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "told"), [("- a\n", "holds list"), ("a: [", "is no YAML"), ("offline: 3\n", "neither true")]
)
def test_a_file_that_holds_no_options_is_refused(data, text, told, capsys):
    """It is said what it holds instead."""
    Path("options.yaml").write_text(text)

    assert anomaly("fit", data / "first.csv", "--config", "options.yaml") == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("verb", [None, *verbs()])
def test_help_fits_a_screen(verb, capsys):
    """Every verb tells its options."""
    with pytest.raises(SystemExit) as end:
        anomaly(*([] if verb is None else [verb]), "--help")

    assert end.value.code == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 120


# -- a real process --


def process(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "fulgurite", "anomaly", *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, **options,
    )  # fmt: skip


def test_rows_on_standard_input_come_back_scored_at_once(data):
    """A row is printed before the next one is written; Ctrl-C ends with 130, and the state is kept."""
    lines = Path(data / "second.csv").read_text().splitlines(keepends=True)
    running = process("score", data / "sensor", "-", "--follow", "--state", "follow.state")
    for line in lines[:3]:
        running.stdin.write(line)
        running.stdin.flush()
    header, first, second = (running.stdout.readline() for _ in range(3))
    wait_for(Path("follow.state").exists)
    running.send_signal(signal.SIGINT)
    rest, said = running.communicate(timeout=60)

    assert header.startswith(lines[0].strip() + ",score,is_anomaly,")
    assert first.startswith(lines[1].strip() + ",") and second.startswith(lines[2].strip() + ",")
    assert (running.returncode, rest) == (130, "")
    assert said.splitlines()[-1] == "fulgurite anomaly: stopped."


def test_a_reader_that_has_seen_enough_is_no_failure(data):
    """`| head` closes the pipe: no traceback, code 141 as other programs have it."""
    running = process("score", data / "sensor", "-", "--follow")
    lines = Path(data / "second.csv").read_text().splitlines(keepends=True)
    running.stdin.write("".join(lines[:2]))
    running.stdin.flush()
    running.stdout.readline()
    running.stdout.close()
    try:
        running.stdin.write("".join(lines[2:]))
        running.stdin.close()
    except BrokenPipeError:
        pass
    said = running.stderr.read()

    assert running.wait(timeout=60) == 141
    assert "Traceback" not in said and "BrokenPipe" not in said


def test_a_process_ends_with_2_and_one_line(data):
    """As seen from a shell."""
    running = process("fit", "missing.csv")
    out, said = running.communicate(timeout=60)

    assert (running.returncode, out) == (2, "")
    assert said == "fulgurite anomaly: There is no file missing.csv.\n"


def test_following_once_ends_where_the_file_ends(data, capsys):
    """The next call goes on there; with --exit-code it tells of the new rows."""
    header, *lines = Path(data / "second.csv").read_text().splitlines(keepends=True)
    Path("rows.csv").write_text(header + "".join(lines[:100]))
    words = ["score", data / "sensor", "rows.csv", "--follow", "--once"]
    assert anomaly(*words) == 0
    first = capsys.readouterr().out.splitlines()
    with open("rows.csv", "a") as file:
        file.writelines(lines[100:])
    assert anomaly(*words, "--exit-code") == 3
    second = capsys.readouterr().out.splitlines()

    assert [line.split(",")[0] for line in first[1:] + second[1:]] == [line.split(",")[0] for line in lines]
    assert Path(data / "sensor" / "follow.state").exists()


def stopped(*_):
    raise KeyboardInterrupt


def hide_stumpy(monkeypatch):
    """Its first use compiles for half a minute."""
    monkeypatch.setattr("fulgurite.anomaly.judge.baselines.available", lambda module: module != "stumpy")


def wait_for(condition, patience=60.0):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
