"""Logs how the device is doing: memory on a GPU, load and memory on a CPU."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks.lr_monitor import row_is_due
from fulgurite.core.callback import Callback
from fulgurite.runtime.devices import CPUAccelerator

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


class DeviceStatsMonitor(Callback):
    """Log what `torch.cuda.memory_stats` says of a GPU, or psutil of the CPU, before and after batches.

    Keys are ``DeviceStatsMonitor.on_train_batch_start/allocated_bytes.all.current``, ``…/cpu_percent`` and the like.
    In training they come with the rows of ``log_every_n_steps``; in validation and test once in as many batches.
    ``cpu_stats`` None watches the CPU if the model is on it, True always, False never. ``filter_keys`` keeps only the
    names that it holds, such as ``{"allocated_bytes.all.peak"}``: the CUDA allocator alone has over a hundred.

    Raises `MisconfigurationException` without a logger, and ``MissingExtra`` where psutil is needed and missing.
    """

    @checked
    def __init__(self, cpu_stats: bool | None = None, filter_keys: Collection[str] | None = None) -> None:
        if isinstance(filter_keys, str):
            raise MisconfigurationException(
                f"DeviceStatsMonitor(filter_keys={filter_keys!r}): expected several names, as in {{{filter_keys!r}}}."
            )
        self._cpu_stats = cpu_stats
        self._filter_keys = None if filter_keys is None else set(filter_keys)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage not in ("fit", "validate", "test"):
            return
        if not trainer.loggers:
            raise MisconfigurationException(
                "DeviceStatsMonitor needs a logger and the Trainer has none. "
                "Pass Trainer(logger=True) or a logger, or leave the callback out."
            )
        # psutil tells the load since it was last asked; and what is missing shall be missed now.
        self._stats(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if row_is_due(trainer):
            self._log(trainer, "on_train_batch_start")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if row_is_due(trainer):
            self._log(trainer, "on_train_batch_end")

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._log_evaluation(trainer, "on_validation_batch_start", batch_idx)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._log_evaluation(trainer, "on_validation_batch_end", batch_idx)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._log_evaluation(trainer, "on_test_batch_start", batch_idx)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._log_evaluation(trainer, "on_test_batch_end", batch_idx)

    def _log_evaluation(self, trainer: Trainer, hook: str, batch_idx: int) -> None:
        every = trainer.log_every_n_steps
        if every and (batch_idx + 1) % every == 0 and not trainer.sanity_checking:
            self._log(trainer, hook)

    def _log(self, trainer: Trainer, hook: str) -> None:
        stats, step = self._stats(trainer), trainer.batches_that_stepped
        for logger in trainer.loggers if stats else ():
            start = f"DeviceStatsMonitor.{hook}{logger.group_separator}"
            logger.log_metrics({start + name: value for name, value in stats.items()}, step=step)

    def _stats(self, trainer: Trainer) -> dict[str, float]:
        device, accelerator = trainer.strategy.root_device, trainer.accelerator
        on_cpu = device.type == "cpu"
        stats = {} if on_cpu and self._cpu_stats is False else dict(accelerator.get_device_stats(device))
        if self._cpu_stats and not on_cpu:
            stats |= CPUAccelerator().get_device_stats("cpu")
        return {name: value for name, value in stats.items() if self._filter_keys is None or name in self._filter_keys}
