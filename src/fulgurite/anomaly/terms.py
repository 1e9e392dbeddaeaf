"""What may be strange about a window of rows: the terms whose weighted sum is the window model's raw score."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fulgurite.anomaly.network import WindowNetwork

#: A column's terms and their weights. `docs/explanation/anomaly.md` has the reason and the effect of each.
WEIGHTS = {"rebuild": 1.0, "recent": 1.0, "level": 1.0, "profile": 1.0, "flat": 3.0, "shape": 2.0, "shift": 0.5}
LATENT = 0.5  # the weight of the one term that is not of a column
FLAT_ROWS = 4
FINEST = 64  # points of a window in which shapes are compared
STEADY = 0.01  # scaled units: the deviation at which a flat line is as flat as can be
TAIL = 3.0  # scaled units; what is beyond counts by its logarithm
SMALLEST_SCALE = 1e-3
WILDEST = 5.5  # the greatest logarithm that is unfolded for a distance: squares of what is wilder hide all others


@dataclass
class Reading:
    """A batch of windows as `Terms` reads them, n windows of w rows of c columns.

    ``windows`` (n, c, w) are scaled and without gaps, ``before`` (n, c) the mean of the rows before the window's later
    half, ``usual`` (n, c) what the hour of the last row has usually, ``broken`` (n, c) 1 where one of the last four
    rows had no number, ``conditions`` (n, k) the calendar of the last row, ``codes`` (n, m) its categories.
    """

    windows: Tensor
    before: Tensor
    usual: Tensor
    broken: Tensor
    conditions: Tensor
    codes: Tensor

    def batch(self, rows: slice) -> "Reading":
        return Reading(*(tensor[rows] for tensor in vars(self).values()))

    def __len__(self) -> int:
        return len(self.windows)


class Terms(nn.Module):
    """From windows to the terms of their last rows; all that was learned is in its buffers, so that it exports whole.

    ``references`` windows are drawn from the training rows; a window far from all of them is strange.
    """

    scales: Tensor
    weights: Tensor
    reference_windows: Tensor
    reference_recents: Tensor

    def __init__(self, network: WindowNetwork, references: int, unfolds: bool = True) -> None:
        """``unfolds`` is whether shapes are compared without the logarithms of tails; before format 3 they had them."""
        super().__init__()
        self.network, self.unfolds = network, unfolds
        columns, window = network.columns, network.window
        self.recent = max(6, window // 8)
        self.coarse = -(-window // FINEST)  # rows that are averaged before shapes are compared
        points = window // self.coarse
        self.register_buffer("scales", torch.ones(columns * len(WEIGHTS) + 1))
        self.register_buffer("weights", _weights(columns))
        self.register_buffer("reference_windows", torch.zeros(columns, references, points))
        self.register_buffer("reference_recents", torch.zeros(columns, references, self.recent + network.conditions))

    def learn(self, reading: Reading) -> None:
        """Take the windows and conditions of ``reading`` as the references."""
        windows = reading.windows.transpose(0, 1)
        self.reference_windows = self._shape(windows).contiguous()
        self.reference_recents = self._recent(windows, reading.conditions).contiguous()

    def calibrate(self, terms: Tensor) -> None:
        """Take the 0.99 quantiles of ``terms`` (n, p), from rows that were not learned from, as the terms' scales."""
        self.scales = torch.quantile(terms, 0.99, dim=0).clamp(min=SMALLEST_SCALE)

    def forward(
        self, windows: Tensor, before: Tensor, usual: Tensor, broken: Tensor, conditions: Tensor, codes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The parts (n, p) of each window's raw score, and the last row (n, c) as it was expected, scaled."""
        terms, expected = self.terms(windows, before, usual, broken, conditions, codes)
        return self.weights * torch.log1p(terms / self.scales), expected

    def terms(
        self, windows: Tensor, before: Tensor, usual: Tensor, broken: Tensor, conditions: Tensor, codes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The terms (n, p), all >= 0: of column 0 in the order of `WEIGHTS`, of column 1, ..., and latent."""
        expected, divergence = self.network.expect(windows, conditions, codes)
        last = windows[:, :, -1]
        by_column = windows.transpose(0, 1)
        half = windows.shape[2] // 2
        columns = [
            nn.functional.smooth_l1_loss(expected, last, reduction="none"),
            nearest(self._recent(by_column, conditions), self.reference_recents).T,
            unfold_tail(last.abs()),
            (last - usual).abs(),
            (1 - broken) / (windows[:, :, -FLAT_ROWS:].std(dim=2, correction=0) + STEADY),
            nearest(self._shape(by_column), self.reference_windows).T,
            (windows[:, :, -half:].mean(dim=2) - before).abs(),
        ]
        stacked = torch.stack(columns, dim=2).flatten(1)
        return torch.cat([stacked, divergence[:, None]], dim=1), expected

    def _shape(self, by_column: Tensor) -> Tensor:
        """The windows (c, n, w) in at most `FINEST` points, so that distances are those of a mean row."""
        points = self.reference_windows.shape[2]
        latest = by_column[:, :, -points * self.coarse :]
        latest = unfolded(latest) if self.unfolds else latest
        return latest.unflatten(2, (points, self.coarse)).mean(dim=3) / points**0.5

    def _recent(self, by_column: Tensor, conditions: Tensor) -> Tensor:
        """The last rows of the windows (c, n, w) beside half the calendar: the same rows at another hour are others."""
        calendar = 0.5 * conditions.expand(len(by_column), -1, -1)
        return torch.cat([by_column[:, :, -self.recent :] / self.recent**0.5, calendar], dim=2)


def part_names(columns: tuple[str, ...]) -> tuple[str, ...]:
    return (*(f"{column}_{term}" for column in columns for term in WEIGHTS), "latent")


def nearest(points: Tensor, references: Tensor) -> Tensor:
    """The distance (c, n) of each of ``points`` (c, n, d) to the nearest of ``references`` (c, r, d)."""
    # |a - b|² = |a|² + |b|² - 2 a·b, as one product of matrices; rounding may leave a little below zero.
    cross = torch.baddbmm(references.square().sum(2)[:, None, :], points, references.transpose(1, 2), alpha=-2)
    return (cross.amin(dim=2) + points.square().sum(2)).clamp(min=0).sqrt()


def fold_tail(size: np.ndarray) -> np.ndarray:
    """Sizes >= 0, with logarithms beyond `TAIL`: a value a thousand times too big shall not rule all others."""
    return np.where(size > TAIL, TAIL + np.log1p(np.maximum(size - TAIL, 0)), size)


def unfold_tail(size: Tensor) -> Tensor:
    """The sizes before `fold_tail`."""
    return torch.where(size > TAIL, TAIL + torch.expm1((size - TAIL).clamp(min=0, max=60)), size)


def unfolded(scaled: Tensor) -> Tensor:
    """Scaled values without the logarithms of their tails, so that the wildest window is the furthest."""
    logs = nn.functional.hardtanh(scaled.abs() - TAIL, 0.0, WILDEST)
    return scaled + scaled.sign() * (torch.expm1(logs) - logs)


def _weights(columns: int) -> Tensor:
    return torch.tensor([*list(WEIGHTS.values()) * columns, LATENT])
