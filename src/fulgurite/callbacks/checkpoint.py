"""The mark by which the trainer knows callbacks that write checkpoints."""

from fulgurite.core.callback import Callback


class Checkpoint(Callback):
    """Subclass this to write checkpoints your own way.

    The trainer counts such callbacks as checkpointing (``trainer.checkpoint_callbacks``), adds no default
    ``ModelCheckpoint`` beside them, and runs their ``on_train_epoch_end`` last.
    """

    runs_after_module = True
