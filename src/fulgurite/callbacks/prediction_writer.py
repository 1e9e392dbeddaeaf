"""Hands predictions to code that stores them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.state import Word
from fulgurite.core.callback import Callback

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


class WriteInterval(Word):
    """When predictions are written."""

    BATCH = "batch"
    EPOCH = "epoch"
    BATCH_AND_EPOCH = "batch_and_epoch"

    @property
    def on_batch(self) -> bool:
        return self is not WriteInterval.EPOCH

    @property
    def on_epoch(self) -> bool:
        return self is not WriteInterval.BATCH


class BasePredictionWriter(Callback):
    """Subclass this to store predictions: override `write_on_batch_end`, `write_on_epoch_end`, or both.

    ``write_interval`` is "batch", "epoch" or "batch_and_epoch" and says which of them are called. With "batch" and
    ``trainer.predict(..., return_predictions=False)`` no prediction is kept in memory.
    """

    needs_batch_indices = True

    @checked
    def __init__(self, write_interval: str = "batch") -> None:
        if write_interval not in list(WriteInterval):
            names = ", ".join(repr(each.value) for each in WriteInterval)
            raise MisconfigurationException(f"write_interval={write_interval!r}: choose one of {names}.")
        self.interval = next(each for each in WriteInterval if each == write_interval)
        self._kept: dict[int, tuple[list[Any], list[Sequence[int]]]] = {}

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Store what ``predict_step`` returned for one batch.

        ``batch_indices`` are the numbers of its rows in the data set; empty where they are not known: for iterable
        data sets, loaders that are no DataLoader or do not batch, and workers that need not keep the order.
        """
        raise NotImplementedError

    def write_on_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Store what ``predict_step`` returned for all batches: a list, or a list for each of several loaders.

        ``batch_indices`` has a list for each loader, also for one, with the indices of each batch.
        """
        raise NotImplementedError

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "predict":
            return
        wanted = {"write_on_batch_end": self.interval.on_batch, "write_on_epoch_end": self.interval.on_epoch}
        for name in (name for name, is_wanted in wanted.items() if is_wanted):
            if getattr(type(self), name) is getattr(BasePredictionWriter, name):
                raise MisconfigurationException(
                    f"{type(self).__name__} has write_interval={self.interval.value!r}, but does not override `{name}`."
                )

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        indices = trainer.predict_loop.current_batch_indices
        if self.interval.on_batch:
            self.write_on_batch_end(trainer, pl_module, outputs, indices, batch, batch_idx, dataloader_idx)
        if self.interval.on_epoch:
            if dataloader_idx == batch_idx == 0:
                # A prediction that broke off may have left something.
                self._kept.clear()
            predictions, all_indices = self._kept.setdefault(dataloader_idx, ([], []))
            predictions.append(outputs)
            all_indices += [indices] if indices else []

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.interval.on_epoch:
            return
        kept, self._kept = self._kept, {}
        loaders = [kept.get(index, ([], [])) for index in range(len(trainer.num_predict_batches))]
        predictions: list[Any] = [predicted for predicted, _ in loaders]
        self.write_on_epoch_end(
            trainer, pl_module, predictions if len(loaders) > 1 else predictions[0], [each for _, each in loaders]
        )
