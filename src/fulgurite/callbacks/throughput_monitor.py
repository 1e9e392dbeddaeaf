"""Measures how much a run gets through: batches, samples, items and floating-point operations per second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from fulgurite.base.arguments import checked
from fulgurite.base.rank import rank_zero_warn
from fulgurite.core.callback import Callback

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


class Point(NamedTuple):
    """What had been got through by a moment."""

    time: float
    batches: int
    samples: int
    lengths: int | None
    flops: int | None


class Throughput:
    """Rates over the last ``window_size`` batches, from totals that are told now and then.

    ``update`` takes totals: seconds, batches, samples and items (``lengths``) so far, and the operations (``flops``)
    since the last call; all of one device, of which there are ``world_size``. ``compute`` gives the totals and, as soon
    as a window is full, ``device/batches_per_sec`` and the like; with several devices also ``batches_per_sec`` of all.
    ``available_flops``, what a device could do in a second at best, adds ``device/mfu``, the share that is used.
    """

    def __init__(
        self, available_flops: float | None = None, world_size: int = 1, window_size: int = 100, separator: str = "/"
    ) -> None:
        for name, number, least in (("world_size", world_size, 1), ("window_size", window_size, 2)):
            if number < least:
                raise ValueError(f"Throughput({name}={number!r}): expected {least} or more.")
        if available_flops is not None and available_flops <= 0:
            raise ValueError(f"Throughput(available_flops={available_flops!r}): expected operations per second.")
        self.available_flops = available_flops
        self.world_size = world_size
        self.window_size = window_size
        self.separator = separator
        self._points: deque[Point] = deque()

    def update(
        self, *, time: float, batches: int, samples: int, lengths: int | None = None, flops: int | None = None
    ) -> None:
        """Take the totals of a moment. Raises ``ValueError`` if one of them is not more than it was."""
        last = self._points[-1] if self._points else None
        if last is not None:
            flops = None if flops is None else flops + (last.flops or 0)
        point = Point(time, batches, samples, lengths, flops)
        if last is not None:
            for name in ("time", "batches", "samples", "lengths"):
                before, now = getattr(last, name), getattr(point, name)
                if before is not None and now is not None and now <= before:
                    raise ValueError(f"Throughput.update({name}={now!r}): it is a total and was {before!r} before.")
        if samples < batches:
            raise ValueError(f"Throughput.update(samples={samples!r}): fewer than batches={batches!r}.")
        points = self._points
        points.append(point)
        while len(points) > 2 and batches - points[1].batches >= self.window_size - 1:
            points.popleft()

    def compute(self) -> dict[str, int | float]:
        """The totals, and the rates once the window is full."""
        if not self._points:
            return {}
        first, last = self._points[0], self._points[-1]
        found: dict[str, int | float] = {"time": last.time, "batches": last.batches, "samples": last.samples}
        if last.lengths is not None:
            found["lengths"] = last.lengths
        if last.batches - first.batches < self.window_size - 1 or len(self._points) < 2:
            return found
        elapsed = last.time - first.time
        names = {"batches": "batches", "samples": "samples", "lengths": "items", "flops": "flops"}
        for total, name in names.items():
            before, now = getattr(first, total), getattr(last, total)
            if before is not None and now is not None:
                rate = (now - before) / elapsed
                found[f"device{self.separator}{name}_per_sec"] = rate
                if self.world_size > 1:
                    found[f"{name}_per_sec"] = rate * self.world_size
        done = found.get(f"device{self.separator}flops_per_sec")
        if done is not None and self.available_flops:
            found[f"device{self.separator}mfu"] = done / self.available_flops
        return found

    def reset(self) -> None:
        self._points.clear()


@dataclass
class Stretch:
    """One stage's count and clock; the clock stands still while another stage runs."""

    throughput: Throughput
    began: float = field(default_factory=time.perf_counter)
    paused: float | None = None
    batches: int = 0
    samples: int = 0
    lengths: int = 0
    flops: int | None = None


