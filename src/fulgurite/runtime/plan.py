"""What was decided before the run: how long, how often, how much. Read by the loops, written by nobody inside them."""

from dataclasses import dataclass

from fulgurite.progress import Progress
from fulgurite.runtime.loaders import INFINITE as INFINITE


@dataclass(frozen=True, slots=True)
class Plan:
    """The Trainer's arguments after validation. A change during a run makes a new Plan, read at the next decision."""

    max_epochs: int = 1000
    """-1 for no end."""
    min_epochs: int | None = None
    max_steps: int = -1
    """Optimizer steps; -1 for no end."""
    min_steps: int | None = None

    limit_train_batches: int | float = 1.0
    limit_val_batches: int | float = 1.0
    limit_test_batches: int | float = 1.0
    limit_predict_batches: int | float = 1.0
    overfit_batches: int | float = 0.0
    fast_dev_run: bool | int = False

    val_check_interval: int | float = 1.0
    """An int counts train batches, a float is a share of the epoch."""
    val_check_seconds: float | None = None
    """Validation by wall time, where that was asked for instead."""
    check_val_every_n_epoch: int | None = 1
    num_sanity_val_steps: int | float = 2

    accumulate_grad_batches: int = 1
    exact_accumulation: bool = False
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str | None = None

    log_every_n_steps: int = 50
    """0 writes no step rows."""
    reload_dataloaders_every_n_epochs: int = 0
    use_distributed_sampler: bool = True
    inference_mode: bool = True
    detect_anomaly: bool = False
    barebones: bool = False
    evaluation_rows_at_train_step: bool = True

    def limit_of(self, stage: str) -> int | float:
        """The limit of the stage "train", "val", "test" or "predict"."""
        return getattr(self, f"limit_{stage}_batches")

    def clips(self) -> bool:
        return self.gradient_clip_val is not None and self.gradient_clip_val > 0

    def epochs_are_over(self, progress: Progress) -> bool:
        return self.max_epochs != -1 and progress.epochs_processed >= self.max_epochs

    def steps_are_over(self, progress: Progress) -> bool:
        return self.max_steps != -1 and progress.global_step >= self.max_steps

    def may_stop_early(self, progress: Progress) -> bool:
        """Whether ``min_epochs`` and ``min_steps`` are behind us."""
        epochs_met = not self.min_epochs or progress.epochs_processed >= self.min_epochs
        return epochs_met and (not self.min_steps or progress.global_step >= self.min_steps)

    def validates_in_epoch(self, epoch: int) -> bool:
        every = self.check_val_every_n_epoch
        return every is None or (epoch + 1) % every == 0

    def reloads(self, epochs_since_load: int) -> bool:
        every = self.reload_dataloaders_every_n_epochs
        return every > 0 and epochs_since_load >= every

    def logs_after(self, batches_that_stepped: int) -> bool:
        """Whether a row is due once ``batches_that_stepped`` windows are closed."""
        every = self.log_every_n_steps
        return every > 0 and batches_that_stepped % every == 0
