"""Timer: how long it was, and when it ends."""

import time
from datetime import timedelta

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint, Timer
from fulgurite.core.logger import DummyLogger
from support.counted import Counted, fit


class Slow(Counted):
    """Takes a twentieth of a second per batch."""

    def training_step(self, batch, batch_idx):
        time.sleep(0.05)
        return super().training_step(batch, batch_idx)


def test_a_duration_ends_training_in_mid_epoch(tmp_path):
    """After the step in which time was up; with ``interval="epoch"``, after that epoch."""
    span = timedelta(seconds=0.12)

    assert fit(tmp_path, Timer(span), model=Slow(), val=False, max_epochs=9).global_step in (2, 3, 4)
    assert fit(tmp_path, Timer(span, interval="epoch"), model=Slow(), val=False, max_epochs=9).global_step == 5


def test_min_epochs_go_first(tmp_path):
    """A time limit cannot cut below what must be trained; it is told once."""
    trainer = fit(tmp_path, Timer(timedelta(seconds=0.01)), model=Slow(), max_epochs=9, min_epochs=2)

    assert trainer.current_epoch == 2


def test_max_time_of_the_trainer(tmp_path):
    """It adds a Timer."""
    assert fit(tmp_path, model=Slow(), max_time={"seconds": 0.01}, max_epochs=9).global_step == 1


def test_stages_are_timed_apart(tmp_path):
    """Training, validation and test each have their start, end and span."""
    clock = Timer()
    trainer = fit(tmp_path, clock, max_epochs=1)
    assert clock.time_elapsed() >= clock.time_elapsed("validate") > 0
    assert clock.start_time() < clock.start_time("validate") < clock.end_time("validate") < clock.end_time()
    assert (clock.time_remaining(), clock.start_time("test"), clock.time_elapsed("test")) == (None, None, 0)

    still = clock.time_elapsed()
    trainer.predict(dataloaders=trainer.val_dataloaders)
    assert clock.time_elapsed() == still and clock.time_elapsed("predict") > 0

    with pytest.raises(ValueError, match="foo"):
        clock.time_elapsed("foo")


def test_time_before_a_resume_counts(tmp_path):
    """A run that was resumed with its time used up trains no step more."""
    first, keep = Timer(), ModelCheckpoint(tmp_path, "one")
    fit(tmp_path, first, keep, model=Slow(), val=False, max_epochs=1)
    resumed = Timer(timedelta(seconds=0.2))

    trainer = fit(tmp_path, resumed, val=False, max_epochs=5, ckpt_path=keep.best_model_path)

    assert trainer.global_step == 5
    assert resumed.time_elapsed() >= 0.25 and resumed.time_remaining() < 0
    assert [*first.state_dict()["time_elapsed"]] == ["train", "sanity_check", "validate", "test", "predict"]


class Ends(DummyLogger):
    """Notes how runs ended."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def finalize(self, status):
        self.ends.append(status)


def test_the_end_of_time_loses_nothing(tmp_path):
    """In mid-epoch, after a batch: validated, saved as it is, closed as a success, and no row or step is missing."""
    last, logger = ModelCheckpoint(tmp_path, monitor="val", save_last=True), Ends()
    model, ran = Slow(), []
    model.on_validation_end = lambda: ran.append(model.trainer.global_step)
    trainer = fit(tmp_path, last, model=model, max_time=timedelta(seconds=0.12), max_epochs=9, logger=logger)

    assert trainer.global_step in (1, 2, 3, 4) and trainer.state.status == "finished" and not trainer.interrupted
    assert logger.ends == ["success"] and ran[-1] == trainer.global_step
    kept = torch.load(last.last_model_path, "cpu", weights_only=False)
    assert kept["global_step"] == trainer.global_step
    assert all(torch.equal(kept["state_dict"][name], value) for name, value in model.state_dict().items())


def test_a_run_whose_time_is_up_can_be_given_more(tmp_path):
    """Begun again with the same limit it ends at once and leaves its file; with a higher one it trains on.

    The epoch that was cut counts as done, as in Lightning: the next one follows.
    """

    def run(seconds, path=None):
        saving = ModelCheckpoint(tmp_path, save_last=True)
        span = timedelta(seconds=seconds)
        return fit(tmp_path, saving, model=Slow(), val=False, max_time=span, max_epochs=3, ckpt_path=path)

    cut = run(0.12)
    assert 1 <= cut.global_step <= 4
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    again = run(0.12, "last")
    assert again.global_step == cut.global_step and again.state.status == "finished"
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert torch.equal(again.lightning_module.layer.weight, cut.lightning_module.layer.weight)

    more = run(60, "last")
    assert more.global_step == cut.global_step + 10
    timer = next(callback for callback in more.callbacks if isinstance(callback, Timer))
    assert timer.time_elapsed() > 0.12 + 0.05 * 10


def test_a_second_fit_starts_anew(tmp_path):
    """The clock of a Timer that is used again does not run backwards."""
    clock = Timer(timedelta(seconds=5))
    fit(tmp_path, clock, max_epochs=1)
    trainer = fit(tmp_path, clock, max_epochs=1)

    assert trainer.global_step == 5
    assert 0 < clock.time_elapsed() < 5


@pytest.mark.parametrize(
    ("options", "error"), [({"duration": "1:2"}, MisconfigurationException), ({"duration": 3}, TypeError)]
)
def test_durations_that_are_none(options, error):
    """The error names the argument."""
    with pytest.raises(error, match="Timer"):
        Timer(**options)


def test_intervals():
    """Step and epoch, nothing else."""
    with pytest.raises(MisconfigurationException, match="interval='hour'"):
        Timer(interval="hour")
