"""Where a run is. Every counter here is checkpointed; nothing else counts."""

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """The counters of one Trainer. They outlive a single ``fit``, so that a second one goes on from here.

    A batch is *ready* once it is on the device, *processed* once its step is done, *completed* once
    ``on_train_batch_end`` has returned; an epoch is *processed* before and *completed* after its end hooks.
    """

    epoch: int = 0
    """Epochs completed; inside an epoch this is its index."""
    epochs_started: int = 0
    epochs_processed: int = 0

    batches_ready: int = 0
    """Batches of the current epoch; ``batches_ready - 1`` is the ``batch_idx`` of the running one."""
    batches_processed: int = 0
    batches_completed: int = 0
    batches_ended: int = 0
    """Those after which all was done that follows a batch: its row, its validation, its schedulers."""
    is_last_batch: bool = False

    global_step: int = 0
    """Calls of ``optimizer.step()``; with manual optimisation each optimizer counts."""
    batches_that_stepped: int = 0
    """Batches that closed an accumulation window: the x-axis of logged rows."""
    window_closed: bool = False
    """Whether the running batch closed a window that ``batches_that_stepped`` does not count yet."""
    windows_opened: int = 0
    """Calls of ``zero_grad`` by the automatic step."""
    scheduler_steps: int = 0

    earlier_batches: int = 0
    """Batches of all earlier epochs; the next three likewise."""
    earlier_steps: int = 0
    earlier_windows: int = 0
    earlier_scheduler_steps: int = 0

    val_batches: int = 0
    """Batches of the running or last validation."""
    val_batches_total: int = 0
    """Batches of all validations in this epoch."""
    validated_batch: int = -1
    """The batch, counted over all epochs, after which the last validation ran."""

    @property
    def total_batch_idx(self) -> int:
        """The index of the running batch over all epochs; -1 before the first."""
        return self.earlier_batches + self.batches_ready - 1

    @property
    def inside_epoch(self) -> bool:
        """Whether an epoch was begun and its end hooks have not run."""
        return self.epochs_started > self.epochs_processed

    def begin_fit(self) -> None:
        """Give up an epoch that an error broke off: it begins anew, under its own number."""
        self.batches_that_stepped += self.window_closed
        self.window_closed = False
        self.epoch = self.epochs_started = self.epochs_processed

    def begin_epoch(self) -> None:
        self.epochs_started += 1
        self.earlier_batches += self.batches_ready
        self.earlier_steps, self.earlier_windows = self.global_step, self.windows_opened
        self.earlier_scheduler_steps = self.scheduler_steps
        self.batches_ready = self.batches_processed = self.batches_completed = self.batches_ended = 0
        self.val_batches_total = 0
        self.is_last_batch = False
