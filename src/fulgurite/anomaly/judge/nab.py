"""The score of the Numenta Anomaly Benchmark for flags as they stand.

Definition: Lavin and Ahmad: "Evaluating Real-time Anomaly Detection Algorithms - the Numenta Anomaly Benchmark", ICMLA
2015, standard profile. The first flagged row of a window earns up to 1, the earlier the more; a window without one
costs 1; a flagged row elsewhere costs up to 0.11, the less the closer it follows a window. The benchmark searches the
one threshold for all files that suits its labels best; here flags come from a threshold fixed before, so that numbers
are lower than those on its board, and can't be compared with them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fulgurite.anomaly.judge.vus import runs

FALSE_POSITIVE = 0.11


@dataclass(frozen=True)
class Nab:
    """The score of one file before it is set against others: ``raw`` between about -windows - 0.11 rows and windows."""

    raw: float
    windows: int


def nab(labels: np.ndarray, flags: np.ndarray) -> Nab:
    """Score flags against windows, the runs of True in ``labels``.

    All rows count: where a model has learned from rows before these, there is nothing to get used to.
    """
    labels, flags = np.asarray(labels) > 0, np.asarray(flags) > 0
    windows = runs(labels)
    worth = worth_of_rows(labels)
    found = [worth[first : last + 1][flags[first : last + 1]].max(initial=-1.0) for first, last in windows]
    return Nab(float(np.sum(found) + worth[flags & ~labels].sum()), len(windows))


def normalised(scores: Iterable[Nab]) -> float | None:
    """All files together: 0 for no flag at all, 100 for the first row of every window and none else.

    None where there are no windows.
    """
    scores = list(scores)
    windows = sum(score.windows for score in scores)
    return 100 * (sum(score.raw for score in scores) + windows) / (2 * windows) if windows else None


def worth_of_rows(labels: np.ndarray) -> np.ndarray:
    """What a flag in each row earns (in a window, if it is the first there) or costs (elsewhere)."""
    worth = np.full(len(labels), -FALSE_POSITIVE)
    windows = runs(labels)
    until_next = np.append(windows[:, 0], len(labels))[1:]
    for (first, last), until in zip(windows, until_next, strict=True):
        width = last - first + 1
        worth[first : last + 1] = _sigmoid(np.arange(-width, 0) / width) / _sigmoid(np.array(-1.0))
        worth[last + 1 : until] = FALSE_POSITIVE * _sigmoid(np.arange(1, until - last) / max(width - 1, 1))
    return worth


def _sigmoid(place: np.ndarray) -> np.ndarray:
    """1 far before the end of a window, 0 at it, -1 far behind it; -1 from three window widths on."""
    return np.where(place > 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(place, 3))) - 1)