class ThroughputMonitor(Callback):
    """Log batches, samples and items per second of training, and of each validation, test and prediction.

    ``batch_size_fn`` gives the samples of a batch, ``length_fn`` its items (tokens, say). A module with
    ``flops_per_batch`` (see `measure_flops`) gets operations per second too, and with ``available_flops`` the share of
    the device's best that they are. Further arguments are `Throughput`'s: ``window_size``, ``separator``.

    Training is logged with the rows of ``log_every_n_steps`` as ``train/device/samples_per_sec`` and so on, without
    the time of validations; the others when they end, as ``validate/…``, at the training's step. Only then the host
    waits for the device, without which there would be nothing to measure.
    """

    @checked
    def __init__(
        self, batch_size_fn: Callable[[Any], int], length_fn: Callable[[Any], int] | None = None, **kwargs: Any
    ) -> None:
        Throughput(**kwargs)  # what is wrong with them is said here
        self.batch_size_fn, self.length_fn = batch_size_fn, length_fn
        self.kwargs = kwargs
        self.separator = kwargs.get("separator", "/")
        self._stretches: dict[str, Stretch] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not trainer.loggers:
            rank_zero_warn("ThroughputMonitor has no logger to write to. Pass Trainer(logger=True) or a logger.")
        self._stretches = {}

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stretches = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer, "train")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stretch = self._count("train", pl_module, batch)
        closes = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch
        every, done = trainer.log_every_n_steps, trainer.batches_that_stepped + 1
        due = closes and (every > 0 and done % every == 0 or trainer.should_stop)
        # The first batch begins the window: it pays for what is set up once.
        if due or stretch.batches == 1:
            self._measure(trainer, stretch)
        if due:
            self._log(trainer, "train", {"epoch": trainer.current_epoch})

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        if "train" in self._stretches:
            _wait(trainer)
            self._stretches["train"].paused = time.perf_counter()
        self._begin(trainer, "validate", trainer.num_val_batches)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._count_evaluated(trainer, "validate", pl_module, batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end(trainer, "validate")
        training = self._stretches.get("train")
        if training is not None and training.paused is not None:
            training.began += time.perf_counter() - training.paused
            training.paused = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer, "test", trainer.num_test_batches)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._count_evaluated(trainer, "test", pl_module, batch)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end(trainer, "test")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer, "predict", trainer.num_predict_batches)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._count_evaluated(trainer, "predict", pl_module, batch)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end(trainer, "predict")

    def _begin(self, trainer: Trainer, stage: str, batches: Any = None) -> None:
        settings = {"world_size": trainer.world_size, **self.kwargs}
        throughput = Throughput(**settings)
        if batches is not None:
            # A pass that is shorter than the window is one window.
            throughput.window_size = max(2, min(throughput.window_size, sum(batches)))
        self._stretches[stage] = Stretch(throughput)

    def _count(self, stage: str, module: LightningModule, batch: Any) -> Stretch:
        stretch = self._stretches[stage]
        stretch.batches += 1
        stretch.samples += self.batch_size_fn(batch)
        if self.length_fn is not None:
            stretch.lengths += self.length_fn(batch)
        flops = getattr(module, "flops_per_batch", None)
        if flops is not None:
            stretch.flops = (stretch.flops or 0) + flops
        return stretch

    def _count_evaluated(self, trainer: Trainer, stage: str, module: LightningModule, batch: Any) -> None:
        if not trainer.sanity_checking and self._count(stage, module, batch).batches == 1:
            self._measure(trainer, self._stretches[stage])

    def _measure(self, trainer: Trainer, stretch: Stretch) -> None:
        """Take a point of the window, unless it was taken at this batch."""
        points = stretch.throughput._points
        if points and points[-1].batches == stretch.batches:
            return
        _wait(trainer)
        stretch.throughput.update(
            time=time.perf_counter() - stretch.began,
            batches=stretch.batches,
            samples=stretch.samples,
            lengths=None if self.length_fn is None else stretch.lengths,
            flops=stretch.flops,
        )
        stretch.flops = None

    def _end(self, trainer: Trainer, stage: str) -> None:
        stretch = self._stretches.get(stage)
        if stretch is not None and stretch.batches and not trainer.sanity_checking:
            self._measure(trainer, stretch)
            self._log(trainer, stage, {})

    def _log(self, trainer: Trainer, stage: str, beside: dict[str, int]) -> None:
        found = self._stretches[stage].throughput.compute()
        row = {f"{stage}{self.separator}{name}": value for name, value in found.items()} | beside
        for logger in trainer.loggers:
            logger.log_metrics(dict(row), step=trainer.batches_that_stepped)


def _wait(trainer: Trainer) -> None:
    """Return when the device has done what it was given."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
