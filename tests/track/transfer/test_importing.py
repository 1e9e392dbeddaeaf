"""Runs of other loggers come into the store, once."""

import logging
import os
import time

import numpy as np
import pytest
import torch

from fulgurite import Trainer
from fulgurite.base.errors import DataError
from fulgurite.loggers import CSVLogger
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.track.transfer import from_csv, from_tensorboard


def test_a_csv_logger_s_folder_becomes_a_run(store, tmp_path):
    """Rows and hyperparameters are there; taken twice, it is one run."""
    logger = CSVLogger(tmp_path / "logs")
    logger.log_hyperparams({"lr": 0.5})
    Trainer(**{**QUIET, "logger": logger}, max_epochs=2, log_every_n_steps=1).fit(TinyModule(), batches(3))
    (folder,) = from_csv.find(tmp_path)

    from_csv.take(store, folder, "old")
    run = from_csv.take(store, folder, "old")

    assert len(store.runs.all(run.project)) == 1
    assert run.config["lr"] == 0.5 and run.state == "finished" and run.display_name == "lightning_logs/version_0"
    logged = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()[1:]]
    assert store.runs.by_id(run.id).row_count == len({line[-1] for line in logged})


def test_a_table_s_run_is_as_old_as_its_files(store, tmp_path):
    """It is no run of today, and did not take as long as its import."""
    for name, text, written in (("hparams.yaml", "lr: 1", 1_000), ("metrics.csv", "step,loss\n0,1\n", 1_600)):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (written, written))

    run = from_csv.take(store, tmp_path, "old")

    assert (run.created_at, run.ended_at, run.seen_at, run.state) == (1_000, 1_600, 1_600, "finished")


def test_a_csv_without_steps_says_so(store, tmp_path):
    """The message names the file and the columns that would do."""
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n")

    with pytest.raises(DataError, match="metrics.csv: there is no column of steps. Expected one of step"):
        from_csv.take(store, tmp_path, "old")


def test_event_files_become_a_run(store, tmp_path):
    """Scalars, a histogram, a text and an image, as torch's writer writes them."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path / "tb" / "one") as writer:
        for step in range(5):
            writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_histogram("weights", np.arange(10.0), 4)
        writer.add_text("note", "hello", 4)
        writer.add_image("picture", torch.zeros(3, 4, 6), 4)
    (folder,) = from_tensorboard.find(tmp_path)

    run = from_tensorboard.take(store, folder, "old")

    rows = store.history.rows(run.id)
    assert [round(row["loss"], 4) for row in rows] == [1, 0.5, 0.3333, 0.25, 0.2]
    assert rows[4]["weights"]["_type"] == "histogram" and sum(rows[4]["weights"]["values"]) == 10
    assert rows[4]["note"] == "hello"
    assert (rows[4]["picture"]["width"], rows[4]["picture"]["height"]) == (6, 4)
    assert store.blobs.file(run.id, rows[4]["picture"]["path"]).blob.size == rows[4]["picture"]["size"]
    assert run.display_name == "tb/one"


def test_an_event_file_s_run_has_the_times_and_hyperparameters_of_its_events(store, tmp_path):
    """Taken years later, it began and ended when it did; what `add_hparams` wrote is its configuration."""
    from torch.utils.tensorboard import SummaryWriter

    before = time.time()
    with SummaryWriter(tmp_path / "tb") as writer:
        writer.add_hparams({"lr": 0.5, "name": "adam", "wide": True}, {"score": 0.25}, run_name=".")
        writer.add_scalar("loss", 1.0, 0, walltime=before + 3600)
    after = time.time()
    (folder,) = from_tensorboard.find(tmp_path)

    run = from_tensorboard.take(store, folder, "old")

    assert run.config == {"lr": 0.5, "name": "adam", "wide": True}
    assert before <= run.created_at <= after
    assert run.ended_at == run.seen_at == before + 3600
    assert run.state == "finished" and run.summary["score"] == 0.25
