"""CometLogger over the real client, offline: what is logged is read back from the file that would be sent."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.loggers import CometLogger
from fulgurite.loggers import comet as comet_logger
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer
from support.comet_file import recorded

pytest.importorskip("comet_ml")
QUICK = {"log_code": False, "log_env_details": False, "auto_output_logging": False, "display_summary_level": 0}


def make(**arguments):
    return CometLogger(**{"online": False, "project": "p", "offline_directory": "off", **QUICK, **arguments})


def written(logger):
    logger.experiment.end()
    (found,) = recorded(Path("off"))
    return found


def test_a_whole_run():
    """Rows at their steps with Comet's own epoch, hyperparameters, the model, name and key."""
    logger = make(prefix="pre", workspace="w", name="first", experiment_key="a" * 32)
    trainer = Trainer(**{**QUIET, "logger": logger}, max_epochs=2, log_every_n_steps=1)
    model = TinyModule()
    model.save_hyperparameters({"lr": 0.1, "nested": {"depth": 2}})
    trainer.fit(model, batches(2), batches(1))
    trainer.test(model, batches(1), verbose=False)
    run = written(logger)

    assert (logger.name, logger.version, logger.save_dir) == ("p", "a" * 32, "off")
    assert [(step, epoch) for name, step, _, epoch in run.metrics if name == "pre_loss"] == [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 1),
    ]
    assert [name for name, *_ in run.metrics if "epoch" in name] == []
    assert "pre_test_loss" in {name for name, *_ in run.metrics}
    assert run.params == {"lr": 0.1, "nested|depth": 2}
    assert "TinyModule" in run.of("graph")[0]["graph"]
    assert (run.facts["project_name"], run.facts["workspace"], run.facts["offline_id"]) == ("p", "w", "a" * 32)


def test_pictures_tables_and_texts():
    """Each with its step; captions beside pictures."""
    logger = make()
    logger.log_image("seen", [torch.rand(3, 4, 5), torch.rand(4, 5)], step=7, caption=["a", "b"])
    logger.log_metrics({"loss": 1.0}, 8)
    logger.log_table("t", ["x", "y"], [[torch.rand(3, 4, 5), 1], ["b", 2.5]])
    logger.log_text("note", ["text"], [["hello"]], step=9)
    run = written(logger)

    pictures = [each for each in run.uploads if each["content"].startswith(b"\x89PNG")]
    assert [(p["additional_params"]["figName"], p["additional_params"]["step"], p["metadata"]["caption"])
            for p in pictures] == [("seen/0", 7, "a"), ("seen/1", 7, "b")]  # fmt: skip
    (table,) = [each for each in run.uploads if each["additional_params"].get("fileName") == "t_8.csv"]
    assert table["content"].decode().split() == ["x,y", '"picture,', "5", "x", '4",1', "b,2.5"]
    (text,) = [each for each in run.uploads if each["content"] == b"hello"]
    assert text["additional_params"]["step"] == 9 and text["metadata"]["key"] == "note"


def test_logging_goes_on_after_the_end():
    """In a second file under the same key, which Comet puts together."""
    logger = make()
    for step in range(2):
        logger.log_metrics({"loss": float(step)}, step)
        logger.experiment.end()

    first, second = recorded(Path("off"))
    assert first.facts["offline_id"] == second.facts["offline_id"] == logger.version
    assert [first.metrics[0][:3], second.metrics[0][:3]] == [("loss", 0, 0.0), ("loss", 1, 1.0)]


def test_a_copy_is_the_same_experiment():
    """Before it is open and after."""
    logger = make()
    assert pickle.loads(pickle.dumps(logger)).version == logger.version is not None
    logger.log_metrics({"loss": 1.0}, 0)
    assert pickle.loads(pickle.dumps(logger)).version == logger.version == logger.experiment.get_key()
    logger.experiment.end()


def test_nothing_is_lost_at_the_exit(tmp_path):
    """A script that does not end its experiment, and one that fails."""
    program = f"""
from fulgurite.loggers import CometLogger
logger = CometLogger(online=False, project="p", offline_directory="off", **{QUICK})
for step in range(200):
    logger.log_metrics({{"loss": step}}, step)
"""
    for end in ("", "1 / 0"):
        subprocess.run([sys.executable, "-c", program + end], cwd=tmp_path, capture_output=True, timeout=120)

    assert [len(run.metrics) for run in recorded(tmp_path / "off")] == [200, 200]


def test_without_a_key_it_is_recorded_offline(monkeypatch, caplog):
    """A job without a terminal is not asked for one."""
    monkeypatch.delenv("COMET_API_KEY", raising=False)
    logger = make(online=None)
    logger.log_metrics({"loss": 1.0}, 0)

    assert written(logger).metrics
    assert "No Comet API key is configured" in caplog.text


def test_bad_arguments_say_what_is_allowed(monkeypatch):
    """mode, and the package that is missing."""
    with pytest.raises(MisconfigurationException, match="mode='new'"):
        make(mode="new")
    monkeypatch.setattr(comet_logger, "available", lambda module: False)
    monkeypatch.setitem(sys.modules, "comet_ml", None)
    with pytest.raises(ModuleNotFoundError, match=r"fulgurite\[comet\]"):
        make()
