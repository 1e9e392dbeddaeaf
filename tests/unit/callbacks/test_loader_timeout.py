"""Loaders that give no batch any more, in this process and in workers, and what the error says of them."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from fulgurite import Trainer
from fulgurite.base.errors import LoaderTimeoutError, MisconfigurationException
from fulgurite.callbacks import LoaderTimeout, ModelCheckpoint
from fulgurite.runtime.watch import SIGNAL
from fulgurite.testing import QUIET, TinyModule, batches
from support.faulty import Attempt, Faulty, Net, broken_and_resumed, hanging, left_behind

pytestmark = pytest.mark.filterwarnings("ignore:There is a `validation_step`", "ignore:The .* workers of the train")


def limit():
    return LoaderTimeout(0.3)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_hangs(workers, tmp_path):
    """The error comes in time, says who waits and where, and nothing is lost: a run that goes on ends the same."""
    begun = time.monotonic()
    broken = broken_and_resumed(tmp_path, hanging, callbacks=lambda: [limit()], workers=workers)

    assert time.monotonic() - begun < 10
    assert type(broken.error) is LoaderTimeoutError and isinstance(broken.error, TimeoutError)
    said = str(broken.error)
    assert said.startswith("The train dataloader gave no batch for 0.3 s") and "(MainThread):" in said
    assert "in hanging" in said
    source = r"worker [01], one of the samples .*\b17\b" if workers else "sample 17"
    assert re.match(
        rf"While batch \d of the train dataloader was fetched \({source}.*\): epoch 0, step \d.", broken.notes[0]
    )
    assert len(broken.notes) == 1
    if workers:
        assert len(re.findall(r"Worker \d \(pid \d+\) is sleeping", said)) == 2
        assert "in __getitem__" in said and "_worker_loop" not in said


def test_what_a_worker_did_before_it_was_asked():
    """A worker that hangs sleeps; writing its stack, as it is asked to, is not what it was doing."""
    loader = DataLoader(Faulty(hanging, at=0), 3, num_workers=1)
    said = []

    class Asked(LoaderTimeout):
        def setup(self, trainer, pl_module, stage):
            super().setup(trainer, pl_module, stage)
            once = self._watch._said

            def often():
                for _ in range(50):
                    said.append(once())
                    time.sleep(0.05)
                return said[-1]

            self._watch._said = often

    with pytest.raises(LoaderTimeoutError):
        Trainer(max_epochs=1, callbacks=Asked(0.3), **QUIET).fit(Net(), loader)

    assert ["Worker 0 (pid" in text and ") is sleeping" in text for text in said] == [True] * 50


def test_a_checkpoint_callback_saves_without_being_asked(tmp_path):
    """As after Ctrl-C: the last whole batch is in the file, and nobody had to set save_on_exception."""
    saves = ModelCheckpoint(tmp_path, save_last=True)
    trainer = Trainer(callbacks=[limit(), saves], max_epochs=1, **{**QUIET, "enable_checkpointing": True})

    with pytest.raises(LoaderTimeoutError):
        trainer.fit(Net(), DataLoader(Faulty(hanging), 3))

    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["global_step"] == trainer.global_step == 5


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_every_verb_is_watched(verb):
    """And the loader is named."""
    loaders = [batches(2), DataLoader(Faulty(hanging, at=3), 2)]

    class Module(TinyModule):
        def forward(self, batch):
            return self.layer(torch.ones(1, 4, device=self.device))

        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return batch

    with pytest.raises(LoaderTimeoutError) as caught:
        getattr(Trainer(callbacks=limit(), **QUIET), verb)(Module(), loaders)

    assert "dataloader 1 was fetched (sample 3)" in caught.value.__notes__[0]


def test_a_stream_that_hangs_before_its_first_batch():
    """The start of a pass is watched as well."""

    class Stream(IterableDataset):
        def __iter__(self):
            hanging()
            yield

    with pytest.raises(LoaderTimeoutError) as caught:
        Trainer(max_epochs=1, callbacks=limit(), **QUIET).fit(TinyModule(), DataLoader(Stream(), 1))

    assert caught.value.__notes__ == ["While batch 0 of the train dataloader was fetched: epoch 0, step 0."]


def test_torchs_own_timeout_says_what_the_workers_do(tmp_path):
    """DataLoader(timeout=...) needs no callback; its error gets the same notes."""
    broken = broken_and_resumed(tmp_path, hanging, workers=2, loader={"timeout": 0.5})

    assert type(broken.error) is RuntimeError and "timed out after 0.5 seconds" in str(broken.error)
    assert re.match(r"While batch \d of the train dataloader was fetched \(worker [01], one of", broken.notes[0])
    assert len(re.findall(r"worker \d \(pid \d+\) is sleeping", broken.notes[1])) == 2


def test_slow_steps_and_validations_are_not_the_loaders():
    """Only waits for a batch count."""

    class Slow(TinyModule):
        def training_step(self, batch, batch_idx):
            time.sleep(0.3)
            return super().training_step(batch, batch_idx)

        def on_validation_epoch_end(self):
            time.sleep(0.3)

    trainer = Trainer(max_epochs=1, callbacks=LoaderTimeout(0.2), **QUIET)
    trainer.fit(Slow(), batches(2), batches(1))

    assert trainer.state.status == "finished"


def test_workers_that_stay_are_ended_and_the_loader_works_again():
    """With persistent workers; the loader's own worker_init_fn is called, and is its own again afterwards."""
    loader = DataLoader(Faulty(hanging), 3, num_workers=1, persistent_workers=True, worker_init_fn=named)
    with pytest.raises(LoaderTimeoutError, match="in hanging"):
        Trainer(max_epochs=1, callbacks=limit(), **QUIET).fit(Net(), loader)
    assert left_behind() == [] and loader.worker_init_fn is named

    loader.dataset.act = has_name
    trainer = Trainer(max_epochs=2, callbacks=limit(), **QUIET)
    trainer.fit(Net(), loader)

    assert trainer.global_step == 16


