"""Bars that are redrawn by the clock: a step costs one comparison, whatever the bar shows."""

import math
import os
import sys
from abc import abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Any

from fulgurite.base.optional import available
from fulgurite.callbacks.progress.base import ProgressBar

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer

SHORTEST_WAIT = 0.1  # seconds between two redraws in a terminal: what an eye can follow
PLAIN_WAIT = 20.0  # seconds between two lines in a log file
PLAIN_EPOCH_WAIT = 1.0  # an epoch that ends sooner after the last line gets no line of its own

# Stage: the names of the properties that hold its description and its total.
EVALUATIONS = {
    "sanity": ("sanity_check_description", "total_val_batches_current_dataloader"),
    "validation": ("validation_description", "total_val_batches_current_dataloader"),
    "test": ("test_description", "total_test_batches_current_dataloader"),
    "predict": ("predict_description", "total_predict_batches_current_dataloader"),
}


class TimedProgressBar(ProgressBar):
    """Hooks, counts and the clock. A subclass draws: ``_open``, ``_begin``, ``_draw`` and ``_close``, by stage.

    Stages are "sanity", "train", "validation", "test" and "predict". Metrics are read only when a redraw is due.
    """

    def __init__(self, leave: bool = False) -> None:
        self._leave = leave
        self._enabled = True
        self._plain = False
        self._wait = SHORTEST_WAIT
        self._every = 1
        self._due = 0.0
        self._drawn_at = 0.0
        self._epoch = 0
        self._batches_done = 0
        self._eval_batches_done = 0
        self._eval_stage = "validation"
        self._training_is_shown = False

    @property
    def is_enabled(self) -> bool:
        return self._enabled

    @property
    def is_disabled(self) -> bool:
        return not self.is_enabled

    def disable(self) -> None:
        self._enabled = False
        self._due = math.inf

    def enable(self) -> None:
        self._enabled = True
        self._due = 0.0

    @abstractmethod
    def _open(self, stage: str) -> None:
        """A stage starts: make its bar."""

    @abstractmethod
    def _begin(self, stage: str, description: str, total: int | None) -> None:
        """An epoch or a loader of the stage starts: back to zero."""

    @abstractmethod
    def _draw(self, stage: str, done: int, metrics: dict[str, Any] | None) -> None:
        """Show how far the stage is; ``metrics`` None leaves what is shown."""

    @abstractmethod
    def _close(self, stage: str) -> None:
        """The stage is over."""

    @abstractmethod
    def _close_all(self) -> None:
        """The run is over, or broke: leave the terminal as it was. May be called twice."""

    def setup(self, trainer: "Trainer", pl_module: "LightningModule", stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._plain = not can_redraw()
        if self._enabled:
            self._due = monotonic() + PLAIN_WAIT if self._plain else 0.0

    def teardown(self, trainer: "Trainer", pl_module: "LightningModule", stage: str) -> None:
        self._training_is_shown = False
        self._close_all()

    def on_exception(self, trainer: "Trainer", pl_module: "LightningModule", exception: BaseException) -> None:
        self._close_all()

    def on_train_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        self._training_is_shown = not self._plain
        self._open("train")
        # An epoch that is resumed in the middle does not start again: its bar begins here.
        self._begin_epoch(trainer)

    def on_train_epoch_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        if self._batches_done or trainer.current_epoch != self._epoch:
            self._begin_epoch(trainer)

    def on_train_batch_end(
        self, trainer: "Trainer", pl_module: "LightningModule", outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batches_done = batch_idx + 1
        if monotonic() >= self._due:
            self._redraw_training(trainer, pl_module)

    def on_train_epoch_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        wait = PLAIN_EPOCH_WAIT if self._plain else 0.0 if self._leave else self._wait
        if monotonic() - self._drawn_at >= wait:
            self._draw_training(trainer, pl_module)

    def on_train_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        self._draw_training(trainer, pl_module)
        self._training_is_shown = False
        self._close("train")

    def on_sanity_check_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        self._open_evaluation("sanity")

    def on_sanity_check_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        self._close("sanity")

    def on_validation_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        if not trainer.sanity_checking:
            self._open_evaluation("validation")

    def on_test_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        self._open_evaluation("test")

    def on_predict_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        self._open_evaluation("predict")

    def on_validation_batch_start(
        self, trainer: "Trainer", pl_module: "LightningModule", batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if dataloader_idx != self._current_eval_dataloader_idx:
            self._begin_evaluation(dataloader_idx)

    def on_validation_batch_end(
        self,
        trainer: "Trainer",
        pl_module: "LightningModule",
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._eval_batches_done = batch_idx + 1
        if monotonic() >= self._due:
            self._redraw_evaluation()

    on_test_batch_start = on_predict_batch_start = on_validation_batch_start
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    def on_validation_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        if trainer.sanity_checking:
            return
        if trainer.state.fn != "fit":
            self._draw_evaluation()
        self._close("validation")
        if trainer.state.fn == "fit" and monotonic() >= self._due:
            self._redraw_training(trainer, pl_module)

    def on_test_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        self._draw_evaluation()
        self._close("test")

    def on_predict_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        self._draw_evaluation()
        self._close("predict")

    def _epoch_description(self, trainer: "Trainer") -> str:
        return f"Epoch {trainer.current_epoch}"

    def _begin_epoch(self, trainer: "Trainer") -> None:
        self._batches_done = 0
        self._epoch = trainer.current_epoch
        self._begin("train", self._epoch_description(trainer), finite(self.total_train_batches))

    def _open_evaluation(self, stage: str) -> None:
        self._eval_stage = stage
        self._eval_batches_done = 0
        self.reset_dataloader_idx_tracker()
        self._open(stage)

    def _begin_evaluation(self, dataloader_idx: int) -> None:
        self._current_eval_dataloader_idx = dataloader_idx
        description, total = EVALUATIONS[self._eval_stage]
        words = f"{getattr(self, description)} DataLoader {dataloader_idx}"
        self._begin(self._eval_stage, words, finite(getattr(self, total)))

    def _redraw_training(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        if self._batches_done % self._every == 0:
            self._draw_training(trainer, pl_module)

    def _redraw_evaluation(self) -> None:
        if self._eval_batches_done % self._every == 0:
            self._draw_evaluation()

    def _draw_training(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        if self._enabled:
            self._draw("train", self._batches_done, self.get_metrics(trainer, pl_module))
            self._wait_on()

    def _draw_evaluation(self) -> None:
        if self._enabled:
            if self._training_is_shown and self._eval_stage == "validation":
                # Its last redraw may be a few batches old, and nothing else moves it now.
                self._draw("train", self._batches_done, None)
            self._draw(self._eval_stage, self._eval_batches_done, None)
            self._wait_on()

    def _wait_on(self) -> None:
        self._drawn_at = monotonic()
        self._due = self._drawn_at + (PLAIN_WAIT if self._plain else self._wait)


def finite(total: float | None) -> int | None:
    """The total, or None where it is unknown."""
    return int(total) if total is not None and math.isfinite(total) else None


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel; its output is no terminal, but can be redrawn."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


def can_redraw() -> bool:
    """Whether a line that was printed can be drawn over: in a terminal, in PyCharm's console, by notebook widgets."""
    if in_notebook():
        return available("ipywidgets")
    if os.environ.get("TERM") == "dumb":
        return False
    return "PYCHARM_HOSTED" in os.environ or bool(getattr(sys.stdout, "isatty", bool)())


def plain_line(description: str, done: float, total: float | None, elapsed: float, metrics: dict[str, Any]) -> str:
    """How far a stage is, as one line for a log file."""
    count = str(done) if total is None else f"{done}/{total}"
    rate = f"{done / elapsed:.2f} it/s" if elapsed > 0 else "? it/s"
    minutes, seconds = divmod(int(elapsed), 60)
    shown = "".join(f", {name}={short(value)}" for name, value in metrics.items())
    return f"{description}: {count} [{minutes:02d}:{seconds:02d}, {rate}{shown}]"


def short(value: Any) -> str:
    """A number in about five characters; words as they are."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"
