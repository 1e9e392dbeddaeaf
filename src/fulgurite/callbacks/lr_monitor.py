"""Writes learning rates, and if asked momenta and weight decays, to the loggers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn
from fulgurite.core.callback import Callback

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


@dataclass(slots=True)
class Source:
    """One optimizer, the names of its parameter groups, and when its rate moves ("any" without a scheduler)."""

    optimizer: Optimizer
    name: str
    keys: list[str]
    interval: str


class LearningRateMonitor(Callback):
    """Log every optimizer's learning rate.

    Keys are ``lr-Adam``, ``lr-Adam/pg1`` with several parameter groups, ``lr-Adam-1`` for a second one. A scheduler's
    ``name`` and a parameter group's ``name`` win over these. ``logging_interval`` "step" logs with the rows of
    ``log_every_n_steps``, "epoch" at each epoch's start, None as each scheduler's own interval says. With
    ``log_momentum`` and ``log_weight_decay`` rows hold ``<key>-momentum`` and ``<key>-weight_decay`` too. All values
    can be monitored: they stand in ``trainer.callback_metrics``. ``lrs`` keeps what was logged, by key.

    Raises `MisconfigurationException` without a logger, or if two groups of an optimizer share a name.
    """

    @checked
    def __init__(
        self,
        logging_interval: Literal["step", "epoch"] | None = None,
        log_momentum: bool = False,
        log_weight_decay: bool = False,
    ) -> None:
        if logging_interval not in (None, "step", "epoch"):
            raise MisconfigurationException(
                f"LearningRateMonitor(logging_interval={logging_interval!r}): expected 'step', 'epoch' or None."
            )
        self.logging_interval = logging_interval
        self.log_momentum = log_momentum
        self.log_weight_decay = log_weight_decay
        self.lrs: dict[str, list[float]] = {}
        self.last_momentum_values: dict[str, float | None] = {}
        self.last_weight_decay_values: dict[str, float | None] = {}
        self._sources: list[Source] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.loggers:
            raise MisconfigurationException(
                "LearningRateMonitor needs a logger and the Trainer has none. "
                "Pass Trainer(logger=True) or a logger, or leave the callback out."
            )
        self._sources = list(sources(trainer))
        keys = [key for source in self._sources for key in source.keys]
        self.lrs = {key: [] for key in keys}
        self.last_momentum_values = {f"{key}-momentum": None for key in keys}
        self.last_weight_decay_values = {f"{key}-weight_decay": None for key in keys}
        if self.log_momentum and any(_momentum(group) is None for _, group in self._groups("any")):
            rank_zero_warn("log_momentum=True, but some optimizers have no momentum: 0 is logged.", RuntimeWarning)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.logging_interval != "epoch" and row_is_due(trainer):
            self._write(trainer, "step" if self.logging_interval is None else "any")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.logging_interval != "step":
            self._write(trainer, "epoch" if self.logging_interval is None else "any")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Optimizers belong to the run; holding them would keep their memory.
        self._sources = []

    def _groups(self, interval: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for source in self._sources:
            if len(source.keys) != len(source.optimizer.param_groups):
                self._name_anew(source)
            if interval == "any" or source.interval in ("any", interval):
                yield from zip(source.keys, source.optimizer.param_groups, strict=True)

    def _write(self, trainer: Trainer, interval: str) -> None:
        row = self._row(interval)
        if not row:
            return
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        for logger in trainer.loggers:
            logger.log_metrics(row, step=step)
        trainer.callback_metrics.update({key: torch.tensor(value) for key, value in row.items()})

    def _name_anew(self, source: Source) -> None:
        """Groups were added, by finetuning say: the first of several has another name than the only one had."""
        before, source.keys = source.keys, _group_keys(source.optimizer, source.name)
        known = dict(zip(source.keys, before, strict=False))
        for key in source.keys:
            self.lrs[key] = self.lrs.pop(known.get(key, key), [])

    def _row(self, interval: str) -> dict[str, float]:
        row: dict[str, float] = {}
        for key, group in self._groups(interval):
            row[key] = float(group["lr"])
            self.lrs[key].append(row[key])
            if self.log_momentum:
                row[f"{key}-momentum"] = self.last_momentum_values[f"{key}-momentum"] = _momentum(group) or 0.0
            if self.log_weight_decay:
                decay = float(group.get("weight_decay", 0.0))
                row[f"{key}-weight_decay"] = self.last_weight_decay_values[f"{key}-weight_decay"] = decay
        return row


def row_is_due(trainer: Trainer) -> bool:
    """Whether the batch that begins will write a row."""
    every = trainer.log_every_n_steps
    closed = trainer.fit_loop.epoch_loop._batches_that_stepped
    return (every > 0 and (closed + 1) % every == 0) or trainer.should_stop


def sources(trainer: Trainer) -> Iterator[Source]:
    """Schedulers' optimizers first, then those without a scheduler."""
    taken: Counter[str] = Counter()
    scheduled = []
    for config in trainer.lr_scheduler_configs:
        optimizer = config.scheduler.optimizer
        scheduled.append(optimizer)
        yield _source(optimizer, config.name, config.interval, taken)
    for optimizer in trainer.optimizers:
        if not any(optimizer is seen for seen in scheduled):
            yield _source(optimizer, None, "any", taken)


def _source(optimizer: Optimizer, name: str | None, interval: str, taken: Counter[str]) -> Source:
    base = name or f"lr-{type(optimizer).__name__}"
    key = f"{base}-{taken[base]}" if taken[base] else base
    taken[base] += 1
    return Source(optimizer, key, _group_keys(optimizer, key), interval)


def _group_keys(optimizer: Optimizer, key: str) -> list[str]:
    groups = optimizer.param_groups
    if len(groups) == 1:
        return [key]
    names = [str(group.get("name", f"pg{number}")) for number, group in enumerate(groups, start=1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise MisconfigurationException(
            f"{key} has several parameter groups named {twice[0]!r}. Give every group a name of its own."
        )
    return [f"{key}/{name}" for name in names]


def _momentum(group: dict[str, Any]) -> float | None:
    if "momentum" in group:
        return float(group["momentum"])
    return float(group["betas"][0]) if "betas" in group else None
