"""Read-only views of a run under the names that Lightning's loops have, for code that reaches into them."""

from typing import Any

from fulgurite.runtime.data import open_train_feed


class Counts:
    """One pair or quadruple of counters."""

    def __init__(self, ready: int, completed: int, started: int, processed: int) -> None:
        self.ready, self.completed, self.started, self.processed = ready, completed, started, processed


class BatchProgress:
    """``trainer.fit_loop.epoch_loop.batch_progress``."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress

    @property
    def current(self) -> Counts:
        own = self._progress
        return Counts(own.batches_ready, own.batches_completed, own.batches_ready, own.batches_processed)

    @property
    def total(self) -> Counts:
        own, now = self._progress.earlier_batches, self.current
        return Counts(own + now.ready, own + now.completed, own + now.started, own + now.processed)

    @property
    def is_last_batch(self) -> bool:
        return self._progress.is_last_batch


class EpochProgress:
    """``trainer.fit_loop.epoch_progress``."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress

    @property
    def current(self) -> Counts:
        own = self._progress
        return Counts(own.epochs_started, own.epoch, own.epochs_started, own.epochs_processed)

    total = current


class EpochLoop:
    """``trainer.fit_loop.epoch_loop``."""

    def __init__(self, trainer: Any) -> None:
        self._trainer, self._progress = trainer, trainer.progress
        self.batch_progress = BatchProgress(self._progress)

    @property
    def _batches_that_stepped(self) -> int:
        return self._progress.batches_that_stepped

    @property
    def global_step(self) -> int:
        return self._progress.global_step

    @property
    def batch_idx(self) -> int:
        return self._progress.batches_ready - 1

    @property
    def total_batch_idx(self) -> int:
        return self._progress.total_batch_idx

    @property
    def val_loop(self) -> "EvaluationLoop":
        return self._trainer.validate_loop


class FitLoop:
    """``trainer.fit_loop``. Limits can be set here; they reach the next decision."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self.epoch_loop = EpochLoop(trainer)
        self.epoch_progress = EpochProgress(trainer.progress)

    @property
    def max_epochs(self) -> int:
        return self._trainer.max_epochs

    @max_epochs.setter
    def max_epochs(self, epochs: int) -> None:
        self._trainer.max_epochs = epochs

    @property
    def min_epochs(self) -> int | None:
        return self._trainer.min_epochs

    @min_epochs.setter
    def min_epochs(self, epochs: int | None) -> None:
        self._trainer.min_epochs = epochs

    @property
    def max_steps(self) -> int:
        return self._trainer.max_steps

    @max_steps.setter
    def max_steps(self, steps: int) -> None:
        self._trainer.max_steps = steps

    @property
    def min_steps(self) -> int | None:
        return self._trainer.min_steps

    @min_steps.setter
    def min_steps(self, steps: int | None) -> None:
        self._trainer.min_steps = steps

    def setup_data(self) -> None:
        """Fetch the training data now rather than when the first epoch begins."""
        open_train_feed(self._trainer._session)

    @property
    def total_batch_idx(self) -> int:
        return self.epoch_loop.total_batch_idx

    @property
    def batch_idx(self) -> int:
        return self.epoch_loop.batch_idx

    @property
    def max_batches(self) -> int | float:
        return self._trainer.num_training_batches


class EvaluationLoop:
    """``trainer.validate_loop``, ``trainer.test_loop``, ``trainer.predict_loop``."""

    def __init__(self, trainer: Any, stage: str) -> None:
        self._trainer, self._stage = trainer, stage

    @property
    def num_dataloaders(self) -> int:
        return len(self.max_batches)

    @property
    def max_batches(self) -> list[int | float]:
        return self._trainer._sizes(self._stage)

    @property
    def predictions(self) -> list[Any]:
        return self._trainer._predictions

    @property
    def current_batch_indices(self) -> list[int]:
        """The rows of the data set in the batch to predict, where a prediction writer needs them; else empty."""
        session = self._trainer._session
        return [] if session is None else session.batch_indices
