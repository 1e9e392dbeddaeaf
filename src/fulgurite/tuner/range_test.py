"""The learning rate range test: the loss at each of many rates, and what it suggests."""

import math
from typing import Any

import torch

from fulgurite.base.arguments import checked
from fulgurite.base.optional import require
from fulgurite.base.rank import rank_zero_warn

MODES = ("exponential", "linear")
MEMORY = 0.98
"""Share of the running loss that stays at each step."""


class RangeTest:
    """The rates of a search and the losses at them: ``results["lr"]`` and ``results["loss"]``.

    The losses are running means, as single batches are noisy.
    """

    @checked
    def __init__(self, mode: str, lr_min: float, lr_max: float, num_training: int) -> None:
        if mode not in MODES:
            raise ValueError(f"mode={mode!r}: choose 'exponential' or 'linear'.")
        if not 0 < lr_min < lr_max < math.inf:
            raise ValueError(
                f"min_lr={lr_min!r}, max_lr={lr_max!r} (lr_min, lr_max): two finite rates above 0 were expected, in "
                "this order."
            )
        if isinstance(num_training, bool) or not isinstance(num_training, int) or num_training < 1:
            raise ValueError(
                f"num_training={num_training!r} (num_training_steps): the number of learning rates to try must "
                "be an int from 1."
            )
        self.mode, self.lr_min, self.lr_max, self.num_training = mode, lr_min, lr_max, num_training
        self.results: dict[str, list[float]] = {"lr": [], "loss": []}
        self.best = math.inf
        self._running = 0.0

    def rate(self, index: int) -> float:
        """The rate of step ``index``: the least at 0, the highest at the last."""
        # The first two are as far apart as two others are over two steps: so are Lightning's.
        share = (index + 1) / self.num_training if index else 0.0
        if self.mode == "linear":
            return self.lr_min + share * (self.lr_max - self.lr_min)
        return self.lr_min * (self.lr_max / self.lr_min) ** share

    def add(self, rate: float, loss: float) -> None:
        """Note the loss of one step at ``rate``."""
        count = len(self.results["lr"]) + 1
        self._running = MEMORY * self._running + (1 - MEMORY) * loss
        # The mean over `count` steps would be divided by 1 - MEMORY**count; Lightning is one ahead, and so are the
        # first losses too low. Its suggestions come of it.
        smooth = self._running / (1 - MEMORY ** (count + 1))
        self.results["lr"].append(rate)
        self.results["loss"].append(smooth)
        self.best = smooth if count == 1 else min(self.best, smooth)

    def diverged(self, threshold: float | None) -> bool:
        """Whether the last loss is beyond ``threshold`` times the best, or no number."""
        losses = self.results["loss"]
        if threshold is None or len(losses) < 2:
            return False
        return losses[-1] > threshold * self.best or not math.isfinite(losses[-1])

    def suggestion(self, skip_begin: int = 10, skip_end: int = 1) -> float | None:
        """Return the rate at which the loss falls steepest; None, with a warning, where too few losses are left.

        The first ``skip_begin`` and the last ``skip_end`` are left out, and so are those that are not finite.
        """
        index = self._steepest(skip_begin, skip_end)
        return None if index is None else self.results["lr"][index]

    def plot(self, suggest: bool = False, show: bool = False, ax: Any = None) -> Any:
        """Draw losses over rates, on ``ax`` or a new figure, and return the figure. Needs ``fulgurite[plot]``.

        ``suggest`` marks the suggestion, ``show`` opens a window.
        """
        pyplot = require("matplotlib.pyplot", "plot")
        figure, ax = pyplot.subplots() if ax is None else (ax.figure, ax)
        rates, losses = self.results["lr"], self.results["loss"]
        ax.plot(rates, losses)
        if self.mode == "exponential":
            ax.set_xscale("log")
        ax.set_xlabel("Learning rate")
        ax.set_ylabel("Loss")
        index = self._steepest(10, 1) if suggest else None
        if index is not None:
            ax.plot(rates[index], losses[index], "o", color="red", label=f"suggestion: {rates[index]:.3g}")
            ax.legend()
        if show:
            pyplot.show()
        return figure

    def _steepest(self, skip_begin: int, skip_end: int) -> int | None:
        losses, rates = self.results["loss"], self.results["lr"]
        kept = [index for index in range(skip_begin, len(losses) - skip_end) if math.isfinite(losses[index])]
        if len(kept) < 2:
            rank_zero_warn(
                f"There is no learning rate to suggest: {len(losses)} of {self.num_training} losses were measured, and "
                f"{len(kept)} are left without the first {skip_begin}, the last {skip_end} and those that are not "
                "finite. Try more rates, begin at a higher one, or skip fewer."
            )
            return None
        known = torch.tensor([losses[index] for index in kept], dtype=torch.float64)
        at = torch.tensor([rates[index] for index in kept], dtype=torch.float64)
        return kept[int(torch.gradient(known, spacing=(at,))[0].argmin())]
