"""Measures the time of each stage and stops training when it is up."""

from __future__ import annotations

import time
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from fulgurite.base.arguments import checked
from fulgurite.base.cadence import parse_duration
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info
from fulgurite.base.state import RunningStage
from fulgurite.core.callback import Callback

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


class Interval(str, Enum):
    """How often the clock is looked at."""

    step = "step"
    epoch = "epoch"


class Timer(Callback):
    """Time spent in training, validation, test and prediction; with ``duration``, training ends when it is over.

    ``duration`` is "DD:HH:MM:SS", a ``timedelta`` or a dict of its arguments. The clock is looked at after every step
    or, with ``interval="epoch"``, after every epoch. Time spent before a resume counts. ``min_epochs`` and
    ``min_steps`` of the Trainer come first.
    """

    @checked
    def __init__(
        self,
        duration: str | timedelta | dict[str, int] | None = None,
        interval: str = Interval.step,
        verbose: bool = True,
    ) -> None:
        if interval not in set(Interval):
            raise MisconfigurationException(f"Timer(interval={interval!r}): expected 'step' or 'epoch'.")
        span = None if duration is None else parse_duration(duration, "Timer(duration=...)")
        self._duration = None if span is None else span.total_seconds()
        self._interval = Interval(interval)
        self._verbose = verbose
        self._start_time: dict[str, float | None] = {stage.value: None for stage in RunningStage}
        self._end_time: dict[str, float | None] = {stage.value: None for stage in RunningStage}
        self._offset: dict[str, float] = {stage.value: 0 for stage in RunningStage}
        self._step_deadline = float("inf")
        self._told = False

    def start_time(self, stage: str = RunningStage.TRAINING) -> float | None:
        """When ``stage`` last began, on the clock of ``time.monotonic``; None if it has not."""
        return self._start_time[RunningStage(stage).value]

    def end_time(self, stage: str = RunningStage.TRAINING) -> float | None:
        """When ``stage`` last ended; None while it runs."""
        return self._end_time[RunningStage(stage).value]

    def time_elapsed(self, stage: str = RunningStage.TRAINING) -> float:
        """Seconds spent in ``stage``, resumed ones included."""
        start, end, offset = self.start_time(stage), self.end_time(stage), self._offset[RunningStage(stage).value]
        if start is None:
            return offset
        return (time.monotonic() if end is None else end) - start + offset

    def time_remaining(self, stage: str = RunningStage.TRAINING) -> float | None:
        """Seconds left for ``stage``; None without a duration."""
        return None if self._duration is None else self._duration - self.time_elapsed(stage)

    def state_dict(self) -> dict[str, Any]:
        return {"time_elapsed": {stage.value: self.time_elapsed(stage.value) for stage in RunningStage}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        elapsed = dict(state_dict.get("time_elapsed", {}))
        for seconds in elapsed.values():
            timedelta(seconds=seconds)  # raises for what is no such number
        self._offset.update(elapsed)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._told = False
        self._stop_if_over(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin("train")
        remaining = self.time_remaining()
        looks = remaining is not None and self._interval is Interval.step
        self._step_deadline = time.monotonic() + remaining if looks else float("inf")  # type: ignore[operator]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() >= self._step_deadline:
            self._stop_if_over(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop_if_over(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_time["train"] = time.monotonic()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin("sanity_check" if trainer.sanity_checking else "validate")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_time["sanity_check" if trainer.sanity_checking else "validate"] = time.monotonic()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin("test")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_time["test"] = time.monotonic()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin("predict")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_time["predict"] = time.monotonic()

    def _begin(self, stage: str) -> None:
        self._start_time[stage], self._end_time[stage] = time.monotonic(), None

    def _stop_if_over(self, trainer: Trainer) -> None:
        if self._duration is None:
            return
        # Every rank must stop at the same step, and clocks differ: rank 0 decides.
        is_over = trainer.strategy.broadcast(self.time_elapsed() >= self._duration)
        trainer.should_stop = trainer.should_stop or is_over
        if is_over and self._verbose and not self._told:
            self._told = True
            elapsed = timedelta(seconds=round(self.time_elapsed()))
            rank_zero_info(f"Time limit reached: {elapsed} elapsed. Training stops.")
