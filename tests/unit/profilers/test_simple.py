"""SimpleProfiler: what it measures in a run, and what its report says."""

import re
import time

import pytest
import torch

from fulgurite import Callback, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.profilers import AdvancedProfiler, PassThroughProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from fulgurite.testing import QUIET, TinyModule, batches

pytestmark = pytest.mark.filterwarnings("ignore:There is a .validation_step.", "ignore:Profiler won.t be")


class Noting(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pass


class Slow:
    """Four batches, each 10 ms late."""

    def __len__(self):
        return 4

    def __iter__(self):
        for _ in range(4):
            time.sleep(0.01)
            yield torch.ones(2, 4)


def counts(profiler):
    return {name: len(durations) for name, durations in profiler.recorded_durations.items()}


def test_every_action_of_a_run_is_counted():
    """Steps, their parts, waits, hooks that somebody listens to; no hook that nobody does."""
    profiler = SimpleProfiler()
    trainer = Trainer(profiler=profiler, max_epochs=2, callbacks=[Noting()], **QUIET)

    trainer.fit(TinyModule(), batches(4), batches(2))

    found = counts(profiler)
    assert found["run_training_epoch"] == 2
    for action in (
        "run_training_batch",
        "[Strategy]SingleDeviceStrategy.training_step",
        "[Strategy]SingleDeviceStrategy.backward",
        "[LightningModule]TinyModule.optimizer_step",
        "[LightningModule]TinyModule.optimizer_zero_grad",
        "[_TrainingEpochLoop].train_dataloader_next",
        "[Callback]Noting.on_train_batch_end",
    ):
        assert found[action] == 8, action
    assert found["[_EvaluationLoop].val_next"] == found["[Strategy]SingleDeviceStrategy.validation_step"] == 2 + 2 * 2
    assert "[LightningModule]TinyModule.on_train_batch_end" not in found


def test_lbfgs_is_measured_as_it_steps():
    """An optimizer with a closure has its step around forward and backward."""

    class ByLBFGS(TinyModule):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), max_iter=2)

    profiler = SimpleProfiler()
    Trainer(profiler=profiler, max_epochs=1, **QUIET).fit(ByLBFGS(), batches(2))

    found, spent = counts(profiler), profiler.recorded_durations
    assert found["[LightningModule]ByLBFGS.optimizer_step"] == 2
    assert found["[Strategy]SingleDeviceStrategy.training_step"] == found["[Strategy]SingleDeviceStrategy.backward"] > 2
    assert sum(spent["[LightningModule]ByLBFGS.optimizer_step"]) > sum(spent["[Strategy]SingleDeviceStrategy.backward"])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_manual_optimisation_is_measured(precision):
    """The user's calls of backward and step are actions."""

    class ByHand(TinyModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(self.loss(batch))
            optimizer.step()

    profiler = SimpleProfiler()
    Trainer(profiler=profiler, precision=precision, max_epochs=1, **QUIET).fit(ByHand(), batches(3))

    found = counts(profiler)
    assert found["[Strategy]SingleDeviceStrategy.backward"] == 3
    assert found["optimizer_step"] == 3


def test_the_report_tells_the_wait_for_data_apart():
    """A loader that is slow is seen at the first glance."""
    profiler = SimpleProfiler()

    Trainer(profiler=profiler, max_epochs=1, **QUIET).fit(TinyModule(), Slow())

    said = re.search(r"Waited for training data: ([\d.]+) s of the training epochs' ([\d.]+) s, ([\d.]+)%",
                     profiler.summary())  # fmt: skip
    waited, epochs, share = map(float, said.groups())
    assert 0.04 <= waited <= epochs
    assert share == pytest.approx(100 * waited / epochs, abs=0.2)


def test_the_report_has_mean_calls_total_and_share():
    """The columns hold together, the longest action comes first, and the total is the whole run."""
    profiler = SimpleProfiler()
    Trainer(profiler=profiler, max_epochs=1, **QUIET).fit(TinyModule(), Slow())

    lines = profiler.summary().split("Percentage %  Action\n")[1].splitlines()[1:]
    rows = [line.split(maxsplit=4) for line in lines]
    total = rows.pop(0)
    assert total[4] == "Total" and int(total[1]) == sum(int(row[1]) for row in rows)
    assert [float(row[2]) for row in rows] == sorted((float(row[2]) for row in rows), reverse=True)
    for mean, calls, spent, share, _ in rows:
        assert float(mean) * int(calls) == pytest.approx(float(spent), rel=1e-3)
        assert float(share) == pytest.approx(100 * float(spent) / float(total[2]), rel=1e-2, abs=1e-3)


def test_a_short_report_has_means_and_totals_only():
    """``extended=False`` leaves the rest out."""
    profiler = SimpleProfiler(extended=False)
    with profiler.profile("one"):
        pass

    assert profiler.summary().splitlines()[2].split("  ")[-3:] == ["Mean duration (s)", "Total time (s)", "Action"]


def test_a_block_before_the_run_is_in_its_report():
    """Reports begin where the last one ended, not where the run began."""
    profiler = SimpleProfiler()
    with profiler.profile("read the data"):
        pass
    trainer = Trainer(profiler=profiler, max_epochs=1, **QUIET)

    trainer.fit(TinyModule(), batches(1))
    first = counts(profiler)
    trainer.test(TinyModule(), batches(1), verbose=False)

    assert "read the data" in first and "run_training_batch" in first
    assert "[_EvaluationLoop].test_next" in counts(profiler) and "run_training_batch" not in counts(profiler)


def test_an_action_may_contain_itself():
    """Both calls are recorded."""
    profiler = SimpleProfiler()
    with profiler.profile("walk"), profiler.profile("walk"):
        pass

    assert counts(profiler) == {"walk": 2}


def test_reports_of_one_name_stand_behind_one_another(tmp_path):
    """Nothing that a run before wrote is lost."""
    for _ in range(2):
        profiler = SimpleProfiler(dirpath=tmp_path / "new", filename="speed")
        Trainer(profiler=profiler, max_epochs=1, **QUIET).fit(TinyModule(), batches(1))

    assert [file.name for file in (tmp_path / "new").iterdir()] == ["fit-speed.txt"]
    assert (tmp_path / "new" / "fit-speed.txt").read_text().count("FIT Profiler Report") == 2


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path):
    """Before the first step, with the folder's name."""
    (tmp_path / "taken").write_text("")
    trainer = Trainer(profiler=SimpleProfiler(dirpath=tmp_path / "taken"), max_epochs=1, **QUIET)

    with pytest.raises(MisconfigurationException, match="taken"):
        trainer.fit(TinyModule(), batches(1))
    assert trainer.global_step == 0


