"""A run is recorded by the logger that was chosen: options, losses, results, the picture, the events and the model."""

import csv
from pathlib import Path

import pytest
import torch
import yaml

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.tracked import open_run
from fulgurite.anomaly.writing import write_series
from fulgurite.base.errors import MisconfigurationException
from fulgurite.cli import main
from fulgurite.track.store.store import Store
from support.wandb_file import recorded_runs


@pytest.fixture(autouse=True)
def data(monkeypatch):
    """A made-up series as a CSV with labels; and no half a minute of compiling for the matrix profile."""
    monkeypatch.setattr("fulgurite.anomaly.judge.baselines.available", lambda module: module != "stumpy")
    write_series(generate(rows=600, kinds=("spike", "shift")), "data.csv")


def detect(*words):
    assert main(["anomaly", "detect", "data.csv", "--epochs", "3", "--out", "out", *words]) == 0


def test_the_csv_logger_keeps_all_beside_its_table():
    """Losses by step, then one row of results; copies that a later run does not overwrite."""
    detect("--threshold", "normalised:1")
    detect("--threshold", "normalised:2")

    first, second = Path("out/runs/version_0"), Path("out/runs/version_1")
    rows = list(csv.DictReader(open(first / "metrics.csv")))
    assert any(row["loss"] for row in rows)
    assert [row["anomaly/flagged"] for row in rows if row["anomaly/flagged"]] != []
    assert [row["anomaly/vus_pr"] for row in rows if row["anomaly/vus_pr"]] != []
    assert yaml.safe_load((first / "hparams.yaml").read_text())["threshold"] == "normalised:1"
    assert {path.name for path in first.iterdir()} >= {"model.ckpt", "picture.png", "events.csv", "summary.json",
                                                       "report.html", "evaluation.json"}  # fmt: skip
    for name in ("model.ckpt", "events.csv"):
        assert (second / name).read_bytes() == Path("out", name).read_bytes()
    assert torch.load(first / "model.ckpt", weights_only=True)["params"]["threshold"] == "normalised:1"


def test_wandb_records_all_offline_without_an_account(capsys):
    """One run holds the options, the losses, the results, the picture, the events as a table, and the model."""
    wandb = pytest.importorskip("wandb")
    detect("--logger", "wandb", "--threshold", "normalised:1")
    wandb.teardown()

    (run,) = recorded_runs(Path("out"))
    assert (run.config["threshold"], run.config["data"], run.config["epochs"]) == ("normalised:1", "data.csv", 3)
    assert run.name == "data-window"
    assert run.column("loss") and run.column("anomaly/flagged")
    assert [media["_type"] for media in run.column("picture")] == ["images/separated"]
    assert [media["_type"] for media in run.column("events")] == ["table-file"]
    kinds = [(artifact.type, artifact.name.partition("-")[0]) for artifact in run.artifacts]
    assert ("model", "model") in kinds and ("result", "summary") in kinds
    assert "recorded in" in capsys.readouterr().err


def test_the_run_store_records_all(tmp_path, capsys):
    """One run holds the options, the losses, the results, the picture, the events as a table, and all files."""
    detect("--logger", "track", "--threshold", "normalised:1")

    store = Store()
    (run,) = store.runs.all(store.runs.project("fulgurite-anomaly"))
    rows = store.history.rows(run.id)
    logged = {name for row in rows for name in row}
    assert (run.display_name, run.state, run.config["threshold"]) == ("data-window", "finished", "normalised:1")
    assert {"loss", "picture", "events"} <= logged and run.summary["anomaly/flagged"] > 0
    files = {file.name: file.blob for file in store.blobs.files(run.id)}
    assert files.keys() >= {"model.ckpt", "picture.png", "events.csv", "summary.json", "report.html"}
    assert store.blobs.path(files["model.ckpt"].sha256).read_bytes() == Path("out/model.ckpt").read_bytes()
    assert f"fulgurite-anomaly/{run.name}" in capsys.readouterr().err
    store.close()


def test_no_logger_leaves_no_record():
    """Only what was asked for is there."""
    detect("--logger", "none")

    assert not Path("out/runs").exists()


def test_a_run_that_fails_leaves_no_half_of_a_record(monkeypatch):
    """Neither a folder nor a number that is taken."""
    monkeypatch.setattr("fulgurite.anomaly.window.WindowModel.score", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        detect()

    assert not Path("out").exists()


def test_an_unknown_logger_is_refused():
    """The known ones are named."""
    with pytest.raises(MisconfigurationException, match="csv, track, wandb or none"):
        open_run("mlflow", Path("out"), "x")
