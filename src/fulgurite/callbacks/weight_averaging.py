"""Keeps a running average of the weights, validates with it, saves it, and leaves it in the model."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from fulgurite.base.arguments import checked
from fulgurite.base.device import as_device
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.callbacks.moments import warn_of_weights_only
from fulgurite.core.callback import Callback

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer

CURRENT, AVERAGING = "current_model_state", "averaging_state"
"""Where a checkpoint has the weights that are trained, and the average's own count; ``state_dict`` is the average."""


class WeightAveraging(Callback):
    """Average the weights over training, by default each step's with the same weight.

    Validation sees the average, ``state_dict`` of each checkpoint holds it, and so does the model when training has
    ended. Training itself goes on with the current weights, which checkpoints keep beside the average: a resumed run
    ends as it would have without the break, also from a file that was written after the end. Until the first update
    there is no average, and the current weights take its place everywhere.

    Override `should_update` to say when. Batch-norm statistics and other buffers are averaged like weights, or with
    ``use_buffers=False`` taken as they are at each update. ``device`` is where the average lies: the model's if it is
    not given. ``kwargs`` are ``avg_fn`` or ``multi_avg_fn`` of ``torch.optim.swa_utils.AveragedModel``.
    """

    @checked
    def __init__(self, device: torch.device | str | int | None = None, use_buffers: bool = True, **kwargs: Any) -> None:
        _check_averaging(kwargs)
        if device is not None:
            as_device(device, "WeightAveraging(device={})")
        self._device, self._use_buffers, self._kwargs = device, use_buffers, kwargs
        self._average_model: _Average | None = None
        self._model_id = 0
        self._brought: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._latest_update_step = 0
        self._seen_step = 0
        self._is_averaged = False
        self._swapped = False
        self._ended = False

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether to average the weights in: asked after each optimizer step, and at the end of each epoch.

        One of the two is given, counted from 0.
        """
        return step_idx is not None

    def state_dict(self) -> dict[str, Any]:
        return {"latest_update_step": self._latest_update_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._latest_update_step = state_dict["latest_update_step"]

    # The run

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._average_model, self._brought, self._latest_update_step = None, None, 0
            self._is_averaged = self._swapped = self._ended = False
            warn_of_weights_only(trainer, self, "the current weights and not their average")

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Train on from the current weights of the file. Whoever only evaluates keeps the average."""
        if trainer.state.fn != "fit":
            return
        if CURRENT not in checkpoint:
            rank_zero_warn(
                f"The checkpoint was written without {type(self).__name__}: averaging begins with its weights."
            )
            return
        pl_module.load_state_dict(checkpoint[CURRENT], strict=pl_module.strict_loading)
        self._brought = checkpoint["state_dict"], checkpoint[AVERAGING]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not sooner: now the model is whole, loaded, in its precision and on its device.
        device = pl_module.device if self._device is None else self._device
        average = _Average(pl_module, device=device, use_buffers=self._use_buffers, **self._kwargs)  # type: ignore[arg-type]
        self._average_model, self._model_id = average, id(pl_module)
        if self._brought is not None:
            weights, own = self._brought
            average.module.load_state_dict(weights, strict=pl_module.strict_loading)
            average.load_state_dict(own, strict=False)
            average.count = int(average.n_averaged)
            self._is_averaged, self._brought = bool(average.count), None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seen_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step == self._seen_step:
            return
        self._seen_step = step
        if self.should_update(step_idx=step - 1):
            self._update(pl_module)
            self._latest_update_step = step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.should_update(epoch_idx=trainer.current_epoch):
            self._update(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run resumed at its end trains no more: it is over all the same.
        if not self._ended:
            self._end(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._swapped and not self._ended:
            self._swap(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and self._device is None and self._average_model is not None:
            # Where the strategy has put the model: the memory of the device is given back.
            self._average_model.to(pl_module.device)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and self._is_averaged:
            self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and self._swapped:
            self._swap(pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        average = self._average_model
        if average is None or self._model_id != id(pl_module):
            return
        saved, other = checkpoint["state_dict"], average.module.state_dict()
        checkpoint[CURRENT] = other if self._swapped else saved
        if self._is_averaged and not self._swapped:
            checkpoint["state_dict"] = other
        checkpoint[AVERAGING] = dict(average.named_buffers(recurse=False))

    # The weights

    def _update(self, pl_module: LightningModule) -> None:
        assert self._average_model is not None
        self._average_model.update_parameters(pl_module)
        self._is_averaged = True

    def _end(self, pl_module: LightningModule) -> None:
        """Leave the average in the model and the current weights in its place, for whoever saves and resumes."""
        self._ended = True
        if self._is_averaged:
            self._swap(pl_module)
            rank_zero_info(f"{type(self).__name__}: the model has the averaged weights now.")
        elif self._seen_step:
            rank_zero_warn(
                f"{type(self).__name__} never averaged in {self._seen_step} steps, so the model keeps the weights as "
                "they were trained. Let `should_update` say yes sooner."
            )

    @torch.no_grad()
    def _swap(self, pl_module: LightningModule) -> None:
        assert self._average_model is not None
        for own, averaged in zip(_tensors(pl_module), _tensors(self._average_model.module), strict=True):
            held = own.detach().clone()
            own.copy_(averaged)
            averaged.copy_(held)
        self._swapped = not self._swapped


class EMAWeightAveraging(WeightAveraging):
    """Average the weights exponentially: ``decay`` of the old average and the rest of the new weights.

    Updates come every ``update_every_n_steps`` optimizer steps, from ``update_starting_at_step`` on if that is given,
    and, if ``update_starting_at_epoch`` is given, at the end of that epoch and of each later one as well. With
    ``update_every_n_steps=0`` only epochs count.
    """

    @checked
    def __init__(
        self,
        device: torch.device | str | int | None = None,
        use_buffers: bool = True,
        decay: float = 0.999,
        update_every_n_steps: int = 1,
        update_starting_at_step: int | None = None,
        update_starting_at_epoch: int | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(
                f"EMAWeightAveraging has no argument {', '.join(map(repr, kwargs))}. It averages by `decay`; for a "
                "function of your own take WeightAveraging(avg_fn=...)."
            )
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"EMAWeightAveraging(decay={decay!r}): a number from 0 to 1 was expected.")
        if update_every_n_steps < 0:
            raise ValueError(
                f"EMAWeightAveraging(update_every_n_steps={update_every_n_steps!r}): an int from 0 was expected."
            )
        super().__init__(device, use_buffers, multi_avg_fn=partial(_exponential, decay=decay))
        self.update_every_n_steps = update_every_n_steps
        self.update_starting_at_step = update_starting_at_step
        self.update_starting_at_epoch = update_starting_at_epoch

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether the step or the epoch is one that the arguments ask for."""
        every, first_step, first_epoch = (
            self.update_every_n_steps, self.update_starting_at_step, self.update_starting_at_epoch
        )  # fmt: skip
        if step_idx is not None and every and step_idx % every == 0 and step_idx >= (first_step or 0):
            return True
        return epoch_idx is not None and first_epoch is not None and epoch_idx >= first_epoch


class _Average(AveragedModel):
    """torch's, updated without a wait for the device, which torch's own asks for its count at each update.

    On a GPU the mean of whole numbers, which a batch norm counts its batches in, is theirs on the CPU as well: cut off.
    """

    count = 0
    """`n_averaged`, known to the host."""

    @torch.no_grad()
    def update_parameters(self, model: torch.nn.Module) -> None:
        of = _tensors if self.use_buffers else torch.nn.Module.parameters
        pairs = [
            (mean.detach(), new.detach().to(mean.device)) for mean, new in zip(of(self.module), of(model), strict=True)
        ]
        if not self.count:
            for mean, new in pairs:
                mean.copy_(new)
        elif self.avg_fn is not None:
            for mean, new in pairs:
                mean.copy_(self.avg_fn(mean, new, self.n_averaged.to(mean.device)))
        else:
            for means, news in _alike(pairs):
                self._average(means, news)
        if not self.use_buffers:
            for kept, new in zip(self.module.buffers(), model.buffers(), strict=True):
                kept.detach().copy_(new.detach())
        self.n_averaged += 1
        self.count += 1

    def _average(self, means: list[Tensor], news: list[Tensor]) -> None:
        """Average in tensors of one device and type: by the function that was given, or each step with equal weight."""
        first = means[0]
        if self.multi_avg_fn is not None:
            self.multi_avg_fn(tuple(means), tuple(news), self.n_averaged.to(first.device))
        elif first.device.type != "cpu" and (first.is_floating_point() or first.is_complex()):
            get_swa_multi_avg_fn()(tuple(means), tuple(news), self.count)
        else:
            for mean, new in zip(means, news, strict=True):
                mean.copy_(mean + (new - mean) / (self.count + 1))


def _alike(pairs: list[tuple[Tensor, Tensor]]) -> list[tuple[list[Tensor], list[Tensor]]]:
    """``pairs`` apart by device, type and the processes they are cut over: lists of the first and of the second."""
    groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
    for one, other in pairs:
        ones, others = groups.setdefault((one.device, one.dtype, getattr(one, "device_mesh", None)), ([], []))
        ones.append(one)
        others.append(other)
    return list(groups.values())


def _exponential(averaged: list[Tensor], current: list[Tensor], count: Tensor, decay: float) -> None:
    # torch's own function is a closure, which cannot be pickled; a callback must be.
    get_ema_multi_avg_fn(decay)(averaged, current, count)


def _tensors(module: torch.nn.Module) -> chain[Tensor]:
    return chain(module.parameters(), module.buffers())


def _check_averaging(kwargs: dict[str, Any]) -> None:
    unknown = kwargs.keys() - {"avg_fn", "multi_avg_fn"}
    if unknown:
        raise TypeError(
            f"WeightAveraging has no argument {', '.join(map(repr, sorted(unknown)))}. It takes device, use_buffers, "
            "and avg_fn or multi_avg_fn."
        )
    given = {name: function for name, function in kwargs.items() if function is not None}
    if len(given) > 1:
        raise ValueError("WeightAveraging(avg_fn=..., multi_avg_fn=...): both say how to average. Pass one of them.")
    for name, function in given.items():
        if not callable(function):
            raise TypeError(f"WeightAveraging({name}={function!r}): a function was expected.")
