"""A job of SLURM whose time is up: real signals, and a stand-in for ``scontrol`` that notes how it is called."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from fulgurite import Callback, Trainer
from fulgurite.base.errors import CheckpointError, RequeueException
from fulgurite.callbacks import LearningRateFinder, ModelCheckpoint
from fulgurite.core.logger import DummyLogger
from fulgurite.plugins import AsyncCheckpointIO
from fulgurite.plugins.environments import LightningEnvironment, SLURMEnvironment
from fulgurite.testing import QUIET, TinyModule, batches
from support.killing import same
from support.slurm_job import JOB, scontrol, train

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal")
TESTS = Path(__file__).parents[2]


@pytest.fixture
def job(monkeypatch, tmp_path):
    """This process is the task of a job; the file in which ``scontrol`` notes its calls."""
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    notes = scontrol(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(notes.parent), prepend=os.pathsep)
    return notes


# -- in processes of their own ---------------------------------------------------------------------------------------


def signalled(folder: Path, seed: int, step: int, *numbers: int) -> int:
    """Begin the job, send it the signals once it has come to ``step``, and return how it ended."""
    search = os.pathsep.join([str(TESTS), *sys.path])
    command = [sys.executable, str(TESTS / "support" / "slurm_job.py"), str(folder), str(seed), str(step)]
    pipe = subprocess.PIPE
    job = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": search}, stdin=pipe, stdout=pipe, text=True)
    assert job.stdout.readline() == "there\n"
    for number in numbers:
        job.send_signal(number)
    job.communicate("\n", timeout=60)
    return job.returncode


def test_a_job_that_is_requeued_ends_as_one_that_ran_through(job, tmp_path):
    """Two interruptions, the second with the SIGTERM that follows: the same bits, the same rows."""
    train(tmp_path / "whole", 1)
    cut = tmp_path / "cut"

    assert signalled(cut, 1, 4, signal.SIGUSR1) == 128 + signal.SIGUSR1
    assert job.read_text() == "requeue 4711\n" and [*cut.glob("*.ckpt")] == [cut / "hpc_ckpt_1.ckpt"]
    assert signalled(cut, 2, 17, signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1) == 128 + signal.SIGUSR1
    assert job.read_text() == "requeue 4711\n" * 2
    train(cut, 3)

    assert same(torch.load(tmp_path / "whole" / "final.pt"), torch.load(cut / "final.pt"))
    tables = [(tmp_path / name / "csv" / "version_0" / "metrics.csv").read_text() for name in ("whole", "cut")]
    assert tables[0] == tables[1] and len(tables[0].splitlines()) > 30
    assert sorted(path.name for path in cut.glob("*")) == ["csv", "final.pt", "hpc_ckpt_1.ckpt", "hpc_ckpt_2.ckpt"]


# -- in this process -------------------------------------------------------------------------------------------------


class Sends(Callback):
    """Sends this process signals in one hook of one step."""

    def __init__(self, step=4, hook="on_train_batch_end", numbers=(signal.SIGUSR1,)):
        self.step, self.numbers, self.told = step, numbers, []
        setattr(self, hook, self.send)

    def send(self, trainer, pl_module, *args):
        if trainer.global_step == self.step and not trainer.sanity_checking:
            for number in self.numbers:
                os.kill(os.getpid(), number)

    def on_exception(self, trainer, pl_module, exception):
        self.told.append(type(exception))


class Statuses(DummyLogger):
    def __init__(self):
        super().__init__()
        self.ends = []

    def finalize(self, status):
        self.ends.append(status)


class Noisy(TinyModule):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * torch.rand(())


def fitted(folder, *callbacks, path=None, **options):
    """Train; return the trainer, the model, and what ended it."""
    torch.manual_seed(0)
    model, trainer = (
        Noisy(),
        Trainer(callbacks=[*callbacks], default_root_dir=folder, **{**QUIET, "max_epochs": 3, **options}),
    )
    try:
        shuffled = DataLoader(batches(6).dataset, batch_size=2, shuffle=True)
        trainer.fit(model, shuffled, batches(2), ckpt_path=path)
    except (RequeueException, KeyboardInterrupt) as error:
        return trainer, model, error
    return trainer, model, None


@pytest.mark.parametrize("hook", ["on_before_backward", "on_train_batch_end", "on_validation_batch_end"])
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_it_goes_on_exactly(job, tmp_path, hook, number):
    """From inside a step, after it, and from a validation; also by a signal of one's own choice."""
    _, whole, _ = fitted(tmp_path / "whole")
    sends, logger = Sends(6 if "validation" in hook else 4, hook, (number,)), Statuses()
    plugins = [SLURMEnvironment(requeue_signal=number)]
    trainer, _, error = fitted(tmp_path, sends, plugins=plugins, logger=logger)
    assert error.code == 128 + number and error.path == str(tmp_path / "hpc_ckpt_1.ckpt")
    assert sends.told == [RequeueException] and logger.ends == ["finished"] and trainer.interrupted
    assert signal.getsignal(number) is signal.SIG_DFL

    again, model, error = fitted(tmp_path, plugins=plugins)

    assert error is None and again.ckpt_path == str(tmp_path / "hpc_ckpt_1.ckpt") and again.global_step == 18
    assert torch.equal(model.layer.weight, whole.layer.weight)


