"""Ctrl-C and SIGTERM in a process of its own: how it ends, and what it leaves behind."""

import csv
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from fulgurite import Callback, Trainer
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.runtime.signals import noticed_signals
from fulgurite.testing import QUIET, TinyModule, batches
from support.observed import Broken, Scene

SCRIPT = """
import os, signal, sys
import torch
from fulgurite import Callback, Trainer
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.runtime.signals import noticed_signals
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


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_sigterm_is_not_forgotten_over_an_error(tmp_path):
    """A program that catches the error of one run and goes on to the next ends all the same."""
    scene = Scene(tmp_path)

    def step(batch, batch_idx):
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("mine")

    scene.module.training_step = step
    with pytest.raises(SystemExit) as caught:
        scene.run("fit")

    assert caught.value.code == 143 and str(caught.value.__cause__) == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_signal_while_the_run_is_closed_waits_for_it(tmp_path, number, error):
    """The run is complete, and the program ends after it."""
    scene = Scene(tmp_path)
    finalize = scene.logger.finalize
    scene.logger.finalize = lambda status: (os.kill(os.getpid(), number), finalize(status))
    with pytest.raises(error):
        scene.run("fit")

    assert scene.logger.ends == ["success"] and scene.trainer.state.status == "finished"


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_sigterm_before_the_first_batch(tmp_path):
    """At once, since there is no batch to finish: everybody is told and closed, and the exit code is 143."""
    scene = Scene(tmp_path)
    scene.module.setup = lambda stage: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        scene.run("fit")

    assert caught.value.code == 143 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert scene.logger.ends == ["failed"] and scene.trainer.state.status == "interrupted"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
@pytest.mark.parametrize("hook", ["setup", "on_train_start"])
def test_sigterm_ends_a_process_that_a_hook_has_forked(tmp_path, hook):
    """It is no training, and whoever ends it waits for its end."""
    scene, codes = Scene(tmp_path), []

    def forks(stage=None):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,))
        child.start()
        time.sleep(0.2)
        child.terminate()
        child.join(5)
        codes.append(child.exitcode)
        child.kill()

    setattr(scene.module, hook, forks)
    scene.run("fit")

    assert codes == [-signal.SIGTERM] and scene.trainer.state.status == "finished"


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


class Noisy(TinyModule):
    """Its loss draws random numbers."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * torch.rand(())

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.layer(batch).sum() + torch.rand(()))


class Sends(Callback):
    """Sends this process signals in one hook of one step, one after the other."""

    def __init__(self, hook, step, *numbers):
        self.step, self.numbers, self.went_on = step, numbers, False
        setattr(self, hook, self.send)

    def send(self, trainer, pl_module, *args):
        if trainer.global_step == self.step and not trainer.sanity_checking:
            for number in self.numbers:
                os.kill(os.getpid(), number)
            self.went_on = True


def noisy(folder, *callbacks, path=None, **options):
    torch.manual_seed(0)
    model = Noisy()
    saving = ModelCheckpoint(folder, monitor="val_loss")
    trainer = Trainer(
        max_epochs=3, **{**QUIET, "enable_checkpointing": True}, callbacks=[*callbacks, saving], **options
    )
    shuffled = DataLoader(batches(6).dataset, batch_size=2, shuffle=True)
    try:
        trainer.fit(model, shuffled, batches(2), ckpt_path=path)
    except (KeyboardInterrupt, SystemExit) as error:
        return trainer, model, error
    return trainer, model, None


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("hook", ["on_before_backward", "on_train_batch_end", "on_validation_batch_end"])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path, hook, number):
    """The batch is finished, its state is saved although nothing was due, and `last` goes on from there exactly."""
    _, whole, _ = noisy(tmp_path / "whole")

    step = 6 if hook == "on_validation_batch_end" else 4
    sends = Sends(hook, step, number)
    _, _, error = noisy(tmp_path / "cut", sends)
    torch.manual_seed(99)
    trainer, again, _ = noisy(tmp_path / "cut", path="last")

    assert isinstance(error, KeyboardInterrupt if number == signal.SIGINT else SystemExit) and sends.went_on
    assert trainer.ckpt_path and trainer.global_step == 18
    assert torch.equal(again.layer.weight, whole.layer.weight)
    kept = [path.name for path in (tmp_path / "cut").iterdir()]
    assert len(kept) == 1, kept  # the file in between gave way to one with a score


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_second_ctrl_c_acts_at_once(tmp_path):
    """In the middle of the batch."""
    sends = Sends("on_before_backward", 4, signal.SIGINT, signal.SIGINT)

    trainer, _, error = noisy(tmp_path, sends)

    assert isinstance(error, KeyboardInterrupt) and not sends.went_on
    assert trainer.global_step == 4 and trainer.interrupted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Late(Dataset):
    """Its third sample takes half a minute."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        time.sleep(30 * (index == 2))
        return torch.ones(4)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_second_ctrl_c_waits_for_no_worker(tmp_path):
    """One that is busy is ended."""

    class Presses(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 0:
                self.begun = time.monotonic()
                for wait in (0.3, 0.6):
                    threading.Timer(wait, os.kill, (os.getpid(), signal.SIGINT)).start()

    presses, loader = Presses(), DataLoader(Late(), batch_size=1, num_workers=1)
    with pytest.raises(KeyboardInterrupt):
        Trainer(max_epochs=1, callbacks=[presses], default_root_dir=tmp_path, **QUIET).fit(TinyModule(), loader)

    assert time.monotonic() - presses.begun < 4


def test_a_ctrl_c_that_another_rank_has_passed_on_is_no_second_one():
    """At a terminal it comes to all of them, and one may have told the others before they hear it themselves."""
    trainer = Trainer(**QUIET)
    trainer.received_sigint = True
    with noticed_signals(trainer):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