def named(number):
    os.environ["FAULTY_WORKER"] = str(number)


def has_name():
    assert os.environ["FAULTY_WORKER"] == "0"


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_of_the_watch(fails):
    """No thread, no signal handler."""
    before = signal.getsignal(SIGNAL)
    trainer = Trainer(max_epochs=1, callbacks=limit(), **QUIET)
    if fails:
        with pytest.raises(LoaderTimeoutError):
            trainer.fit(Net(), DataLoader(Faulty(hanging), 3))
    else:
        trainer.fit(TinyModule(), batches())

    assert signal.getsignal(SIGNAL) is before
    assert "LoaderTimeout" not in [thread.name for thread in threading.enumerate()]


def test_a_signal_of_the_programs_own_is_left_alone():
    """The wait then ends as soon as Python runs again."""

    def mine(number, frame):
        raise AssertionError

    def dozing():
        for _ in range(300):
            time.sleep(0.1)

    signal.signal(SIGNAL, mine)
    try:
        with pytest.raises(LoaderTimeoutError, match="gave no batch for 0.3 s"):
            Trainer(max_epochs=1, callbacks=limit(), **QUIET).fit(Net(), DataLoader(Faulty(dozing), 3))
        assert signal.getsignal(SIGNAL) is mine
    finally:
        signal.signal(SIGNAL, signal.SIG_DFL)


def test_a_fit_in_another_thread():
    """No signal reaches it; it hears when Python runs again."""
    seen = []

    def dozing():
        for _ in range(300):
            time.sleep(0.1)

    def run():
        try:
            Trainer(max_epochs=1, callbacks=limit(), **QUIET).fit(Net(), DataLoader(Faulty(dozing), 3))
        except LoaderTimeoutError as error:
            seen.append(error)

    thread = threading.Thread(target=run, name="mine")
    thread.start()
    thread.join(20)

    assert not thread.is_alive() and "(mine)" in str(seen[0]) and "in dozing" in str(seen[0])
    assert "sample 17" in seen[0].__notes__[0]


