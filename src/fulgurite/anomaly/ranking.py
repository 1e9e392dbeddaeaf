"""What rows are ranked by: their own scores where these are high, and the windows around them everywhere else."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fulgurite.anomaly.past import Past

HIGH = 2.25  # standard deviations; an own score above it ranks a row
HIGH_BEFORE = 2.0  # what it was before format 3
TIMES = 3.0  # as often as a window's score an own one counts, so that a spike is above the windows that hold it


class Ranking:
    """Ranks rows as they come, by the window that ends with each and by their own scores.

    The parts at ``places`` tell of the window as a whole. Their sum is measured by a past of its own, since the other
    parts, of which most are quiet most of the time, would blur it.
    """

    def __init__(self, places: Sequence[int], past: Past | None = None) -> None:
        self.places, self.past = list(places), past or Past()

    def update(self, parts: np.ndarray, own: np.ndarray, least: float = HIGH) -> np.ndarray:
        """The scores (n,) of the next rows, from the parts (n, p) of their raw scores and their own scores (n,).

        An own score counts above ``least``.
        """
        return higher(own, self.past.update(parts[:, self.places].sum(axis=1)), least)

    def state_dict(self) -> dict[str, Any]:
        return {"places": self.places, "past": self.past.state_dict()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Ranking":
        found = cls(state["places"])
        found.past.load_state_dict(state["past"])
        return found


def higher(own: np.ndarray, around: np.ndarray, least: float = HIGH) -> np.ndarray:
    """The greater of rows' own scores, as far as they are high, and a third of ``around``; NaN where either is."""
    return np.maximum(high(own, least), around / TIMES)


def high(own: np.ndarray, least: float = HIGH) -> np.ndarray:
    """Rows' own scores where they are above ``least``, and 0 elsewhere; NaN stays."""
    return np.where(own > least, own, 0 * own)
