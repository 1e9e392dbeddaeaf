"""Questions about where training is that several callbacks ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fulgurite.base.rank import rank_zero_warn

if TYPE_CHECKING:
    from fulgurite.core.callback import Callback
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


def was_asked_to_end(trainer: Trainer) -> bool:
    """Whether Ctrl-C or SIGTERM ends this fit, at a place from which it can go on exactly."""
    return bool(trainer.ended_as_asked)


def is_training(trainer: Trainer) -> bool:
    """Whether this is a real ``fit``, its validation included, and no trial of one."""
    return trainer.state.fn == "fit" and not trainer.sanity_checking and not trainer.fast_dev_run


def warn_of_weights_only(trainer: Trainer, callback: Callback, what: str) -> None:
    """Say it where files of weights alone, which callbacks have no say in, will hold ``what``."""
    if any(getattr(saver, "save_weights_only", False) for saver in trainer.checkpoint_callbacks):
        rank_zero_warn(
            f"ModelCheckpoint(save_weights_only=True) beside {type(callback).__name__}: these files hold {what}. "
            "Leave save_weights_only out."
        )
