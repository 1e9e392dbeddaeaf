"""CSVLogger: what lands in the files, when, and that nothing is lost."""

import csv
import os
import pickle
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.loggers import CSVLogger, TrackLogger
from fulgurite.loggers.csv import ExperimentWriter
from fulgurite.testing import QUIET, TinyModule, batches


def rows_of(logger, file="metrics.csv"):
    with open(Path(logger.log_dir, file), newline="") as lines:
        return list(csv.DictReader(lines))


def test_folders_are_numbered_and_named():
    """Without a version the next free number is taken; a string names the folder; an empty name leaves a level out."""
    first, second = CSVLogger("logs"), CSVLogger("logs")
    assert (first.name, first.version, first.log_dir) == ("lightning_logs", 0, "logs/lightning_logs/version_0")
    assert first.experiment.log_dir != second.experiment.log_dir
    assert second.version == 1
    assert CSVLogger("logs", name="exp", version="best").log_dir == "logs/exp/best"
    assert CSVLogger(Path("logs"), name=None, version=3).log_dir == "logs/version_3"


def test_nothing_is_written_before_something_is_logged():
    """Making a logger and asking for its folders leaves the disk alone."""
    logger = CSVLogger("logs")
    assert logger.version == 0 and logger.log_dir and pickle.loads(pickle.dumps(logger)).version == 0
    logger.save()
    logger.finalize("success")
    assert not os.path.exists("logs")


def test_rows_wait_in_memory_until_the_buffer_is_full():
    """Two rows a write: the file grows by twos, and `save` writes the odd one."""
    logger = CSVLogger(".", flush_logs_every_n_steps=2)
    counts = []
    for step in range(5):
        logger.log_metrics({"loss": 1.0}, step)
        counts.append(len(rows_of(logger)) if os.path.exists(logger.experiment.metrics_file_path) else 0)
    logger.save()
    assert counts == [0, 2, 2, 4, 4]
    assert [row["step"] for row in rows_of(logger)] == ["0", "1", "2", "3", "4"]


def test_rows_are_appended_not_rewritten():
    """While the columns stay, the file keeps its inode and only grows."""
    logger = CSVLogger(".", flush_logs_every_n_steps=1)
    logger.log_metrics({"a": 1.0}, 0)
    before = os.stat(logger.experiment.metrics_file_path)
    logger.log_metrics({"a": 2.0}, 1)
    after = os.stat(logger.experiment.metrics_file_path)
    assert before.st_ino == after.st_ino and after.st_size > before.st_size


def test_a_new_column_keeps_the_old_rows():
    """A name that comes late widens the table; earlier rows stay, empty in that column."""
    logger = CSVLogger(".", flush_logs_every_n_steps=1)
    logger.log_metrics({"loss": 0.5}, 0)
    logger.log_metrics({"acc": 1.0}, 1)
    assert rows_of(logger) == [
        {"acc": "", "loss": "0.5", "step": "0"},
        {"acc": "1.0", "loss": "", "step": "1"},
    ]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.floats()), min_size=1, max_size=6), st.integers(1, 4))
def test_every_value_reads_back_exactly(tmp_path_factory, metrics, interval):
    """Whatever the rows, their columns and the interval: each float comes back bit for bit."""
    logger = CSVLogger(tmp_path_factory.mktemp("logs"), flush_logs_every_n_steps=interval)
    for step, row in enumerate(metrics):
        logger.log_metrics(row, step)
    logger.finalize("failed")
    read = [{k: float(v) for k, v in row.items() if v != "" and k != "step"} for row in rows_of(logger)]
    assert repr([dict(sorted(row.items())) for row in metrics]) == repr([dict(sorted(row.items())) for row in read])


def test_an_earlier_runs_file_is_kept():
    """An explicit version that exists already: its table moves aside, with a warning, and both are whole."""
    for value in (1.0, 2.0):
        logger = CSVLogger(".", version=7)
        logger.log_metrics({"a": value}, 0)
        if value == 2.0:
            with pytest.warns(UserWarning, match=r"kept as metrics_0\.csv"):
                logger.save()
        logger.finalize("success")
    assert rows_of(logger)[0]["a"] == "2.0"
    assert rows_of(logger, "metrics_0.csv")[0]["a"] == "1.0"


def test_hyperparameters_are_readable_by_any_yaml_reader():
    """No Python tags in the file, and later hyperparameters add to the earlier ones."""
    logger = CSVLogger(".")
    logger.log_hyperparams({"path": Path("a/b"), "sizes": (1, 2), "nested": {"lr": 1e-5}})
    logger.log_hyperparams({"more": True})
    read = yaml.safe_load(Path(logger.log_dir, "hparams.yaml").read_text())
    assert read == {"path": "a/b", "sizes": [1, 2], "nested": {"lr": 1e-5}, "more": True}


def test_prefix_and_missing_step():
    """`prefix-` stands before each name, and rows without a step are counted."""
    logger = CSVLogger(".", prefix="run")
    logger.log_metrics({"a": 1.0})
    logger.log_metrics({"a": 1.0})
    logger.save()
    assert [(row["run-a"], row["step"]) for row in rows_of(logger)] == [("1.0", "0"), ("1.0", "1")]


def test_bad_arguments_are_refused():
    """A remote folder and an interval of zero are errors with the value in them."""
    with pytest.raises(MisconfigurationException, match="s3://bucket"):
        CSVLogger("s3://bucket/logs")
    with pytest.raises(ValueError, match="flush_logs_every_n_steps=0"):
        CSVLogger(".", flush_logs_every_n_steps=0)


def test_a_folder_that_cannot_be_made_says_how_to_name_another(tmp_path):
    """Before anything is trained, and for every logger that has a folder."""
    (tmp_path / "file").write_text("")
    for logger in (CSVLogger(tmp_path / "file"), TrackLogger(tmp_path / "file")):
        with pytest.raises(MisconfigurationException, match=r"can't make its folder under .*save_dir"):
            Trainer(**{**QUIET, "logger": logger}).fit(TinyModule(), batches(2))


def test_rows_that_a_full_disk_refuses_come_later(tmp_path):
    """Nothing of them stays in the file, the error names it, and the next write brings them all, once."""
    resource = pytest.importorskip("resource")
    writer = ExperimentWriter(str(tmp_path))
    writer.log_metrics({"loss": 0.5}, step=0)
    writer.save()
    path = Path(writer.metrics_file_path)
    before = path.read_bytes()
    for step in range(1, 4):
        writer.log_metrics({"loss": step / 7}, step=step)

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="3 rows wait for room.*metrics.csv"):
            writer.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert path.read_bytes() == before
    writer.save()
    assert [line.split(",")[1] for line in path.read_text().splitlines()] == ["step", "0", "1", "2", "3"]
