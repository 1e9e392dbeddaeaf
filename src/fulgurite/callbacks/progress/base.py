"""What every progress bar knows: totals, descriptions, and the metrics to show. Subclass it for a bar of your own."""

from typing import TYPE_CHECKING, Any

from fulgurite.base.rank import warn_once
from fulgurite.core.callback import Callback

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer

    Total = int | float  # of batches; `inf` where nobody knows


class ProgressBar(Callback):
    """The base of progress bars. A subclass draws from the batch hooks, and says how it is switched off and on.

    If it overrides ``setup``, it calls ``super().setup(...)``.
    """

    sanity_check_description = "Sanity Checking"
    train_description = "Training"
    validation_description = "Validation"
    test_description = "Testing"
    predict_description = "Predicting"

    _trainer: "Trainer | None" = None
    _current_eval_dataloader_idx: int | None = None

    @property
    def trainer(self) -> "Trainer":
        if self._trainer is None:
            raise TypeError(f"{type(self).__name__} has no trainer yet: it is attached when a run begins.")
        return self._trainer

    @property
    def total_train_batches(self) -> "Total":
        """Batches in a training epoch; ``inf`` for a loader without length."""
        return self.trainer.num_training_batches

    @property
    def total_val_batches_current_dataloader(self) -> "Total":
        """Batches of the validation or sanity-check loader that runs now."""
        sanity = self.trainer.sanity_checking
        return self._total_of(self.trainer.num_sanity_val_batches if sanity else self.trainer.num_val_batches)

    @property
    def total_test_batches_current_dataloader(self) -> "Total":
        return self._total_of(self.trainer.num_test_batches)

    @property
    def total_predict_batches_current_dataloader(self) -> "Total":
        return self._total_of(self.trainer.num_predict_batches)

    @property
    def total_val_batches(self) -> "Total":
        """Batches of all validation loaders in this epoch; 0 if it has no validation."""
        every = self.trainer.check_val_every_n_epoch
        skips = every is not None and (self.trainer.current_epoch + 1) % every != 0
        return 0 if skips else sum(self.trainer.num_val_batches)

    def _total_of(self, batches: "Total | list[Total]") -> "Total":
        return batches[self._current_eval_dataloader_idx or 0] if isinstance(batches, list) else batches

    def has_dataloader_changed(self, dataloader_idx: int) -> bool:
        """Whether another evaluation loader has begun since the last question."""
        changed = self._current_eval_dataloader_idx != dataloader_idx
        self._current_eval_dataloader_idx = dataloader_idx
        return changed

    def reset_dataloader_idx_tracker(self) -> None:
        """Forget which evaluation loader ran."""
        self._current_eval_dataloader_idx = None

    @property
    def is_enabled(self) -> bool:
        """Whether the module's ``print`` shall come here."""
        return True

    def disable(self) -> None:
        """Show nothing from now on; called on every rank but the first."""
        raise NotImplementedError(f"{type(self).__name__}.disable must switch the bar off.")

    def enable(self) -> None:
        """Show again."""
        raise NotImplementedError(f"{type(self).__name__}.enable must switch the bar on.")

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print without tearing the bar; ``self.print`` of the module comes here."""
        print(*args, **kwargs)

    def setup(self, trainer: "Trainer", pl_module: "LightningModule", stage: str) -> None:
        self._trainer = trainer
        if not trainer.is_global_zero:
            self.disable()

    def get_metrics(self, trainer: "Trainer", pl_module: "LightningModule") -> dict[str, int | str | float]:
        """What stands behind the bar: the run's version and all that was logged with ``prog_bar=True``.

        Override it to add or remove entries. Called when a redraw is due, not at every step.
        """
        standard = get_standard_metrics(trainer)
        logged = trainer.progress_bar_metrics
        if twice := sorted(standard.keys() & logged.keys()):
            warn_once(f"The progress bar shows {', '.join(twice)} itself; your value of that name takes its place.")
        return {**standard, **logged}


def get_standard_metrics(trainer: "Trainer") -> dict[str, int | str]:
    """``v_num``: the first logger's version, names cut to their last four characters."""
    version = trainer.loggers[0].version if trainer.loggers else None
    if version is None or version == "":
        return {}
    return {"v_num": version[-4:] if isinstance(version, str) else version}
