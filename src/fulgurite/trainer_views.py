"""What users read off a Trainer: one-line views of the owners, and the limits that can be set while it runs."""

from functools import cached_property
from typing import Any

import torch

from fulgurite import assemble
from fulgurite.base.state import RunningStage, TrainerState
from fulgurite.callbacks.checkpoint import Checkpoint
from fulgurite.metrics import Board, Moment
from fulgurite.progress import Progress
from fulgurite.runtime.plan import INFINITE, Plan
from fulgurite.runtime.session import Session
from fulgurite.runtime.views import EvaluationLoop, FitLoop


class Planned:
    """An attribute that lives in the Plan. Setting it makes a new Plan, which the loops read at their next decision."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, trainer: Any, owner: type | None = None) -> Any:
        return self if trainer is None else getattr(trainer.plan, self.name)

    def __set__(self, trainer: Any, value: Any) -> None:
        trainer._replan(self.name, value)


class TrainerViews:
    """The properties of `Trainer`. Nothing is stored here."""

    state: TrainerState
    plan: Plan
    progress: Progress
    strategy: Any
    precision_plugin: Any
    accelerator: Any
    callbacks: list[Any]
    loggers: list[Any]
    default_root_dir: str
    _board: Board
    _moment: Moment
    _session: Session | None

    max_epochs = Planned()
    min_epochs = Planned()
    max_steps = Planned()
    min_steps = Planned()
    limit_train_batches = Planned()
    limit_val_batches = Planned()
    limit_test_batches = Planned()
    limit_predict_batches = Planned()
    overfit_batches = Planned()
    val_check_interval = Planned()
    check_val_every_n_epoch = Planned()
    num_sanity_val_steps = Planned()
    accumulate_grad_batches = Planned()
    gradient_clip_val = Planned()
    gradient_clip_algorithm = Planned()
    log_every_n_steps = Planned()
    reload_dataloaders_every_n_epochs = Planned()

    def _replan(self, name: str, value: Any) -> None:
        self.plan = assemble.replanned(self.plan, name, value)
        if self._session is not None:
            self._session.plan = self.plan

    # -- where it is --------------------------------------------------------------------------------------------------

    @property
    def global_step(self) -> int:
        """Optimizer steps so far; with manual optimisation every optimizer counts."""
        return self.progress.global_step

    @property
    def batches_that_stepped(self) -> int:
        """Batches that closed an accumulation window, whatever the number of optimizers."""
        return self.progress.batches_that_stepped

    @property
    def current_epoch(self) -> int:
        """Epochs completed; goes up after the epoch's end hooks."""
        return self.progress.epoch

    @property
    def is_last_batch(self) -> bool:
        return self.progress.is_last_batch

    @property
    def training_has_begun(self) -> bool:
        """Whether the running or last ``fit`` came as far as its first epoch."""
        return self._session is not None and self._session.step is not None

    @property
    def callback_metrics(self) -> dict[str, torch.Tensor]:
        """Everything logged, as callbacks see it. Values are tensors, detached unless logged with ``enable_graph``."""
        self._refresh()
        return self._board.callback

    @property
    def logged_metrics(self) -> dict[str, Any]:
        """Everything logged with ``logger=True``."""
        self._refresh()
        return self._board.logged

    @property
    def progress_bar_metrics(self) -> dict[str, float]:
        """Everything logged with ``prog_bar=True``, as floats: reading it waits for the device."""
        from fulgurite.metrics import scalars

        self._refresh()
        return scalars(self._board.bar)

    def _refresh(self) -> None:
        metrics = self._moment.metrics
        if metrics is not None and metrics.meters:
            self._board.take(metrics, on_step=not metrics.at_epoch_end)

    # -- what it runs -------------------------------------------------------------------------------------------------

    @property
    def lightning_module(self) -> Any:
        return self.strategy.lightning_module

    @property
    def model(self) -> Any:
        return self.strategy.model

    @property
    def optimizers(self) -> list[Any]:
        return self._session.optimizers if self._session is not None else []

    @optimizers.setter
    def optimizers(self, optimizers: list[Any]) -> None:
        assert self._session is not None
        self._session.optimizers, self._session.wrappers = list(optimizers), []
        if self._session.step is not None:
            self._session.step.use(optimizers)

    @property
    def lr_scheduler_configs(self) -> list[Any]:
        return self._session.schedulers if self._session is not None else []

    @property
    def precision(self) -> str:
        return self.precision_plugin.precision

    @property
    def scaler(self) -> Any:
        return self.precision_plugin.scaler

    @property
    def logger(self) -> Any:
        """The first logger, or None."""
        return self.loggers[0] if self.loggers else None

    @logger.setter
    def logger(self, logger: Any) -> None:
        self.loggers = [] if not logger else [logger]

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any] | None:
        """What a distributed sampler would be built with; None in one process."""
        return getattr(self.strategy, "distributed_sampler_kwargs", None)

    @property
    def log_dir(self) -> str | None:
        """Where the first logger writes this run; the root folder without a logger."""
        if not self.loggers:
            return self.default_root_dir
        return self.loggers[0].log_dir or self.loggers[0].save_dir

    # -- its callbacks ------------------------------------------------------------------------------------------------

    @property
    def checkpoint_callbacks(self) -> list[Any]:
        return [callback for callback in self.callbacks if isinstance(callback, Checkpoint)]

    @property
    def checkpoint_callback(self) -> Any:
        return next(iter(self.checkpoint_callbacks), None)

    @property
    def early_stopping_callbacks(self) -> list[Any]:
        from fulgurite.callbacks.early_stopping import EarlyStopping

        return [callback for callback in self.callbacks if isinstance(callback, EarlyStopping)]

    @property
    def early_stopping_callback(self) -> Any:
        return next(iter(self.early_stopping_callbacks), None)

    @property
    def progress_bar_callback(self) -> Any:
        from fulgurite.callbacks.progress.base import ProgressBar

        return next((callback for callback in self.callbacks if isinstance(callback, ProgressBar)), None)

    # -- its data -----------------------------------------------------------------------------------------------------

    @property
    def train_dataloader(self) -> Any:
        return self._structure("train")

    @property
    def val_dataloaders(self) -> Any:
        return self._structure("val")

    @property
    def test_dataloaders(self) -> Any:
        return self._structure("test")

    @property
    def predict_dataloaders(self) -> Any:
        return self._structure("predict")

    @property
    def num_training_batches(self) -> int | float:
        sizes = self._sizes("train")
        return sizes[0] if sizes else INFINITE

    @property
    def num_val_batches(self) -> list[int | float]:
        return self._sizes("val")

    @property
    def num_sanity_val_batches(self) -> list[int | float]:
        return [min(size, self.plan.num_sanity_val_steps) for size in self._sizes("val")]

    @property
    def num_test_batches(self) -> list[int | float]:
        return self._sizes("test")

    @property
    def num_predict_batches(self) -> list[int | float]:
        return self._sizes("predict")

    @property
    def val_check_batch(self) -> int | float:
        return self._session.val_check_batch if self._session is not None else INFINITE

    @property
    def enable_validation(self) -> bool:
        return (
            self._session is not None and "validation_step" in self._session.steps and self.plan.limit_val_batches > 0
        )

    def _structure(self, stage: str) -> Any:
        feed = self._session.feeds.get(stage) if self._session is not None else None
        if feed is None:
            return None
        return getattr(feed.structure, "iterables", feed.structure)

    def _sizes(self, stage: str) -> list[int | float]:
        feed = self._session.feeds.get(stage) if self._session is not None else None
        return [] if feed is None else feed.sizes

    # -- the machine --------------------------------------------------------------------------------------------------

    @property
    def global_rank(self) -> int:
        return self.strategy.global_rank

    @property
    def local_rank(self) -> int:
        return self.strategy.local_rank

    @property
    def node_rank(self) -> int:
        return self.strategy.node_rank

    @property
    def world_size(self) -> int:
        return self.strategy.world_size

    @property
    def num_nodes(self) -> int:
        return self.strategy.num_nodes

    @property
    def num_devices(self) -> int:
        return len(self.device_ids)

    @property
    def device_ids(self) -> list[int]:
        devices = getattr(self.strategy, "parallel_devices", [self.strategy.root_device])
        return [number if device.index is None else device.index for number, device in enumerate(devices)]

    @property
    def is_global_zero(self) -> bool:
        return self.strategy.is_global_zero

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def training(self) -> bool:
        return self.state.stage is RunningStage.TRAINING

    @training.setter
    def training(self, on: bool) -> None:
        self.state.stage = RunningStage.TRAINING if on else None

    @property
    def validating(self) -> bool:
        return self.state.stage is RunningStage.VALIDATING

    @validating.setter
    def validating(self, on: bool) -> None:
        self.state.stage = RunningStage.VALIDATING if on else None

    @property
    def testing(self) -> bool:
        return self.state.stage is RunningStage.TESTING

    @testing.setter
    def testing(self, on: bool) -> None:
        self.state.stage = RunningStage.TESTING if on else None

    @property
    def predicting(self) -> bool:
        return self.state.stage is RunningStage.PREDICTING

    @predicting.setter
    def predicting(self, on: bool) -> None:
        self.state.stage = RunningStage.PREDICTING if on else None

    @property
    def sanity_checking(self) -> bool:
        return self.state.stage is RunningStage.SANITY_CHECKING

    @sanity_checking.setter
    def sanity_checking(self, on: bool) -> None:
        self.state.stage = RunningStage.SANITY_CHECKING if on else None

    @property
    def evaluating(self) -> bool:
        return self.state.stage is not None and self.state.stage.evaluating

    # -- Lightning's loops --------------------------------------------------------------------------------------------

    @cached_property
    def fit_loop(self) -> FitLoop:
        return FitLoop(self)

    @cached_property
    def validate_loop(self) -> EvaluationLoop:
        return EvaluationLoop(self, "val")

    @cached_property
    def test_loop(self) -> EvaluationLoop:
        return EvaluationLoop(self, "test")

    @cached_property
    def predict_loop(self) -> EvaluationLoop:
        return EvaluationLoop(self, "predict")