def test_a_dataset_that_catches_everything_may_go_on():
    """One that tries again is told again; here the second row comes, and so training ends well."""
    calls = []

    def stubborn():
        try:
            calls.append(time.monotonic())
            time.sleep(60)
        except Exception:
            calls.append("caught")

    trainer = Trainer(max_epochs=1, callbacks=limit(), **QUIET)
    trainer.fit(Net(), DataLoader(Faulty(stubborn), 3))

    assert calls[1:] == ["caught"] and trainer.global_step == 8


@pytest.mark.parametrize(
    ("given", "seconds"), [(3, 3.0), (0.5, 0.5), (timedelta(minutes=2), 120.0), ("00:00:01:30", 90.0)]
)
def test_spans_that_are_understood(given, seconds):
    assert LoaderTimeout(given).seconds == seconds


@pytest.mark.parametrize("given", [0, -1, float("inf"), float("nan"), True, None, "soon", timedelta(0)])
def test_spans_that_are_refused(given):
    """When it is made, with what would do."""
    with pytest.raises(MisconfigurationException, match="LoaderTimeout\\(seconds"):
        LoaderTimeout(given)


DEAF = textwrap.dedent(
    """
    import signal, sys, time
    from torch.utils.data import DataLoader
    from fulgurite import Trainer
    from fulgurite.callbacks import LoaderTimeout, ModelCheckpoint
    from fulgurite.runtime import watch
    from fulgurite.testing import QUIET
    from support.faulty import Faulty, Net
    from support.observed import Noted

    class Said(Noted):
        def finalize(self, status):
            print("finalized", status, flush=True)

    def deaf():
        signal.pthread_sigmask(signal.SIG_BLOCK, [watch.SIGNAL])
        time.sleep(300)

    watch.GRACE = 1.0
    saves = ModelCheckpoint(sys.argv[1], save_last=True)
    quiet = {**QUIET, "enable_checkpointing": True, "logger": Said()}
    trainer = Trainer(max_epochs=1, callbacks=[LoaderTimeout(0.3), saves], **quiet)
    trainer.fit(Net(), DataLoader(Faulty(deaf), 3))
    """
)


@pytest.mark.slow
def test_a_wait_that_nothing_can_interrupt(tmp_path):
    """The process says so, saves, closes the loggers and ends with exit code 1."""
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DEAF, str(tmp_path)], env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 1, done.stderr
    assert "finalized failed" in done.stdout
    assert "gave no batch for 0.3 s" in done.stderr and "in deaf" in done.stderr
    assert "While batch 5 of the train dataloader was fetched" in done.stderr and "can't be interrupted" in done.stderr
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 5


def test_a_validation_that_hangs_goes_on_from_its_beginning(tmp_path):
    """The file is that of a run in whose validation Ctrl-C was pressed."""
    hang = tmp_path / "hang"
    hang.touch()

    def run(**arguments):
        saves = ModelCheckpoint(tmp_path / "kept", save_last=True)
        trainer = Trainer(callbacks=[limit(), saves], max_epochs=1, **{**QUIET, "enable_checkpointing": True})
        trainer.fit(Net(), DataLoader(Faulty(), 3), DataLoader(Faulty(hanging, armed=str(hang)), 3), **arguments)
        return trainer

    # The sanity check sees its first batches only.
    with pytest.raises(LoaderTimeoutError, match="The val dataloader"):
        run()
    hang.unlink()
    trainer = run(ckpt_path=tmp_path / "kept" / "last.ckpt")

    assert trainer.global_step == 8 and "val_loss" in trainer.callback_metrics


def test_nothing_surrounds_a_wait_that_nobody_watches():
    """A silent run has no wrapper around its loaders; test_frames counts its calls."""
    trainer = Trainer(max_epochs=1, **QUIET)
    trainer.fit(TinyModule(), batches())

    assert trainer._session.waits is None


def test_an_attempt_that_does_not_hang_ends_as_without_it(tmp_path):
    """The watch draws no random numbers and changes no order."""
    watched, alone = Attempt(tmp_path / "a", callbacks=[limit()], workers=1), Attempt(tmp_path / "b", workers=1)

    assert torch.equal(watched.module.net[0].weight, alone.module.net[0].weight)
