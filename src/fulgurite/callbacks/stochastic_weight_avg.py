"""Averages the weights of the last epochs, trained at a constant rate, and leaves the average in the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.swa_utils import SWALR

from fulgurite.base.arguments import checked
from fulgurite.base.device import as_device
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.base.seed import isolate_rng
from fulgurite.callbacks.weight_averaging import WeightAveraging
from fulgurite.callbacks.weights import named_buffers, named_weights
from fulgurite.core.callback import Callback
from fulgurite.metrics import Metrics
from fulgurite.runtime.data import training_batches, transfer
from fulgurite.runtime.optim import LRSchedulerConfig
from fulgurite.runtime.plan import INFINITE

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.runtime.session import Session
    from fulgurite.trainer import Trainer

Averaging = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From an average, a weight, and the number of weights in the average, to the new average."""

NOTHING: dict[str, Any] = {
    "n_averaged": 0,
    "latest_update_epoch": -1,
    "scheduler_state": None,
    "average_model_state": None,
}


class StochasticWeightAveraging(Callback):
    """Average the weights that each epoch begins with, from ``swa_epoch_start`` on.

    From then on the learning rates go from where they are to ``swa_lrs`` within ``annealing_epochs``, along a cosine or
    a line, and stay there; an lr scheduler of the module is put aside. ``swa_lrs`` is one rate for all groups of the
    optimizer, or one each; a group that finetuning adds later takes the next, or the last. ``swa_epoch_start`` counts
    epochs from 1, or is a share of ``max_epochs``. When training ends, by whatever limit, the model gets the average,
    and the statistics of its batch norms are taken anew in one more pass over the training data: it runs
    ``training_step`` and nothing else, so nothing is stepped, counted or logged in it.

    Until the end, files hold the current weights as ``state_dict``, and the average among what this callback remembers;
    a run that is resumed from any of them, or from a file written after the end, ends as it would have without the
    break. ``avg_fn(average, weight, count)`` says how to average, by default with equal weights; ``device`` says
    where the average lies, None for the model's.
    """

    @checked
    def __init__(
        self,
        swa_lrs: float | list[float],
        swa_epoch_start: int | float = 0.8,
        annealing_epochs: int = 10,
        annealing_strategy: Literal["cos", "linear"] = "cos",
        avg_fn: Averaging | None = None,
        device: torch.device | str | None = "cpu",
    ) -> None:
        _check(swa_lrs, swa_epoch_start, annealing_epochs, annealing_strategy, avg_fn, device)
        self._swa_lrs, self._swa_epoch_start = swa_lrs, swa_epoch_start
        self._annealing_epochs, self._annealing_strategy = annealing_epochs, annealing_strategy
        self._avg_fn, self._device = avg_fn or self.avg_fn, device
        self._kept = NOTHING
        self._start = 0
        self._phase: Phase | None = None

    @staticmethod
    def avg_fn(averaged_model_parameter: Tensor, model_parameter: Tensor, num_averaged: Tensor) -> Tensor:
        """The mean of all."""
        return averaged_model_parameter + (model_parameter - averaged_model_parameter) / (num_averaged + 1)

    @property
    def swa_start(self) -> int:
        """The first epoch of averaging, counted from 0; known once a fit has begun."""
        return self._start

    def state_dict(self) -> dict[str, Any]:
        return dict(self._kept) if self._phase is None else self._phase.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._kept = dict(state_dict)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._kept, self._phase = NOTHING, None
            self._start = self._first_epoch(trainer)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check_run(trainer, pl_module)
        if self._kept["scheduler_state"] is not None:
            # Before the states of schedulers and optimizer come back: they were written with this scheduler in place.
            self._begin(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        current = self._kept.get("current_model_state")
        if current is not None:
            # The file was written after the end, so that the model holds the average.
            unsettle(pl_module, current)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch
        if epoch < self._start:
            return
        if self._phase is None:
            self._begin(trainer, pl_module)
        assert self._phase is not None
        self._phase.update(pl_module, epoch, self._avg_fn)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._phase is None:
            rank_zero_warn(
                f"StochasticWeightAveraging begins with epoch {self._start}, but training ended before: the model "
                "keeps the weights as they were trained. Let it begin sooner, by swa_epoch_start."
            )
            return
        self._phase.settle(pl_module)
        rank_zero_info(f"StochasticWeightAveraging: the model has the mean of {self._phase.count} epochs' weights now.")
        if trains_batch_norm(pl_module):
            assert trainer._session is not None
            renew_batch_norm(trainer._session, pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._phase is not None:
            # Plain tensors outlive the run, and neither its model nor its optimizer.
            self._kept, self._phase = self._phase.state_dict(), None

    def _first_epoch(self, trainer: Trainer) -> int:
        start = self._swa_epoch_start
        if isinstance(start, float):
            if trainer.max_epochs == -1:
                raise MisconfigurationException(
                    f"StochasticWeightAveraging(swa_epoch_start={start}) is a share of max_epochs, which the Trainer "
                    "does not have. Give it max_epochs, or an epoch as swa_epoch_start."
                )
            start = int(trainer.max_epochs * start)
        return max(start - 1, 0)

    def _check_run(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for callback in trainer.callbacks:
            if isinstance(callback, WeightAveraging):
                raise MisconfigurationException(
                    f"StochasticWeightAveraging and {type(callback).__name__} both leave their average in the model, "
                    "which has room for one. Leave one of them out."
                )
        optimizers, schedulers = trainer.optimizers, trainer.lr_scheduler_configs
        for what, found in (("optimizer", optimizers), ("lr_scheduler", schedulers)):
            if len(found) > 1:
                raise MisconfigurationException(
                    f"StochasticWeightAveraging works with one {what}, but `configure_optimizers` returned "
                    f"{len(found)}."
                )
        if isinstance(self._swa_lrs, list) and len(self._swa_lrs) < len(optimizers[0].param_groups):
            raise MisconfigurationException(
                f"StochasticWeightAveraging(swa_lrs={self._swa_lrs}) names {len(self._swa_lrs)} rates for the "
                f"{len(optimizers[0].param_groups)} groups of the optimizer. Give one for each, or one for all."
            )
        if not pl_module.automatic_optimization and trains_batch_norm(pl_module):
            raise MisconfigurationException(
                "StochasticWeightAveraging takes the statistics of batch norms anew by running `training_step`, which "
                "with manual optimization would train on. Optimize automatically, or leave the callback out."
            )

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        optimizer, configs = trainer.optimizers[0], trainer.lr_scheduler_configs
        scheduler = Annealing(optimizer, self._swa_lrs, self._annealing_epochs, self._annealing_strategy)
        if configs:
            _tell_of(configs[0])
        configs[:] = [LRSchedulerConfig(scheduler, name=configs[0].name if configs else None)]
        self._phase = Phase(pl_module, scheduler, self._device)
        if self._kept["average_model_state"] is not None:
            self._phase.load_state_dict(self._kept)


class Annealing(SWALR):
    """torch's scheduler, for groups that come later as well; its state is plain in each of torch's versions."""

    def __init__(
        self, optimizer: Optimizer, rates: float | list[float], epochs: int, strategy: Literal["cos", "linear"]
    ) -> None:
        self.rates = rates if isinstance(rates, list) else [rates]
        # One for each: the others are for groups that finetuning has not added yet.
        goals = [self._goal(index) for index in range(len(optimizer.param_groups))]
        super().__init__(optimizer, goals, epochs, strategy)  # type: ignore[arg-type]  # torch takes a list as well

    def get_lr(self) -> list[float | Tensor]:
        for index, group in enumerate(self.optimizer.param_groups):
            group.setdefault("swa_lr", self._goal(index))
        return super().get_lr()

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return {name: value for name, value in state.items() if name != "rates" and not callable(value)}

    def _goal(self, index: int) -> float:
        return self.rates[min(index, len(self.rates) - 1)]


class Phase:
    """The averaging of one run, once it has begun: the mean so far, and the scheduler beside it."""

    def __init__(self, module: LightningModule, scheduler: Annealing, device: torch.device | str | None) -> None:
        self.weights = named_weights(module)
        self.means: dict[str, Tensor] = {}
        self.others: dict[str, Any] = {}
        self.scheduler, self.device = scheduler, device
        self.count, self.latest = 0, -1
        self.current: dict[str, Any] | None = None

    @torch.no_grad()
    def update(self, module: LightningModule, epoch: int, average: Averaging) -> None:
        """Take the weights of this moment into the mean, once an epoch."""
        if epoch <= self.latest:
            return
        count = torch.tensor(self.count)
        for name, weight in self.weights.items():
            value = weight.detach().to(self.device or weight.device, copy=True)
            if self.count:
                mean = self.means[name]
                value = average(mean, value, count.to(mean.device))
            self.means[name] = value
        self.others = _copied(named_buffers(module))
        self.count, self.latest = self.count + 1, epoch

    @torch.no_grad()
    def settle(self, module: LightningModule) -> None:
        """Put the mean into the model, and keep what was there."""
        self.current = _copied(module_tensors(module))
        for name, weight in self.weights.items():
            weight.copy_(self.means[name])

    def state_dict(self) -> dict[str, Any]:
        state = {
            "n_averaged": self.count,
            "latest_update_epoch": self.latest,
            "scheduler_state": self.scheduler.state_dict(),
            "average_model_state": {**self.others, **self.means} if self.count else None,
        }
        return state if self.current is None else {**state, "current_model_state": self.current}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        means = state["average_model_state"]
        self.count, self.latest = int(state["n_averaged"]), int(state["latest_update_epoch"])
        self.means = {name: means[name].to(self.device or weight.device) for name, weight in self.weights.items()}
        # Where the buffers are, of which they are copies.
        device = next(iter(self.weights.values())).device
        self.others = {name: value.to(device) for name, value in means.items() if name not in self.weights}


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """All that training changes in a module: its weights, and the buffers that files have."""
    return {**named_weights(module), **named_buffers(module)}


@torch.no_grad()
def unsettle(module: nn.Module, current: dict[str, Tensor]) -> None:
    """Put back what was there before the mean."""
    for name, tensor in module_tensors(module).items():
        if name in current:
            tensor.copy_(current[name])


class Unheard(Metrics):
    """Takes what is logged, and forgets it."""

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is kept."""


def trains_batch_norm(module: nn.Module) -> bool:
    """Whether any batch norm keeps statistics of what is trained on."""
    return next(_trained_norms(module), None) is not None


def renew_batch_norm(session: Session, module: LightningModule) -> None:
    """Take the statistics of all batch norms anew, in one pass over the training data."""
    norms = list(_trained_norms(module))
    before = [_copied(dict(norm.named_buffers())) for norm in norms]
    seen = 0
    try:
        with _cumulative(norms), isolate_rng(), _unheard(session):
            for seen, batch in enumerate(_batches(session), start=1):
                session.moment.begin(batch)
                session.steps["training_step"](batch, seen - 1)
    except BaseException:
        seen = 0
        raise
    finally:
        if not seen:
            for norm, buffers in zip(norms, before, strict=True):
                norm.load_state_dict(buffers, strict=False)
    if not seen:
        rank_zero_warn(
            "The training data have no batch for another pass, so the statistics of batch norms are those of training, "
            "and not of the averaged weights. Pass data that can be iterated anew."
        )


def _batches(session: Session) -> Iterator[Any]:
    """As many batches as an epoch has; of data without an end, as many as the last epoch had."""
    feed, move = session.feeds["train"], transfer(session)
    most = feed.size if feed.size != INFINITE else session.progress.batches_ready
    for number, (batch, _) in enumerate(training_batches(feed), start=1):
        yield batch if move is None else move(batch, 0)
        if number >= most:
            return


@contextmanager
def _unheard(session: Session) -> Iterator[None]:
    """What is logged inside is forgotten."""
    moment = session.moment
    outer = moment.metrics, moment.hook
    moment.metrics, moment.hook = Unheard(moment, training=True), "training_step"
    try:
        yield
    finally:
        moment.metrics, moment.hook = outer
        moment.begin(None)


@contextmanager
def _cumulative(norms: list[_BatchNorm]) -> Iterator[None]:
    """Batch norms begin anew inside and take the plain mean over all batches; afterwards they have their momentum."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _trained_norms(module: nn.Module) -> Iterator[_BatchNorm]:
    """Frozen ones, in evaluation mode or without tracking, have statistics that are not this run's to take."""
    for child in module.modules():
        if isinstance(child, _BatchNorm) and child.training and child.track_running_stats:
            yield child


def _tell_of(config: LRSchedulerConfig) -> None:
    name = type(config.scheduler).__name__
    rank_zero_info(f"StochasticWeightAveraging puts {name} aside.")
    if config.interval != "epoch" or config.frequency != 1:
        rank_zero_warn(
            f"{name} stepped every {config.frequency} {config.interval}(s); StochasticWeightAveraging takes its place "
            "and steps once an epoch."
        )


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _check(rates: Any, start: Any, epochs: Any, strategy: Any, average: Any, device: Any) -> None:
    """Raise `MisconfigurationException` for what could not work."""
    each = rates if isinstance(rates, list) and rates else [rates]
    begins = type(start) is int and start >= 1 or isinstance(start, float) and 0.0 <= start <= 1.0
    for good, argument, value, expected in (
        (
            all(isinstance(rate, float) and 0 < rate < math.inf for rate in each),
            "swa_lrs",
            rates,
            "a float above 0, or a list",
        ),
        (begins, "swa_epoch_start", start, "an int from 1, or a float from 0.0 to 1.0"),
        (type(epochs) is int and epochs >= 0, "annealing_epochs", epochs, "an int from 0"),
        (strategy in ("cos", "linear"), "annealing_strategy", strategy, "'cos' or 'linear'"),
        (average is None or callable(average), "avg_fn", average, "a function or None"),
        (device is None or isinstance(device, torch.device | str), "device", device, "a torch.device, a str or None"),
    ):
        if not good:
            raise MisconfigurationException(
                f"StochasticWeightAveraging({argument}={value!r}): {expected} was expected."
            )
    if device is not None:
        as_device(device, "StochasticWeightAveraging(device={})")
