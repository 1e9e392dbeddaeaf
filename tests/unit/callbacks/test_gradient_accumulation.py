"""GradientAccumulationScheduler: how many batches make a step, in which epoch."""

import pytest

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import Callback, GradientAccumulationScheduler, ModelCheckpoint
from support.resumed import Net, check_resume, quiet, rows


class Steps(Callback):
    """The step count at each epoch's end."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.seen.append(trainer.global_step)


def test_the_factor_of_an_epoch_is_that_of_the_last_one_named():
    """Before the first epoch that is named, every batch steps."""
    schedule = GradientAccumulationScheduler({2: 3, 5: 4})

    assert [schedule.get_accumulate_grad_batches(epoch) for epoch in range(7)] == [1, 1, 3, 3, 3, 4, 4]
    assert schedule.epochs == [0, 2, 5] and schedule.scheduling == {0: 1, 2: 3, 5: 4}
    assert schedule.going_to_accumulate_grad_batches()
    assert not GradientAccumulationScheduler({0: 1}).going_to_accumulate_grad_batches()


def test_a_second_fit_follows_the_schedule_as_well():
    """With the same trainer it goes on by epoch; another trainer begins anew, and nobody takes its factor for his."""
    schedule, steps = GradientAccumulationScheduler({0: 5, 2: 1}), Steps()
    trainer = quiet(schedule, steps, max_epochs=3)
    trainer.fit(Net(), rows())
    assert trainer.accumulate_grad_batches == 1

    trainer.max_epochs = 4
    trainer.fit(Net(), rows())
    quiet(schedule, steps, max_epochs=1).fit(Net(), rows())

    assert steps.seen == [1, 2, 7, 12, 1]


def test_a_run_goes_on_in_the_middle_of_the_schedule(tmp_path):
    """Whatever the epoch that a run is resumed in, its factor holds, and the weights come out the same."""
    alone = check_resume(lambda: GradientAccumulationScheduler({1: 2, 3: 3, 5: 1}), tmp_path)

    assert alone.global_step == 5 + 3 + 3 + 2 + 2 + 5


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path):
    """There is no start of the epoch to tell the factor, and it is right all the same."""
    save = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    quiet(GradientAccumulationScheduler({1: 2}), save, max_epochs=2, enable_checkpointing=True).fit(Net(), rows())
    steps = Steps()

    resumed = quiet(GradientAccumulationScheduler({1: 2}), steps, max_epochs=2)
    resumed.fit(Net(), rows(), ckpt_path=tmp_path / "step=6.ckpt")

    assert steps.seen == [8]


def test_the_trainer_is_given_back_after_an_error():
    """A fit that fails leaves no factor behind that would stand in the way of the next one."""

    class Broken(Net):
        def training_step(self, batch, batch_idx):
            raise ZeroDivisionError

    schedule = GradientAccumulationScheduler({0: 4})
    trainer = quiet(schedule, max_epochs=1)
    with pytest.raises(ZeroDivisionError):
        trainer.fit(Broken(), rows())

    trainer.fit(Net(), rows())

    assert trainer.global_step == 2


@pytest.mark.parametrize("scheduling", [{}, None, [1], 4])
def test_no_schedule_is_a_type_error(scheduling):
    with pytest.raises(TypeError, match=r"from epoch to number of batches, such as \{0: 4, 8: 1\}"):
        GradientAccumulationScheduler(scheduling)


@pytest.mark.parametrize(("scheduling", "told"), [
    ({-1: 2}, "epochs must be int, 0 or more, not -1"),
    ({1.5: 2}, "epochs must be int, 0 or more, not 1.5"),
    ({0: 0}, "factors must be int, 1 or more, not 0"),
    ({0: True}, "factors must be int, 1 or more, not True"),
])  # fmt: skip
def test_a_wrong_number_is_named(scheduling, told):
    with pytest.raises(MisconfigurationException, match=told):
        GradientAccumulationScheduler(scheduling)


def test_two_who_decide_are_refused():
    """Before anything runs; and the trainer keeps its own factor."""
    trainer = quiet(GradientAccumulationScheduler({0: 2}), max_epochs=1, accumulate_grad_batches=3)

    with pytest.raises(ValueError, match="accumulate_grad_batches=3 of the Trainer.*Leave one of them out"):
        trainer.fit(Net(), rows())

    assert (trainer.accumulate_grad_batches, trainer.global_step) == (3, 0)


def test_manual_optimisation_is_refused():
    class Manual(Net):
        automatic_optimization = False

    with pytest.raises(RuntimeError, match="manual optimization"):
        quiet(GradientAccumulationScheduler({0: 2}), max_epochs=1).fit(Manual(), rows())


def test_hooks_that_run_less_often_are_named():
    """Who overrides the optimizer's hooks shall know that they are called once in a window."""

    class Own(Net):
        def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
            optimizer.zero_grad()

    with pytest.warns(UserWarning, match="Own overrides `optimizer_zero_grad`"):
        quiet(GradientAccumulationScheduler({0: 2}), max_epochs=1).fit(Own(), rows())
