"""The decisions of a run, and how a change of one reaches it."""

import dataclasses

import pytest

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.progress import Progress
from fulgurite.runtime.plan import Plan
from fulgurite.testing import QUIET


def test_a_plan_cannot_be_changed():
    """A change makes another plan, so that no loop sees half of one."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Plan().max_epochs = 3


def test_ends():
    """By epochs and by optimizer steps; -1 never ends."""
    done = Progress(epochs_processed=3, global_step=10)
    assert Plan(max_epochs=3).epochs_are_over(done) and not Plan(max_epochs=4).epochs_are_over(done)
    assert Plan(max_steps=10).steps_are_over(done) and not Plan(max_steps=11).steps_are_over(done)
    assert not Plan(max_epochs=-1, max_steps=-1).epochs_are_over(done) and not Plan().steps_are_over(done)
    assert Plan(min_epochs=3, min_steps=10).may_stop_early(done)
    assert not Plan(min_epochs=4).may_stop_early(done) and not Plan(min_steps=11).may_stop_early(done)


def test_cadences():
    """Epochs with a validation, epochs with fresh loaders, windows with a row."""
    assert [epoch for epoch in range(6) if Plan(check_val_every_n_epoch=2).validates_in_epoch(epoch)] == [1, 3, 5]
    assert all(Plan(check_val_every_n_epoch=None).validates_in_epoch(epoch) for epoch in range(3))
    assert [age for age in range(4) if Plan(reload_dataloaders_every_n_epochs=2).reloads(age)] == [2, 3]
    assert not any(Plan().reloads(age) for age in range(4))
    assert [count for count in range(1, 7) if Plan(log_every_n_steps=3).logs_after(count)] == [3, 6]
    assert not any(Plan(log_every_n_steps=0).logs_after(count) for count in range(4))


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("max_epochs", 5, 5), ("max_steps", 7, 7), ("limit_val_batches", None, 1.0), ("limit_train_batches", 0.5, 0.5),
        ("num_sanity_val_steps", -1, float("inf")), ("num_sanity_val_steps", float("inf"), float("inf")),
        ("val_check_interval", 0.25, 0.25), ("val_check_interval", 3, 3), ("gradient_clip_val", 0.5, 0.5),
        ("gradient_clip_val", None, None), ("check_val_every_n_epoch", 2, 2), ("min_epochs", None, None),
    ],
)  # fmt: skip
def test_changes_through_the_trainer(name, value, kept):
    """They are kept as the constructor would have kept them."""
    trainer = Trainer(max_epochs=1, **QUIET)
    setattr(trainer, name, value)

    assert getattr(trainer, name) == kept == getattr(trainer.plan, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epochs", -2), ("max_epochs", None), ("max_steps", None), ("limit_val_batches", 1.5),
        ("val_check_interval", 1.5), ("check_val_every_n_epoch", 0), ("check_val_every_n_epoch", None),
        ("accumulate_grad_batches", 0), ("gradient_clip_val", "1"), ("log_every_n_steps", -1),
        ("num_sanity_val_steps", -2),
    ],
)  # fmt: skip
def test_wrong_changes_are_refused_and_change_nothing(name, value):
    """With the constructor's words."""
    trainer = Trainer(max_epochs=1, **QUIET)
    before = trainer.plan

    with pytest.raises((MisconfigurationException, TypeError), match=name):
        setattr(trainer, name, value)
    assert trainer.plan is before


def test_a_time_interval_can_take_the_place_of_a_count():
    """And the other way round."""
    trainer = Trainer(max_epochs=1, **QUIET)
    trainer.val_check_interval = "00:00:01:00"
    assert trainer.plan.val_check_seconds == 60

    trainer.check_val_every_n_epoch = 2
    assert trainer.plan.val_check_seconds == 60
    trainer.val_check_interval = 5
    assert (trainer.plan.val_check_seconds, trainer.plan.val_check_interval) == (None, 5)