def test_a_report_that_fails_does_not_fail_the_training(tmp_path):
    """A disk that is full at the end costs the report only."""

    class Full(SimpleProfiler):
        def summary(self):
            raise OSError("no space left on device")

    trainer = Trainer(profiler=Full(), max_epochs=1, **QUIET)
    with pytest.warns(UserWarning, match="no space left"):
        trainer.fit(TinyModule(), batches(1))
    assert trainer.state.status == "finished"


@pytest.mark.parametrize(
    ("word", "kind"), [("simple", SimpleProfiler), ("advanced", AdvancedProfiler), ("pytorch", PyTorchProfiler)]
)
def test_a_word_chooses_the_profiler(word, kind):
    """``Trainer(profiler="simple")`` and its kin."""
    assert type(Trainer(profiler=word, **QUIET).profiler) is kind


@pytest.mark.parametrize("wrong", ["simpel", "xla", 3, SimpleProfiler])
def test_other_profilers_are_refused(wrong):
    """The error names what is there."""
    with pytest.raises(MisconfigurationException, match="'simple', 'advanced', 'pytorch'"):
        Trainer(profiler=wrong, **QUIET)


def test_without_a_profiler_a_block_just_runs():
    """User code needs no question whether there is a profiler."""
    trainer = Trainer(**QUIET)

    with trainer.profiler.profile("anything"):
        ran = True

    assert ran and isinstance(trainer.profiler, PassThroughProfiler)


def test_a_profiler_of_ones_own_needs_start_and_stop():
    """Two methods are enough; it is told every action."""

    class Listing(Profiler):
        def __init__(self):
            super().__init__()
            self.begun, self.ended = [], []

        def start(self, action_name):
            self.begun.append(action_name)

        def stop(self, action_name):
            self.ended.append(action_name)

    profiler = Listing()
    Trainer(profiler=profiler, max_epochs=1, **QUIET).fit(TinyModule(), batches(2))

    assert profiler.begun.count("run_training_batch") == 2
    assert sorted(profiler.begun) == sorted(profiler.ended)
