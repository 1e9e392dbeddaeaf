"""Ctrl-C and SIGTERM in a process of its own: how it ends, and what it leaves behind."""

import csv
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fulgurite import Trainer
from fulgurite.testing import QUIET, TinyModule, batches
from support.observed import Broken, Scene

SCRIPT = """
import os, signal, sys
import torch
from fulgurite import Callback, Trainer
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import CSVLogger
from fulgurite.testing import QUIET, TinyModule, batches

class Loud(Callback):
    def on_exception(self, trainer, pl_module, exception):
        print("told", type(exception).__name__, flush=True)
    def teardown(self, trainer, pl_module, stage):
        print("torn down", flush=True)
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 5:
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        print("batch", batch_idx, flush=True)

class Logger(CSVLogger):
    def finalize(self, status):
        super().finalize(status)
        print("finalized", status, flush=True)

before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
trainer = Trainer(max_epochs=3, log_every_n_steps=1, callbacks=[Loud()],
                  **{**QUIET, "logger": Logger(".", flush_logs_every_n_steps=1000)})
try:
    trainer.fit(TinyModule(), batches(4))
finally:
    print("handlers", (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before,
          trainer.state.status, trainer.global_step, flush=True)
"""


def run(name: str, folder: Path, script: str = SCRIPT):
    (folder / "train.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "train.py", name], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    return done, done.stdout.splitlines()


def rows(folder: Path):
    (file,) = folder.rglob("metrics.csv")
    with file.open() as lines:
        return [int(row["step"]) for row in csv.DictReader(lines) if row["loss"]]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_ctrl_c(tmp_path):
    """Everybody is told and closed, the rows are complete, and the process ends as Python's own after Ctrl-C."""
    done, said = run("SIGINT", tmp_path)

    assert done.returncode in (130, -signal.SIGINT), done.stderr
    assert "KeyboardInterrupt" in done.stderr
    # The interrupt arrives between two instructions: this batch may or may not have been told.
    closing = ["told KeyboardInterrupt", "finalized failed", "torn down", "handlers True interrupted 5"]
    assert said[4:] in (closing, ["batch 0", *closing])
    assert rows(tmp_path)[:4] == [0, 1, 2, 3]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_sigterm(tmp_path):
    """The batch is finished, everybody is told and closed, the rows are complete, and the exit code is 143."""
    done, said = run("SIGTERM", tmp_path)

    assert done.returncode == 143, done.stderr
    assert said[4:] == [
        "batch 0", "told SIGTERMException", "finalized failed", "torn down", "handlers True interrupted 5"
    ]  # fmt: skip
    assert rows(tmp_path) == [0, 1, 2, 3, 4]
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_sigterm_reaches_the_programs_own_handler_too(tmp_path):
    """A handler that was there before is called as well, and is there again afterwards."""
    scene, heard = Scene(tmp_path), []
    scene.module.on_train_start = lambda: os.kill(os.getpid(), signal.SIGTERM)
    outer = signal.signal(signal.SIGTERM, mine := lambda number, frame: heard.append(number))
    try:
        with pytest.raises(SystemExit) as caught:
            scene.run("fit")
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, outer)

    assert caught.value.code == 143 and heard == [signal.SIGTERM]
    assert scene.trainer.global_step == 1 and scene.logger.ends == ["failed"]


def test_a_trainer_works_beside_the_main_thread(tmp_path):
    """Only the main thread may listen to signals; a run elsewhere does without."""
    scene, errors = Scene(tmp_path), []

    def work():
        try:
            scene.run("fit")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)

    assert errors == [] and scene.trainer.state.status == "finished"


def test_ctrl_c_leaves_a_whole_wandb_run(tmp_path):
    """All rows up to the interrupt are in the run's own file, and the run is closed."""
    pytest.importorskip("wandb")
    from fulgurite.loggers import WandbLogger
    from support.wandb_file import recorded_runs

    logger = WandbLogger(save_dir=tmp_path, offline=True)
    trainer = Trainer(max_epochs=2, log_every_n_steps=1, **{**QUIET, "logger": logger})
    with Broken(model := TinyModule(), "training_step", KeyboardInterrupt(), after=5), pytest.raises(KeyboardInterrupt):
        trainer.fit(model, batches(4))
    import wandb

    wandb.finish()

    (run,) = recorded_runs(tmp_path)
    assert [row["trainer/global_step"] for row in run.rows if "loss" in row] == [0, 1, 2, 3, 4]
