"""Finds a learning rate to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.core.callback import Callback
from fulgurite.runtime.lifecycle import configured
from fulgurite.runtime.trial import Trials
from fulgurite.tuner.range_test import MODES, RangeTest
from fulgurite.tuner.settings import Place, places_of, write

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer

USUAL = ("lr", "learning_rate")


class LearningRateFinder(Callback):
    """Before the first epoch, raise the learning rate from step to step, and take the one where the loss falls most.

    The search trains on up to ``num_training_steps`` batches and leaves nothing behind but its result: weights,
    optimizers, random states and counters are put back, nothing is logged, other callbacks are silent. It ends early
    where the loss passes ``early_stop_threshold`` times its best. The suggestion is written to the module's ``lr`` or
    ``learning_rate``, as attribute or hyperparameter, or to ``attr_name``, where dots lead inside (``"hparams.lr"``);
    the optimizers are then configured with it. ``update_attr=False`` only searches. ``optimal_lr`` holds the result: a
    `RangeTest` with ``results``, ``suggestion()`` and ``plot()``.

    To search again, override ``on_fit_start`` to do nothing and call ``self.lr_find(trainer, pl_module)`` in
    ``on_train_epoch_start`` of the epochs you choose. A run that goes on from a checkpoint keeps the rate it has.

    Raises ``AttributeError`` where there is no such attribute, ``MisconfigurationException`` for several optimizers.
    """

    SUPPORTED_MODES = MODES
    runs_first = True

    @checked
    def __init__(
        self,
        min_lr: float = 1e-8,
        max_lr: float = 1,
        num_training_steps: int = 100,
        mode: str = "exponential",
        early_stop_threshold: float | None = 4.0,
        update_attr: bool = True,
        attr_name: str = "",
    ) -> None:
        RangeTest(mode, min_lr, max_lr, num_training_steps)
        self.min_lr, self.max_lr, self.num_training_steps, self.mode = min_lr, max_lr, num_training_steps, mode
        self.early_stop_threshold, self.update_attr, self.attr_name = early_stop_threshold, update_attr, attr_name
        self.optimal_lr: RangeTest | None = None
        self._found: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {} if self._found is None else {"learning_rate": self._found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._found = state_dict.get("learning_rate")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is None:
            self.lr_find(trainer, pl_module)
        elif self._found is not None and self.update_attr:
            # The optimizers come with the checkpoint.
            write(self._places(pl_module), self._found)

    def lr_find(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search now, and take over what was found."""
        if trainer.fast_dev_run:
            rank_zero_warn("The search for a learning rate is skipped: fast_dev_run is on.")
            return
        places = self._places(pl_module) if self.update_attr else []
        self.optimal_lr = RangeTest(self.mode, self.min_lr, self.max_lr, self.num_training_steps)
        optimizer = _only_optimizer(trainer)
        with _bar(trainer, self.num_training_steps) as bar:
            Trials(trainer).run(_Search(self.optimal_lr, self.early_stop_threshold, optimizer, bar))
        suggestion = self.optimal_lr.suggestion() if self.update_attr else None
        if suggestion is not None:
            self._found = suggestion
            write(places, suggestion)
            _take_over(trainer, suggestion)
            rank_zero_info(f"Learning rate set to {suggestion:.6g}")

    def _places(self, module: LightningModule) -> list[Place]:
        for name in (self.attr_name,) if self.attr_name else USUAL:
            if places := places_of(name, module):
                return places
        kind = type(module).__name__
        if self.attr_name:
            raise AttributeError(
                f"attr_name={self.attr_name!r}: {kind} has neither an attribute nor a hyperparameter of that name."
            )
        raise AttributeError(
            f"{kind} has neither `lr` nor `learning_rate`, as attribute or hyperparameter, to set. Name the one that "
            "`configure_optimizers` reads with attr_name='...', or pass update_attr=False."
        )


class _Search(Callback):
    """Sets the rate of each step, notes its loss, and ends the trial."""

    def __init__(self, test: RangeTest, threshold: float | None, optimizer: Optimizer, bar: Any) -> None:
        self.test, self.threshold, self.optimizer, self.bar = test, threshold, optimizer, bar
        self.steps = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        for group in self.optimizer.param_groups:
            _set(group, "lr", self.test.rate(self.steps))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Inside an accumulation window the weights have not moved.
        if not trainer.progress.window_closed:
            return
        if "loss" in outputs:
            # Over all processes: they have to end the trial at the same step, and to find the same rate.
            loss = trainer.strategy.reduce(outputs["loss"])
            self.test.add(self.test.rate(self.steps), float(loss))
        self.steps += 1
        self.bar.update()
        if self.steps >= self.test.num_training or self.test.diverged(self.threshold):
            trainer.should_stop = True


def _bar(trainer: Trainer, total: int) -> Any:
    from tqdm.auto import tqdm

    shown = trainer.progress_bar_callback
    return tqdm(total=total, desc="Finding a learning rate", leave=False, disable=not (shown and shown.is_enabled))


def _only_optimizer(trainer: Trainer) -> Optimizer:
    optimizers = trainer.optimizers
    if len(optimizers) != 1 or not optimizers[0].param_groups:
        raise MisconfigurationException(
            f"A learning rate can be searched for one optimizer; `configure_optimizers` returned {len(optimizers)}."
        )
    return optimizers[0]


def _take_over(trainer: Trainer, rate: float) -> None:
    """Let the optimizers of the run follow."""
    session = trainer._session
    assert session is not None
    if session.step is None:
        # Nothing has been trained yet, and only the module knows what each group and scheduler makes of the rate.
        configured(session)
        return
    for group in session.optimizers[0].param_groups:
        _set(group, "lr", rate)
        if "initial_lr" in group:
            _set(group, "initial_lr", rate)
    for config in session.schedulers:
        if hasattr(config.scheduler, "base_lrs"):
            # Or those that compute from where they began would undo it.
            config.scheduler.base_lrs = [rate for _ in config.scheduler.base_lrs]


def _set(group: dict[str, Any], name: str, rate: float) -> None:
    if isinstance(group[name], Tensor):
        group[name].fill_(rate)
    else:
        group[name] = rate
