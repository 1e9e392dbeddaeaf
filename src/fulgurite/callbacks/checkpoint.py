"""The mark by which the trainer knows callbacks that write checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fulgurite.core.callback import Callback

if TYPE_CHECKING:
    from fulgurite.trainer import Trainer


class Checkpoint(Callback):
    """Subclass this to write checkpoints your own way.

    The trainer counts such callbacks as checkpointing (``trainer.checkpoint_callbacks``) and adds no default
    ``ModelCheckpoint`` beside them. Their ``on_train_batch_end``, ``on_validation_end`` and ``on_train_epoch_end`` run
    last, after the module's, so that what they save holds what everybody did.
    """

    runs_after_module = saves_checkpoints = True

    def folder(self, trainer: Trainer) -> str | None:
        """Where this callback writes under ``trainer``, for ``ckpt_path="last"``; None if it cannot tell."""
        return None
