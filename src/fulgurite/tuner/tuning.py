"""Searches by hand, before a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn
from fulgurite.base.state import RunningStage, TrainerFn
from fulgurite.core.datamodule import LightningDataModule
from fulgurite.runtime.trial import rehearsal
from fulgurite.tuner.batch_size import STAGES, BatchSizeFinder
from fulgurite.tuner.learning_rate import LearningRateFinder
from fulgurite.tuner.range_test import RangeTest

if TYPE_CHECKING:
    from fulgurite.core.callback import Callback
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


class Tuner:
    """Searches for a learning rate or a batch size with the data, device and precision of a trainer.

    A search changes the setting that it is for and nothing else: weights, random states, the trainer's counters,
    metrics, callbacks and loggers are as they were, also where it fails, and no file is written.
    """

    @checked
    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def lr_find(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        method: str = "fit",
        min_lr: float = 1e-8,
        max_lr: float = 1,
        num_training: int = 100,
        mode: str = "exponential",
        early_stop_threshold: float | None = 4.0,
        update_attr: bool = True,
        attr_name: str = "",
    ) -> RangeTest | None:
        """Raise the rate from step to step as `LearningRateFinder` does, and return the losses; None in a trial run.

        ``method`` can only be "fit"; validation data are not used.
        """
        if method != "fit":
            raise MisconfigurationException(f"method={method!r}: a learning rate can be searched with 'fit' only.")
        finder = LearningRateFinder(min_lr, max_lr, num_training, mode, early_stop_threshold, update_attr, attr_name)
        given = {"train": train_dataloaders, "val": val_dataloaders}
        with self._rehearsing(finder, "fit", model, given, dataloaders, datamodule) as goes_on:
            if goes_on:
                finder.lr_find(self._trainer, self._trainer.lightning_module)
        return finder.optimal_lr

    def scale_batch_size(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        method: str = "fit",
        mode: str = "power",
        steps_per_trial: int = 3,
        init_val: int = 2,
        max_trials: int = 25,
        batch_arg_name: str = "batch_size",
        margin: float = 0.05,
        max_val: int = 8192,
    ) -> int | None:
        """Find the largest batch size as `BatchSizeFinder` does, and return it; None in a trial run.

        ``method`` says what is to fit into memory: "fit", "validate", "test" or "predict". The loaders are those of
        the module or of ``datamodule``: given ones cannot be built anew.
        """
        if method not in STAGES:
            raise ValueError(f"method={method!r}: choose one of {', '.join(map(repr, STAGES))}.")
        finder = BatchSizeFinder(mode, steps_per_trial, init_val, max_trials, batch_arg_name, margin, max_val)
        given = {"train": train_dataloaders, "val": val_dataloaders}
        with self._rehearsing(finder, method, model, given, dataloaders, datamodule) as goes_on:
            if goes_on:
                finder.scale_batch_size(self._trainer, self._trainer.lightning_module)
        earlier = self._trainer._session
        if earlier is not None:
            # A second fit would go on with the loaders of the first.
            earlier.feeds = {
                stage: feed for stage, feed in earlier.feeds.items() if earlier.given.get(stage) is not None
            }
        return finder.optimal_batch_size

    @contextmanager
    def _rehearsing(
        self, finder: Callback, method: str, model: Any, given: dict[str, Any], dataloaders: Any, datamodule: Any
    ) -> Iterator[bool]:
        """Open a run for ``finder``; gives whether there is one, as a trial run needs no search."""
        trainer, given = self._trainer, _loaders(method, given, dataloaders)
        kind = type(finder)
        if any(isinstance(callback, kind) for callback in trainer.callbacks):
            raise ValueError(
                f"The Trainer has a {kind.__name__} among its callbacks, which searches when `{method}` begins. "
                "Remove it, or do not call the Tuner."
            )
        if trainer.fast_dev_run:
            rank_zero_warn("The search is skipped: fast_dev_run is on.")
            yield False
            return
        fn = TrainerFn(method)
        stage = {"fit": RunningStage.TRAINING}.get(method) or RunningStage(method)
        with rehearsal(trainer, fn, stage, model, given, datamodule):
            yield True


def _loaders(method: str, given: dict[str, Any], dataloaders: Any) -> dict[str, Any]:
    """The loaders of ``method`` by stage. Raises ``MisconfigurationException`` for those of another."""
    if method == "fit":
        if dataloaders is not None:
            raise MisconfigurationException(
                "dataloaders= is for method='validate', 'test' or 'predict'. With 'fit' pass train_dataloaders=."
            )
        return given
    if any(loaders is not None for loaders in given.values()):
        raise MisconfigurationException(
            f"train_dataloaders= and val_dataloaders= are for method='fit'. With {method!r} pass dataloaders=."
        )
    return {STAGES[method]: dataloaders}
