"""Questions about where training is that several callbacks ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulgurite.trainer import Trainer


def has_validation(trainer: Trainer) -> bool:
    """Whether there are validation batches in this fit."""
    return sum(trainer.num_val_batches) > 0


def every_epoch_ends_in_validation(trainer: Trainer) -> bool:
    """Whether validation, if there is any, is asked for at the end of each training epoch and nowhere else."""
    return trainer.check_val_every_n_epoch == 1 and trainer.val_check_interval == 1.0


def epochs_end_validated(trainer: Trainer) -> bool:
    """Whether the end of a training epoch sees all metrics: each one is validated there, or there is no validation."""
    return not has_validation(trainer) or every_epoch_ends_in_validation(trainer)


def is_training(trainer: Trainer) -> bool:
    """Whether this is a real ``fit``, its validation included, and no trial of one."""
    return trainer.state.fn == "fit" and not trainer.sanity_checking and not trainer.fast_dev_run