def test_a_task_of_an_array_keeps_to_itself(job, tmp_path, monkeypatch):
    """Its name for scontrol, and a folder of its own: the other tasks have the same settings."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "99")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    _, _, error = fitted(tmp_path, Sends())
    assert job.read_text() == "requeue 99_3\n" and error.path == str(tmp_path / "hpc_task_3" / "hpc_ckpt_1.ckpt")

    assert fitted(tmp_path, Sends(99))[0].ckpt_path == error.path
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    assert fitted(tmp_path, Sends(99))[0].ckpt_path is None


@pytest.mark.parametrize(
    ("code", "said"),
    [(1, "ended with code 1: Access denied"), (None, "there is no command `scontrol`")],
)
def test_a_queue_that_does_not_take_it_is_told(job, tmp_path, monkeypatch, code, said):
    """The warning names the reason and the checkpoint, from which a job that is submitted by hand goes on."""
    if code is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        scontrol(job.parent, code, "Access denied")
    with pytest.warns(UserWarning, match=rf"Job 4711 .*{said}.*Submit it again.*hpc_ckpt_1.ckpt"):
        _, _, error = fitted(tmp_path, Sends())

    assert error.code == 128 + signal.SIGUSR1
    assert fitted(tmp_path)[0].ckpt_path == error.path


def test_without_auto_requeue_it_saves_and_ends(job, tmp_path):
    """In Lightning the signal would kill it."""
    _, _, error = fitted(tmp_path, Sends(), plugins=SLURMEnvironment(auto_requeue=False))

    assert not job.exists() and Path(error.path).exists()
    assert fitted(tmp_path)[0].ckpt_path == error.path


def test_a_handler_of_the_program_is_left_alone(job, tmp_path):
    """It hears the signal, and training goes on."""
    heard = []
    signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        trainer, _, error = fitted(tmp_path, Sends())
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)

    assert heard == [signal.SIGUSR1] and error is None and trainer.global_step == 18 and not job.exists()


def test_outside_of_a_job_nothing_listens(tmp_path):
    """And no file of a job is taken up, unless it is asked for."""
    assert type(Trainer(**QUIET).strategy.cluster_environment) is LightningEnvironment
    during = []
    watch = type("Watch", (Callback,), {"on_train_start": lambda *a: during.append(signal.getsignal(signal.SIGUSR1))})
    fitted(tmp_path, watch())

    assert during == [signal.SIG_DFL]


def test_ctrl_c_wins(job, tmp_path):
    """Whoever is there to press it does not want the job again."""
    _, _, error = fitted(tmp_path, Sends(numbers=(signal.SIGUSR1, signal.SIGINT)))
    assert isinstance(error, KeyboardInterrupt) and not job.exists()


def test_a_run_that_was_complete_is_not_done_again(job, tmp_path):
    """The signal came when the last batch was over."""
    trainer, _, error = fitted(tmp_path, Sends(18, "on_train_end"))
    assert error is None and trainer.state.status == "finished" and not job.exists()


def test_a_second_signal_and_sigterm_do_not_disturb_the_end(job, tmp_path):
    """They come while loggers are closed; SLURM sends SIGTERM as soon as it has taken the job back."""

    class Slow(Statuses):
        def finalize(self, status):
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGTERM)
            super().finalize(status)

    logger = Slow()
    _, _, error = fitted(tmp_path, Sends(), logger=logger)

    assert isinstance(error, RequeueException) and logger.ends == ["finished"] and job.read_text() == "requeue 4711\n"


def test_workers_are_not_disturbed(job, tmp_path, capfd):
    """SLURM sends the signal to every process of the step."""
    others = set(multiprocessing.active_children())  # of loaders that nobody has collected yet

    class Everywhere(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 2:
                reached = set(multiprocessing.active_children()) - others
                assert len(reached) == 2
                for number in [*(each.pid for each in reached), os.getpid()]:
                    os.kill(number, signal.SIGUSR1)

    trainer = Trainer(max_epochs=2, callbacks=[Everywhere()], default_root_dir=tmp_path, **QUIET)
    loader = DataLoader(batches(6).dataset, batch_size=2, num_workers=2)
    with pytest.raises(RequeueException) as caught:
        trainer.fit(TinyModule(), loader)

    assert trainer.global_step == 2 and caught.value.path and job.read_text() == "requeue 4711\n"
    assert capfd.readouterr().err.count("time is up") <= 1


def test_the_search_for_a_rate_is_no_training(job, tmp_path):
    """What is saved is never the state of a trial: here nothing was trained, so the job begins anew."""

    class Sending(Noisy):
        def training_step(self, batch, batch_idx):
            if self.trainer.global_step == 3:
                os.kill(os.getpid(), signal.SIGUSR1)
            return super().training_step(batch, batch_idx)

    search = LearningRateFinder(num_training_steps=30)
    trainer, model = Trainer(max_epochs=3, callbacks=[search], default_root_dir=tmp_path, **QUIET), Sending()
    with pytest.raises(RequeueException) as caught:
        trainer.fit(model, batches(6))

    assert caught.value.path is None and not [*tmp_path.glob("hpc*")] and job.read_text() == "requeue 4711\n"
    assert torch.equal(model.layer.weight, TinyModule().layer.weight)


def test_a_job_whose_time_is_up_in_the_set_up_begins_again(job, tmp_path):
    """There is nothing to save yet, and the job must not be lost from the queue."""

    class Sets(TinyModule):
        def setup(self, stage):
            os.kill(os.getpid(), signal.SIGUSR1)

    with pytest.raises(RequeueException):
        Trainer(**{**QUIET, "logger": (logger := Statuses())}, default_root_dir=tmp_path).fit(Sets(), batches(4))

    assert job.read_text() == "requeue 4711\n" and logger.ends == ["finished"] and not [*tmp_path.glob("*.ckpt")]
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_a_sanity_check_leaves_nothing_to_save(job, tmp_path):
    class Early(Callback):
        def on_sanity_check_start(self, trainer, pl_module):
            os.kill(os.getpid(), signal.SIGUSR1)

    _, _, error = fitted(tmp_path, Early())
    assert error.path is None and job.read_text() == "requeue 4711\n"


def test_a_save_that_fails_does_not_go_into_the_queue(job, tmp_path):
    """The job would lose what it did, again and again."""
    (tmp_path / "full").write_text("")
    with pytest.raises(CheckpointError, match="hpc_ckpt_1.ckpt.* cannot be written"):
        fitted(tmp_path / "full", Sends())
    assert not job.exists()


def test_files_that_are_written_meanwhile_are_whole(job, tmp_path):
    """An asynchronous write is waited for before the job goes."""
    _, _, error = fitted(tmp_path, Sends(), plugins=AsyncCheckpointIO())
    assert Path(error.path).exists() and not [*tmp_path.glob("*.tmp")]
    assert fitted(tmp_path)[0].ckpt_path == error.path


# -- where a job goes on ---------------------------------------------------------------------------------------------


def test_the_newest_whole_file_is_taken(job, tmp_path):
    """By number, not by name; a damaged one is passed over, and its number is not given again."""
    _, _, error = fitted(tmp_path, Sends())
    content = Path(error.path).read_bytes()
    for number in (2, 10):
        (tmp_path / f"hpc_ckpt_{number}.ckpt").write_bytes(content)
    assert fitted(tmp_path)[0].ckpt_path == str(tmp_path / "hpc_ckpt_10.ckpt")

    (tmp_path / "hpc_ckpt_10.ckpt").write_bytes(content[:-40])
    with pytest.warns(UserWarning, match="hpc_ckpt_10.ckpt' is damaged or cut short"):
        trainer, _, error = fitted(tmp_path, Sends(6))
    assert trainer.ckpt_path == str(tmp_path / "hpc_ckpt_2.ckpt")
    assert error.path == str(tmp_path / "hpc_ckpt_11.ckpt")


def test_it_comes_before_the_path_that_the_job_began_with(job, tmp_path, monkeypatch):
    """A requeued job is started with the same words. Those of another job begin where they say."""
    first, _, _ = fitted(tmp_path, max_epochs=1)
    first.save_checkpoint(tmp_path / "start.ckpt")
    _, _, error = fitted(tmp_path, Sends(8), path=tmp_path / "start.ckpt")
    assert fitted(tmp_path, path=tmp_path / "start.ckpt")[0].ckpt_path == error.path

    monkeypatch.setenv("SLURM_JOB_ID", "4712")
    assert fitted(tmp_path, path=tmp_path / "start.ckpt")[0].ckpt_path == tmp_path / "start.ckpt"
    with pytest.warns(UserWarning, match="written by job 4711; this is job 4712"):
        assert fitted(tmp_path)[0].ckpt_path == error.path


def test_last_is_whatever_is_newest(job, tmp_path):
    kept = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=2, save_last=True)
    _, _, error = fitted(tmp_path, kept, Sends(5), enable_checkpointing=True)
    os.utime(error.path, (time.time() + 5,) * 2)
    after = ModelCheckpoint(tmp_path / "kept", save_last=True)
    assert fitted(tmp_path, after, path="last", enable_checkpointing=True)[0].ckpt_path == error.path

    os.utime(error.path, (1, 1))
    trainer, _, _ = fitted(tmp_path, ModelCheckpoint(tmp_path / "kept"), path="last", enable_checkpointing=True)
    assert Path(trainer.ckpt_path).parent == tmp_path / "kept"


def test_the_word_hpc_works_everywhere(job, tmp_path, monkeypatch):
    """In another fit and another verb, also outside of a job."""
    with pytest.raises(ValueError, match="hpc_ckpt_N.ckpt"):
        Trainer(default_root_dir=tmp_path, **QUIET).test(TinyModule(), batches(1), ckpt_path="hpc")
    _, _, error = fitted(tmp_path, Sends())
    for name in JOB:
        monkeypatch.delenv(name)

    trainer, _, _ = fitted(tmp_path, path="hpc")
    assert trainer.ckpt_path == error.path and trainer.global_step == 18
    trainer.test(TinyModule(), batches(1), ckpt_path="hpc", verbose=False)
    assert trainer.ckpt_path == error.path
    assert fitted(tmp_path)[0].ckpt_path is None


def test_a_second_fit_and_a_test_do_not_go_back(job, tmp_path):
    """Only the first fit of a Trainer goes on from the file by itself."""
    _, _, error = fitted(tmp_path, Sends())
    trainer, model, _ = fitted(tmp_path)
    trainer.test(model, batches(1), verbose=False)
    assert trainer.ckpt_path is None

    trainer.plan = trainer.plan.__class__(**{**vars_of(trainer.plan), "max_epochs": 4})
    trainer.fit(model, batches(6))
    assert trainer.ckpt_path is None and trainer.global_step == 24


def vars_of(plan):
    return {name: getattr(plan, name) for name in plan.__dataclass_fields__}
