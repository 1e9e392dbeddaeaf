"""Counters in Lightning's layout, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite import Callback, Trainer
from fulgurite.progress import Progress
from fulgurite.runtime.layout import exact_counters, loops_tree, read_progress
from fulgurite.testing import QUIET, TinyModule, batches


def progresses(trainer_arguments, number):
    """What a run's counters are at the end of each epoch and after it."""
    seen = []

    class Looks(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append(Progress(**exact_counters(trainer.progress)))

    trainer = Trainer(callbacks=Looks(), **QUIET, **trainer_arguments)
    trainer.fit(TinyModule(), batches(number))
    return [*seen, Progress(**exact_counters(trainer.progress))]


@pytest.mark.filterwarnings("ignore:You defined")
@given(number=st.integers(1, 5), epochs=st.integers(1, 3), accumulate=st.integers(1, 3))
def test_lightnings_tree_tells_where_a_run_was(number, epochs, accumulate):
    """Without our own key the counters that matter come out of the tree alone, settled; with it all, to the hook."""
    for progress in progresses({"max_epochs": epochs, "accumulate_grad_batches": accumulate}, number):
        tree = loops_tree(progress, automatic=True)
        read = read_progress({"loops": tree}, automatic=True)
        exact = read_progress({"loops": tree, "fulgurite": {"progress": exact_counters(progress)}}, automatic=True)

        assert read.global_step == exact.global_step == progress.global_step
        assert read.batches_that_stepped == exact.batches_that_stepped == progress.global_step
        assert exact == progress
        assert read.epoch == read.epochs_processed == progress.epochs_processed
        assert read.total_batch_idx == exact.total_batch_idx == progress.total_batch_idx


def test_counters_of_other_releases_are_passed_over():
    """A key that this release does not know is no error."""
    found = read_progress({"loops": {}, "fulgurite": {"progress": {"global_step": 3, "new_one": 1}}}, automatic=True)

    assert found.global_step == 3


@pytest.mark.filterwarnings("ignore:You defined")
def test_third_party_views_agree():
    """``trainer.fit_loop`` and below show the same counters under Lightning's names."""
    trainer = Trainer(max_epochs=2, accumulate_grad_batches=2, **QUIET)
    trainer.fit(TinyModule(), batches(3))
    loop = trainer.fit_loop

    assert loop.epoch_loop.global_step == trainer.global_step == 4
    assert loop.epoch_loop._batches_that_stepped == 4
    assert (loop.epoch_loop.batch_idx, loop.epoch_loop.total_batch_idx, loop.batch_idx) == (2, 5, 2)
    assert (loop.epoch_loop.batch_progress.current.completed, loop.epoch_loop.batch_progress.total.ready) == (3, 6)
    assert loop.epoch_loop.batch_progress.is_last_batch
    assert loop.epoch_progress.current.processed == 2 and loop.max_batches == 3
    assert trainer.validate_loop.num_dataloaders == 0
