"""Changes the number of batches that make one optimizer step, from epoch to epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn
from fulgurite.core.callback import Callback
from fulgurite.core.module import LightningModule
from fulgurite.runtime.hooks import overrides

if TYPE_CHECKING:
    from fulgurite.trainer import Trainer


class GradientAccumulationScheduler(Callback):
    """Accumulate over ``scheduling[epoch]`` batches from that epoch on; over one before the first that is named.

    Epochs count from 0: ``{0: 8, 4: 4, 8: 1}`` takes steps of 8 batches in the first four epochs, of 4 in the next
    four, and of one batch afterwards. A resumed run goes on with the factor of its epoch. The callback sets
    ``trainer.accumulate_grad_batches`` and, when the run ends, gives it back as 1; what is read from
    ``trainer.estimated_stepping_batches`` in between counts with the factor of the moment.

    Raises ``ValueError`` where the Trainer accumulates itself, ``RuntimeError`` under manual optimisation.
    """

    def __init__(self, scheduling: dict[int, int]) -> None:
        _check(scheduling)
        self.scheduling = {0: 1, **scheduling}
        self.epochs = sorted(self.scheduling)
        self._in_charge = False

    def going_to_accumulate_grad_batches(self) -> bool:
        """Whether any epoch accumulates."""
        return any(factor > 1 for factor in self.scheduling.values())

    def get_accumulate_grad_batches(self, epoch: int) -> int:
        """The number of batches that make one step in ``epoch``."""
        return self.scheduling[max(begin for begin in self.epochs if begin <= epoch)]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if not pl_module.automatic_optimization:
            raise RuntimeError(
                "GradientAccumulationScheduler cannot tell a module with manual optimization when to step. Remove the "
                "callback and step every so many batches in `training_step`, or optimize automatically."
            )
        if trainer.accumulate_grad_batches != 1:
            raise ValueError(
                f"accumulate_grad_batches={trainer.accumulate_grad_batches} of the Trainer and "
                f"GradientAccumulationScheduler({self.scheduling}) both decide how many batches make a step. "
                "Leave one of them out."
            )
        for hook in ("optimizer_step", "optimizer_zero_grad"):
            if overrides(pl_module, hook, LightningModule):
                rank_zero_warn(
                    f"{type(pl_module).__name__} overrides `{hook}`, which is called once in each accumulation window "
                    "and not for each batch while GradientAccumulationScheduler is in use."
                )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not only at the epoch's start: a run that is resumed inside an epoch sees no start of it.
        self._in_charge = True
        trainer.accumulate_grad_batches = self.get_accumulate_grad_batches(trainer.current_epoch)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.accumulate_grad_batches = self.get_accumulate_grad_batches(trainer.current_epoch)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._in_charge:
            self._in_charge = False
            trainer.accumulate_grad_batches = 1


def _check(scheduling: dict[int, int]) -> None:
    if not isinstance(scheduling, dict) or not scheduling:
        raise TypeError(
            f"GradientAccumulationScheduler(scheduling={scheduling!r}): a dict that is not empty was expected, from "
            "epoch to number of batches, such as {0: 4, 8: 1}."
        )
    for what, numbers, least in (("epochs", scheduling, 0), ("factors", scheduling.values(), 1)):
        wrong = [number for number in numbers if type(number) is not int or number < least]
        if wrong:
            raise MisconfigurationException(
                f"GradientAccumulationScheduler(scheduling={scheduling!r}): the {what} must be int, {least} or more, "
                f"not {', '.join(map(repr, wrong))}."
            )
