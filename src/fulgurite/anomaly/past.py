"""Measures a score against its own past: how far, in its own standard deviations, it lies above what it has been."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

SMALLEST = 1e-6  # a raw score below it counts as it, since its logarithm is taken
NARROWEST = 0.05  # standard deviations of log scores below it count as it
MOST = 3.0  # standard deviations above the past with which a row enters it at most
WARM_UP = 20  # rows; a past of fewer says nothing, and scores are 0
FEW, MANY = 64, 4096  # rows that are taken at once, more and more while none is too high; few one by one where one was


class Past:
    """Turns raw scores, all >= 0, into normalised ones, all >= 0: 3 is far above what the score has been.

    On the logarithm of the raw score: the mean of the last ``rows`` rows, less the mean of the whole past, over the
    standard deviation of the past. A single row counts as well, less ``margin``, so that a spike of one row is not
    averaged away. A row enters the past with at most 3 standard deviations above it, so that one outage does not hide
    what comes after it. What is below 0 becomes 0, and a peak fades by 1/e in ``hold`` rows: what was strange a moment
    ago is not all well yet. A row's own score is what it has before fading; rows are flagged by that, so that an alarm
    ends when its cause does.

    ``offline`` looks ahead: means are brought forward by ``lead`` rows, and their peaks fade to both sides. The rows'
    own scores stay where they are, so that what is flagged is what happened. It needs all rows in one `update`.

    The idea is that of the anomaly likelihood of Lavin and Ahmad (2015), without its window and its tail function.
    """

    def __init__(
        self, rows: int = 10, margin: float = 2.0, hold: float = 48.0, offline: bool = False, lead: int = 0
    ) -> None:
        self.rows, self.margin, self.hold, self.offline, self.lead = rows, margin, hold, offline, lead
        self.count, self.total, self.squares = 0, 0.0, 0.0
        self.latest = np.empty(0)
        self.level = 0.0

    def update(self, raw: np.ndarray) -> np.ndarray:
        """The normalised scores (n,) of rows that follow those before; NaN gives NaN and is not remembered."""
        return self.measure(raw)[0]

    def measure(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scores that `update` gives, and the rows' own ones, both (n,)."""
        score, own = np.full(len(raw), np.nan), np.full(len(raw), np.nan)
        known = ~np.isnan(raw)
        if known.any():
            score[known], own[known] = self._measured(np.log(np.maximum(raw[known], SMALLEST)))
        return score, own

    def _measured(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = self.count + np.arange(1, len(logs) + 1)
        mean, spread = self._past_of(logs)
        lately = np.where(count < WARM_UP, 0.0, np.maximum((self._recent(logs) - mean) / spread, 0))
        own = np.where(count < WARM_UP, 0.0, np.maximum(lately, (logs - mean) / spread - self.margin))
        if self.offline:
            return np.maximum(_fading_both_ways(_brought_forward(lately, self.lead), self.hold), own), own
        held = fading(own, self.hold, self.level)
        self.level = float(held[-1])
        return held, own

    def _past_of(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean and the standard deviation of the past at each row, the row included."""
        mean, spread = np.empty(len(logs)), np.empty(len(logs))
        row, block = 0, FEW
        while row < len(logs):
            taken = self._usual(logs[row : row + block], mean[row:], spread[row:])
            row += taken
            if taken == block:
                block = min(2 * block, MANY)
            else:
                row, block = row + self._one_by_one(logs[row : row + FEW], mean[row:], spread[row:]), FEW
        return mean, spread

    def _usual(self, logs: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> int:
        """Take all rows up to the first that enters with less than it has, at once; how many there were.

        Sums grow in the order of rows, so that they are those of `_one_by_one` to the last bit.
        """
        if self.count < WARM_UP:
            return 0
        counts = self.count + np.arange(1, len(logs) + 1)
        totals = np.cumsum(np.concatenate([[self.total], logs]))[1:]
        squares = np.cumsum(np.concatenate([[self.squares], logs * logs]))[1:]
        middles = totals / counts
        widths = np.sqrt(np.maximum(squares / counts - middles * middles, NARROWEST * NARROWEST))
        middle, width = self._middle_and_width()
        most = np.concatenate([[middle], middles[:-1]]) + MOST * np.concatenate([[width], widths[:-1]])
        too_high = logs > most
        rows = int(too_high.argmax()) if too_high.any() else len(logs)
        mean[:rows], spread[:rows] = middles[:rows], widths[:rows]
        if rows:
            self.count, self.total, self.squares = self.count + rows, float(totals[rows - 1]), float(squares[rows - 1])
        return rows

    def _one_by_one(self, logs: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> int:
        """Take rows, the too high ones as if they were less; how many there were."""
        count, total, squares = self.count, self.total, self.squares
        middle, width = self._middle_and_width()
        for row, value in enumerate(logs.tolist()):  # in local names, since this is a slow loop
            if count >= WARM_UP and value > middle + MOST * width:
                value = middle + MOST * width
            count, total, squares = count + 1, total + value, squares + value * value
            middle = total / count
            variance = squares / count - middle * middle
            width = math.sqrt(variance) if variance > NARROWEST * NARROWEST else NARROWEST
            mean[row], spread[row] = middle, width
        self.count, self.total, self.squares = count, total, squares
        return len(logs)

    def _middle_and_width(self) -> tuple[float, float]:
        middle = self.total / max(self.count, 1)
        return middle, max(math.sqrt(max(self.squares / max(self.count, 1) - middle * middle, 0.0)), NARROWEST)

    def forget_last(self) -> None:
        """Forget the last rows, but not what has been usual: rows of another time follow."""
        self.latest, self.level = np.empty(0), 0.0

    def _recent(self, logs: np.ndarray) -> np.ndarray:
        """The mean of the last ``rows`` rows at each row; of fewer at the very start."""
        joined = np.concatenate([self.latest, logs])
        sums = np.concatenate([[0.0], np.cumsum(joined)])
        end = np.arange(len(self.latest) + 1, len(joined) + 1)
        start = np.maximum(end - self.rows, 0)
        self.latest = joined[-(self.rows - 1) :] if self.rows > 1 else np.empty(0)
        return (sums[end] - sums[start]) / (end - start)

    def state_dict(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in ("rows", "margin", "hold", "offline", "lead")}
        seen = {name: getattr(self, name) for name in ("count", "total", "squares", "level")}
        return {**settings, **seen, "latest": self.latest.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, np.array(value, np.float64) if name == "latest" else value)


def fading(score: np.ndarray, hold: float, level: float = 0.0) -> np.ndarray:
    """Each row's highest score so far, where a score of ``hold`` rows ago counts 1/e; ``level`` is the last one's.

    ``score`` (n,) is nowhere negative.
    """
    ages = np.arange(len(score) + 1) / hold
    with np.errstate(divide="ignore"):
        logs = np.log(np.concatenate([[level], score]))
    return np.exp(np.maximum.accumulate(logs + ages) - ages)[1:]


def _fading_both_ways(score: np.ndarray, hold: float) -> np.ndarray:
    return np.maximum(fading(score, hold), fading(score[::-1], hold)[::-1])


def _brought_forward(score: np.ndarray, lead: int) -> np.ndarray:
    later = np.arange(len(score)) + lead
    return score[np.minimum(later, len(score) - 1)]
