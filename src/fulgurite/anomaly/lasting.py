"""What lasts is no news: the own scores of rows, from which those are taken that have been so for long."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fulgurite.anomaly.past import MOST


class Lasting:
    """Takes from rows' own scores what they have been lately, once that has been strange for long.

    Where at least half of the last ``rows`` rows are more than 3 standard deviations above the past, a change has come
    to stay. What is left of a score is then what it is above the mean of the last half of these rows, so that flags end
    and only what is strange even now is flagged. Half of ``rows`` quiet rows later all is as before. 0 rows: nothing is
    ever taken.
    """

    def __init__(self, rows: int = 0) -> None:
        self.rows = rows
        self.latest = np.empty(0)

    def update(self, own: np.ndarray) -> np.ndarray:
        """What is new in the own scores (n,) of the next rows; NaN gives NaN and is not remembered."""
        if not self.rows:
            return own
        left, known = own.copy(), ~np.isnan(own)
        left[known] = self._news(own[known])
        return left

    def forget_last(self) -> None:
        """Forget the last rows: rows of another time follow."""
        self.latest = np.empty(0)

    def _news(self, own: np.ndarray) -> np.ndarray:
        joined = np.concatenate([self.latest, own])
        strange = _means(joined > MOST, self.rows)[len(self.latest) :]
        lately = _means(joined, self.rows // 2)[len(self.latest) :]
        self.latest = joined[-self.rows :]
        return np.where(strange >= 0.5, np.maximum(own - lately, 0), own)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "latest": self.latest.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Lasting":
        found = cls(state["rows"])
        found.latest = np.array(state["latest"], np.float64)
        return found


def _means(values: np.ndarray, rows: int) -> np.ndarray:
    """The sum of the last ``rows`` values at each of them, over ``rows``: what is before the first counts as 0."""
    sums = np.concatenate([np.zeros(1), np.cumsum(values, dtype=np.float64)])
    end = np.arange(1, len(values) + 1)
    return (sums[end] - sums[np.maximum(end - rows, 0)]) / rows
