"""The offline score: once all rows are there, each is ranked by what came before and after it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fulgurite.anomaly.past import MOST, Past
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.surroundings import Surroundings

LEAD = 5  # rows, half of those that a past averages: the mean of rows on both sides


class Hindsight:
    """Surroundings and the past that they are measured by, of which each row's is the middle of what it looks at.

    A row's score is that of its surroundings. A row that is strange by itself, with a score of its own above 3 standard
    deviations, has that on top: what is around a spike is as strange as the spike.
    """

    def __init__(self, surroundings: Surroundings, past: Past | None = None) -> None:
        self.surroundings, self.past = surroundings, past or Past(offline=True, lead=LEAD)
        self.memory: dict[str, Any] = {}

    @property
    def part_names(self) -> tuple[str, ...]:
        return self.surroundings.part_names

    def learn(self, learned: Series, rest: Series) -> None:
        """Come to the end of training: take the scales, and the past, from rows that were not learned from."""
        self.distances(learned.rows(max(0, len(learned) - self.surroundings.widths[-1])))
        distances = self.distances(rest)[np.isfinite(rest.value)]
        self.surroundings.calibrate(distances)
        self.past.update(self.surroundings.parts(distances).sum(axis=1))

    def distances(self, series: Series) -> np.ndarray:
        """The distances (n, widths, c) of the next rows, which may come in pieces and are remembered."""
        return self.surroundings.distances(series, self.memory)

    def judge(self, distances: Sequence[np.ndarray], known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scores (n,) of all rows' surroundings, and the parts (n, c) from which they are.

        ``distances`` are those of all pieces, one after another; rows that are not ``known`` (n,) have no score.
        """
        if not len(known):
            return np.empty(0), np.empty((0, len(self.part_names)))
        parts = self.surroundings.parts(self.surroundings.centred(np.concatenate(distances)))
        parts[~known] = np.nan
        return self.past.update(parts.sum(axis=1)), parts

    def copy(self, anew: bool = False) -> "Hindsight":
        """One that goes on from here by itself; ``anew`` forgets the rows, but not what scores are measured by."""
        past = Past()
        past.load_state_dict(self.past.state_dict())
        twin = Hindsight(self.surroundings, past)
        if anew:
            past.forget_last()
        else:
            twin.memory = dict(self.memory)
        return twin

    def state_dict(self) -> dict[str, Any]:
        return {
            "surroundings": self.surroundings.state_dict(),
            "memory": self.memory,
            "past": self.past.state_dict(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Hindsight":
        found = cls(Surroundings.from_state(state["surroundings"]))
        found.memory = dict(state["memory"])
        found.past.load_state_dict(state["past"])
        return found


def strange(own: np.ndarray) -> np.ndarray:
    """Rows' own scores where they are above 3, and 0 elsewhere; NaN stays."""
    return np.where(own > MOST, own, 0 * own)
