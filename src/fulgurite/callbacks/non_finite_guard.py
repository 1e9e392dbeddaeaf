"""Watches for a loss or gradients that are no numbers, and does something about them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.pieces import is_piece
from fulgurite.base.rank import rank_zero_warn
from fulgurite.core.callback import Callback
from fulgurite.runtime.snapshot import training_of

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer

PATIENCE = {"stop": 0, "skip": 10, "rollback": 3}
RATES = ("lr", "initial_lr", "max_lr", "min_lr")
LOSS, GRADIENT = 1, 2
WHAT = {LOSS: "loss", GRADIENT: "gradient", LOSS + GRADIENT: "loss and gradient"}


class NonFiniteGuard(Callback):
    """Act when the loss or a gradient is NaN or infinite: stop, skip the step, or go back to weights that were good.

    - ``action="stop"`` ends training once more than ``patience`` steps in a row were bad (default 0). The bad steps
      themselves are left out, so that the last weights are good ones: on the CPU, with ``check_every_n_steps=1``, and
      where an optimizer made with ``fused=True`` is told on the device; on a GPU otherwise they are in the weights by
      the time that they are seen.
    - ``"skip"`` leaves weights, buffers and optimizer as if the step had not been; while gradients accumulate that is
      the whole window. More than ``patience`` in a row (default 10) end training. ``global_step`` counts them.
    - ``"rollback"`` puts back weights, optimizer and schedulers as they were in the last good checkpoint, from a copy
      in the host's memory: it is made whenever a checkpoint is saved, and every ``snapshot_every_n_steps``, if all was
      good until then. Training goes on with the data that follow, and with
      learning rates ``lr_factor`` times as high. More than ``patience`` rollbacks to one copy (default 3) end training,
      with the weights of that copy.

    A warning says what happened, at which batch; ``bad_steps``, ``in_a_row`` and ``rollbacks`` count, also across a
    resumed run. ``min_epochs`` and ``min_steps`` hold: training ends as soon as they allow.

    On a GPU the findings stay on the device and are looked at every ``check_every_n_steps`` (default 50 there, and 1 on
    the CPU), and before each validation and the end of an epoch, so that no step waits. ``"skip"`` must know before
    the step: optimizers made with ``fused=True`` are told on the device and nothing waits; for others the host waits
    for the gradients in each step. Under ``"16-mixed"`` the gradient scaler skips bad steps itself, on which it
    depends: gradients are then its business, and only a bad loss counts here.
    """

    _bad_loss: Tensor | None
    """Whether a loss of the running window was bad; on the device, as all that is found."""
    _found: list[tuple[Tensor, int, int]]
    """What was bad about each step since the last check, with its epoch and batch."""
    _told: list[Optimizer]
    _buffers: list[Tensor]
    _earlier: list[Tensor]
    """The buffers as they were before the window."""
    _good: _Good | None

    @checked
    def __init__(
        self,
        action: str = "stop",
        patience: int | None = None,
        check_every_n_steps: int | None = None,
        check_gradients: bool = True,
        snapshot_every_n_steps: int = 100,
        lr_factor: float = 1.0,
    ) -> None:
        if action not in PATIENCE:
            raise MisconfigurationException(
                f"NonFiniteGuard(action={action!r}): choose {', '.join(map(repr, PATIENCE))}."
            )
        self.action = action
        self.patience = PATIENCE[action] if patience is None else _count("patience", patience, 0)
        if check_every_n_steps is not None:
            _count("check_every_n_steps", check_every_n_steps, 1)
        self.check_every_n_steps = check_every_n_steps
        self.check_gradients = check_gradients
        self.snapshot_every_n_steps = _count("snapshot_every_n_steps", snapshot_every_n_steps, 1)
        if not 0 < lr_factor <= 1:
            raise MisconfigurationException(
                f"NonFiniteGuard(lr_factor={lr_factor!r}): above 0 and up to 1 is expected."
            )
        self.lr_factor = lr_factor
        self.bad_steps = self.in_a_row = self.rollbacks = 0
        self._of_before: dict[str, Any] = {}
        self._forget()

    def state_dict(self) -> dict[str, Any]:
        state = {"bad_steps": self.bad_steps, "in_a_row": self.in_a_row, "rollbacks": self.rollbacks}
        open_window = {"bad_loss": self._bad_loss, "buffers": self._earlier, "found": self._found}
        return state | {name: value for name, value in open_window.items() if value is not None and value != []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._of_before = {name: state_dict.get(name) for name in ("bad_loss", "buffers", "found")}
        self.bad_steps, self.in_a_row = state_dict["bad_steps"], state_dict["in_a_row"]
        self.rollbacks = state_dict["rollbacks"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.action == "skip" and any(isinstance(each, LBFGS) for each in trainer.optimizers):
            raise MisconfigurationException(
                "NonFiniteGuard(action='skip') cannot leave out a step of LBFGS, which evaluates the loss several "
                "times in it. Use 'stop' or 'rollback'."
            )
        self._forget()
        self._ranks = trainer.world_size
        self._every = self.check_every_n_steps or (1 if pl_module.device.type == "cpu" else 50)
        # A step that is looked at anyhow is looked at before it is made.
        sees_each = pl_module.device.type == "cpu" or self._every == 1
        self._knows = sees_each and not any(isinstance(each, LBFGS) for each in trainer.optimizers)
        looks_ahead = self.action == "skip" or (self.action == "stop" and self._knows)
        self._buffers = list(pl_module.buffers()) if looks_ahead else []
        self._take_up(pl_module.device)
        if self.action == "rollback":
            self._good = _Good(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._buffers and not self._earlier:
            # Running statistics take in the batch before anybody knows what its loss is.
            self._earlier = [buffer.clone() for buffer in self._buffers]

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        bad = ~torch.isfinite(loss.detach())
        self._bad_loss = bad if self._bad_loss is None else self._bad_loss | bad

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        scaled = trainer.precision_plugin.scaler is not None
        code = self._code(optimizer, pl_module.device, look_at_gradients=self.check_gradients and not scaled)
        progress = trainer.progress
        self._found.append((code, progress.epoch, progress.batches_ready - 1))
        if self._buffers:
            self._put_back_buffers(code > 0)
        if scaled or self.action == "rollback":
            return
        if self.action == "skip" or self._knows or _is_told_on_device(optimizer):
            self._leave_out(optimizer, code)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        for optimizer in self._told:
            del optimizer.found_inf  # type: ignore[attr-defined]
        self._told.clear()
        if trainer.progress.window_closed or not pl_module.automatic_optimization:
            self._bad_loss, self._earlier = None, []
            if len(self._found) >= self._every:
                self._check(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        good = self._good
        if good is not None and good.step != trainer.global_step and self._all_was_good():
            self._good = _Good(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._forget()

    def _forget(self) -> None:
        self._every, self._knows, self._ranks = 1, False, 1
        self._bad_loss = self._good = None
        self._found, self._told, self._buffers, self._earlier = [], [], [], []

    def _take_up(self, device: torch.device) -> None:
        """Go on with the open window, and the steps that nobody had looked at, when the checkpoint was written."""
        before, self._of_before = self._of_before, {}
        bad_loss, buffers, found = (before.get(name) for name in ("bad_loss", "buffers", "found"))
        self._bad_loss = None if bad_loss is None else bad_loss.to(device)
        self._earlier = [buffer.to(device) for buffer in buffers or ()]
        self._found = [(code.to(device), epoch, batch_idx) for code, epoch, batch_idx in found or ()]

    def _code(self, optimizer: Optimizer, device: torch.device, look_at_gradients: bool) -> Tensor:
        """What is bad about this step, as a number on the device: nothing, `LOSS`, `GRADIENT` or their sum.

        It is the same on all ranks: what only one of them sees, all have to do the same about.
        """
        loss = gradient = torch.zeros((), dtype=torch.int8, device=device)
        if self._bad_loss is not None:
            loss = self._bad_loss.to(device, torch.int8).reshape(())
        gradients = _gradients(optimizer) if look_at_gradients else []
        if gradients:
            # The largest of each: a sum of squares could overflow where no gradient does.
            own = [each.to_local() if is_piece(each) else each for each in gradients]  # type: ignore[attr-defined]
            largest = torch.stack([norm.float().to(device) for norm in torch._foreach_norm(own, math.inf)])
            gradient = (~torch.isfinite(largest).all()).to(torch.int8)
        if self._ranks > 1:
            both = torch.stack([loss, gradient])
            torch.distributed.all_reduce(both, torch.distributed.ReduceOp.MAX)
            loss, gradient = both.unbind()
        return LOSS * loss + GRADIENT * gradient

    def _leave_out(self, optimizer: Optimizer, code: Tensor) -> None:
        if _is_told_on_device(optimizer):
            # What a gradient scaler sets.
            optimizer.found_inf = (code > 0).float()  # type: ignore[attr-defined]
            self._told.append(optimizer)
        elif bool(code):
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    # An optimizer passes over what has no gradient, its memory of it included.
                    parameter.grad = None

    def _put_back_buffers(self, bad: Tensor) -> None:
        for buffer, earlier in zip(self._buffers, self._earlier, strict=False):
            buffer.copy_(torch.where(bad, earlier, buffer))

    def _check(self, trainer: Trainer) -> None:
        """Look at what was found since the last time: the one moment at which the host waits for the device."""
        found, self._found = self._found, []
        codes = torch.stack([code for code, _, _ in found]).tolist() if found else []
        bad, longest = [], 0
        for code, (_, epoch, batch_idx) in zip(codes, found, strict=True):
            self.in_a_row = self.in_a_row + 1 if code else 0
            longest = max(longest, self.in_a_row)
            if code:
                bad.append(f"{WHAT[code]} in epoch {epoch}, batch {batch_idx}")
        self.bad_steps += len(bad)
        if self.action == "rollback":
            self._go_back(trainer, bad)
        elif bad:
            ends = longest > self.patience
            trainer.should_stop = trainer.should_stop or ends
            done = "Skipped" if self.action == "skip" or self._knows else "The weights may be spoilt by it"
            rank_zero_warn(_said(bad, done + ("; training ends." if ends else ".")))

    def _all_was_good(self) -> bool:
        """Whether the last step was, as far as was looked at, and those since: a save waits for the device anyhow."""
        codes = [code for code, _, _ in self._found]
        return not (bool(torch.stack(codes).any()) if codes else self.in_a_row)

    def _go_back(self, trainer: Trainer, bad: list[str]) -> None:
        good = self._good
        if good is None or not bad:
            if good is not None and trainer.global_step - good.step >= self.snapshot_every_n_steps:
                self._good = _Good(trainer)
            return
        good.tries += 1
        self.rollbacks += 1
        lost = trainer.global_step - good.step
        good.restore(trainer, self.lr_factor**good.tries)
        ends = good.tries > self.patience
        trainer.should_stop = trainer.should_stop or ends
        rank_zero_warn(
            _said(
                bad,
                f"Went back to the weights of step {good.step}, {lost} steps before "
                f"(snapshot_every_n_steps={self.snapshot_every_n_steps})" + ("; training ends." if ends else "."),
            )
        )


class _Good:
    """What training had learnt at a step when all was well."""

    def __init__(self, trainer: Trainer) -> None:
        assert trainer._session is not None
        self.step, self.tries = trainer.global_step, 0
        self._restore = training_of(trainer._session)

    def restore(self, trainer: Trainer, factor: float) -> None:
        """Put it back, with learning rates ``factor`` times as high as they were then."""
        self._restore()
        for weight in trainer.lightning_module.parameters():
            weight.grad = None
        if factor == 1:
            return
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group.update({name: group[name] * factor for name in RATES if name in group})
        for config in trainer.lr_scheduler_configs:
            if hasattr(config.scheduler, "base_lrs"):
                config.scheduler.base_lrs = [rate * factor for rate in config.scheduler.base_lrs]


def _is_told_on_device(optimizer: Optimizer) -> bool:
    """Whether the optimizer leaves out a step by a flag on the device, as fused ones do.

    Not its first: what it remembers is only made then.
    """
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False) and optimizer.state)


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    found = [parameter.grad for group in optimizer.param_groups for parameter in group["params"]]
    dense = [each.coalesce().values() if each.is_sparse else each for each in found if each is not None]
    return [each for each in dense if each.numel()]


def _said(bad: list[str], done: str) -> str:
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"NonFiniteGuard: NaN or infinite {bad[0]}{more}. {done}"


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise MisconfigurationException(f"NonFiniteGuard({name}={value!r}): an int from {least} was expected.")
    return value
