"""Stops training when a metric no longer improves."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import log, rank_zero_info, rank_zero_warn
from fulgurite.callbacks.moments import every_epoch_ends_in_validation, has_validation, is_training
from fulgurite.core.callback import Callback

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


class EarlyStoppingReason(IntEnum):
    """Why training was stopped."""

    NOT_STOPPED = 0
    STOPPING_THRESHOLD = 1
    DIVERGENCE_THRESHOLD = 2
    PATIENCE_EXHAUSTED = 3
    NON_FINITE_METRIC = 4


class EarlyStopping(Callback):
    """Stop once ``monitor`` has not improved by more than ``min_delta`` in ``patience`` checks.

    It also stops at once when the metric passes ``stopping_threshold`` (good enough), falls behind
    ``divergence_threshold`` (hopeless), or is NaN or infinite (``check_finite``). Checks happen after each validation,
    or at the end of the training epoch if ``check_val_every_n_epoch`` and ``val_check_interval`` are both 1, with
    validation or without; ``check_on_train_epoch_end`` decides otherwise. ``stopping_reason`` and
    ``stopping_reason_message`` say why.

    A monitor that is not there raises ``RuntimeError``, or with ``strict=False`` warns once and waits.
    """

    mode_dict: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"min": torch.lt, "max": torch.gt}
    order_dict = {"min": "<", "max": ">"}
    runs_after_module = True

    @checked
    def __init__(
        self,
        monitor: str,
        min_delta: float = 0.0,
        patience: int = 3,
        verbose: bool = False,
        mode: str = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None,
        log_rank_zero_only: bool = False,
    ) -> None:
        if mode not in self.mode_dict:
            raise MisconfigurationException(f"EarlyStopping(mode={mode!r}): expected 'min' or 'max'.")
        if patience < 0:
            raise MisconfigurationException(f"EarlyStopping(patience={patience!r}): expected 0 or more checks.")
        self.monitor = monitor
        self.min_delta = min_delta if mode == "max" else -min_delta
        self.patience = patience
        self.verbose = verbose
        self.mode = mode
        self.strict = strict
        self.check_finite = check_finite
        self.stopping_threshold = stopping_threshold
        self.divergence_threshold = divergence_threshold
        self.log_rank_zero_only = log_rank_zero_only
        self._check_on_train_epoch_end = check_on_train_epoch_end
        self.wait_count = 0
        self.stopped_epoch = 0
        self.stopping_reason = EarlyStoppingReason.NOT_STOPPED
        self.stopping_reason_message: str | None = None
        self.best_score = torch.tensor(float("inf") if mode == "min" else -float("inf"))
        self._warned = False

    @property
    def monitor_op(self) -> Callable[[Tensor, Tensor], Tensor]:
        return self.mode_dict[self.mode]

    @property
    def state_key(self) -> str:
        return self._generate_state_key(monitor=self.monitor, mode=self.mode)

    def state_dict(self) -> dict[str, Any]:
        return {
            "wait_count": self.wait_count,
            "stopped_epoch": self.stopped_epoch,
            "best_score": self.best_score,
            "patience": self.patience,
            "stopping_reason": int(self.stopping_reason),
            "stopping_reason_message": self.stopping_reason_message,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.wait_count = state_dict["wait_count"]
        self.stopped_epoch = state_dict["stopped_epoch"]
        self.best_score = state_dict["best_score"]
        self.patience = state_dict["patience"]
        self.stopping_reason = EarlyStoppingReason(state_dict.get("stopping_reason", 0))
        self.stopping_reason_message = state_dict.get("stopping_reason_message")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._had_stopped():
            # The checkpoint was written as the run was about to end: it ends here as well.
            trainer.should_stop = True
            rank_zero_info(f"EarlyStopping had stopped this run: {self.stopping_reason_message}")
        if is_training(trainer) and not has_validation(trainer) and not self._checks_at_epoch_end(trainer):
            rank_zero_warn(
                f"EarlyStopping(monitor={self.monitor!r}) checks after validation, but there is none: it will never "
                "stop this run. Pass check_on_train_epoch_end=True to check at the end of each training epoch."
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._checks_at_epoch_end(trainer):
            self._check(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._checks_at_epoch_end(trainer):
            self._check(trainer)

    def _had_stopped(self) -> bool:
        reason = self.stopping_reason
        if reason is EarlyStoppingReason.PATIENCE_EXHAUSTED:
            return self.wait_count >= self.patience
        return reason is not EarlyStoppingReason.NOT_STOPPED

    def _checks_at_epoch_end(self, trainer: Trainer) -> bool:
        asked = self._check_on_train_epoch_end
        return every_epoch_ends_in_validation(trainer) if asked is None else asked

    def _check(self, trainer: Trainer) -> None:
        if not is_training(trainer) or not self._is_there(trainer):
            return
        current = torch.as_tensor(trainer.callback_metrics[self.monitor]).detach().squeeze().cpu()
        reason, message = self._judge(current)
        stops = trainer.strategy.reduce_boolean_decision(reason is not EarlyStoppingReason.NOT_STOPPED, all=False)
        trainer.should_stop = trainer.should_stop or stops
        if stops:
            self.stopped_epoch = trainer.current_epoch
            self.stopping_reason, self.stopping_reason_message = reason, message
        if message and self.verbose:
            (rank_zero_info if self.log_rank_zero_only else log.info)(message)

    def _is_there(self, trainer: Trainer) -> bool:
        if self.monitor in trainer.callback_metrics:
            return True
        logged = ", ".join(f"`{name}`" for name in trainer.callback_metrics) or "nothing"
        message = (
            f"Early stopping is conditioned on metric `{self.monitor}` which is not available. Available: {logged}. "
            f"Call self.log({self.monitor!r}, ...) in training_step or validation_step, or monitor one of these."
        )
        if self.strict:
            raise RuntimeError(message)
        if not self._warned:
            self._warned = True
            rank_zero_warn(message, RuntimeWarning)
        return False

    def _judge(self, current: Tensor) -> tuple[EarlyStoppingReason, str | None]:
        """Decide on the newest value; an improvement is remembered here."""
        name, best, beats = self.monitor, self.best_score, self.monitor_op
        if self.check_finite and not torch.isfinite(current):
            said = f"Metric {name} = {current:.3f} is not finite. The best value was {best:.3f}. Stopping."
            return EarlyStoppingReason.NON_FINITE_METRIC, said
        goal, limit, sign = self.stopping_threshold, self.divergence_threshold, self.order_dict[self.mode]
        if goal is not None and beats(current, torch.tensor(goal)):
            said = f"Stopping threshold reached: {name} = {current:.3f} {sign} {goal}. Stopping."
            return EarlyStoppingReason.STOPPING_THRESHOLD, said
        if limit is not None and beats(-current, torch.tensor(-limit)):
            said = f"Divergence threshold passed: {name} = {current:.3f}, and not {sign} {limit}. Stopping."
            return EarlyStoppingReason.DIVERGENCE_THRESHOLD, said
        if beats(current - self.min_delta, best):
            self.best_score, self.wait_count = current, 0
            return EarlyStoppingReason.NOT_STOPPED, self._improvement(best, current)
        self.wait_count += 1
        if self.wait_count < self.patience:
            return EarlyStoppingReason.NOT_STOPPED, None
        said = f"Metric {name} did not improve in the last {self.wait_count} check(s). Best: {best:.3f}. Stopping."
        return EarlyStoppingReason.PATIENCE_EXHAUSTED, said

    def _improvement(self, before: Tensor, now: Tensor) -> str:
        if not torch.isfinite(before):
            return f"Metric {self.monitor} starts at {now:.3f}"
        return f"Metric {self.monitor} improved by {abs(before - now):.3f}. New best: {now:.3f}"
