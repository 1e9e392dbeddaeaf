"""The offline score: once all rows are there, each is ranked by what came before and after it."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fulgurite.anomaly.past import Past
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.surroundings import Surroundings

LEAD = 5  # rows, half of those that a past averages: the mean of rows on both sides


class Hindsight:
    """Surroundings and the pasts that they are measured by, of which each row's is the middle of what it looks at.

    The windows of each width have a past of their own: distances of some widths vary more than those of others, which
    they would drown in a common sum.
    """

    def __init__(self, surroundings: Surroundings, pasts: Sequence[Past] | None = None) -> None:
        self.surroundings = surroundings
        self.pasts = pasts or [Past(offline=True, lead=LEAD) for _ in surroundings.widths]
        self.memory: dict[str, Any] = {}

    @property
    def part_names(self) -> tuple[str, ...]:
        return self.surroundings.part_names

    def learn(self, learned: Series, rest: Series) -> None:
        """Come to the end of training: take the scales, and the pasts, from rows that were not learned from."""
        self.distances(learned.rows(max(0, len(learned) - self.surroundings.widths[-1])))
        distances = self.distances(rest)[np.isfinite(rest.value)]
        self.surroundings.calibrate(distances)
        self._measured(distances)

    def distances(self, series: Series) -> np.ndarray:
        """The distances (n, widths, c) of the next rows, which may come in pieces and are remembered."""
        return self.surroundings.distances(series, self.memory)

    def judge(self, distances: Sequence[np.ndarray], known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scores (n,) of all rows' surroundings, and the parts (n, c) from which they are.

        ``distances`` are those of all pieces, one after another; rows that are not ``known`` (n,) have no score.
        """
        if not len(known):
            return np.empty(0), np.empty((0, len(self.part_names)))
        centred = self.surroundings.centred(np.concatenate(distances))
        centred[~known] = np.nan
        return self._measured(centred), self.surroundings.parts(centred)

    def _measured(self, distances: np.ndarray) -> np.ndarray:
        """The root of the mean square, over the widths that are known, of what their pasts say."""
        sizes = self.surroundings.sizes(distances).sum(axis=2)
        scores = np.stack([past.update(sizes[:, place]) for place, past in enumerate(self.pasts)], axis=1)
        known = np.isfinite(scores)
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.where(known, scores**2, 0.0).sum(axis=1) / known.sum(axis=1))

    def copy(self, anew: bool = False) -> "Hindsight":
        """One that goes on from here by itself; ``anew`` forgets the rows, but not what scores are measured by."""
        twin = Hindsight(self.surroundings, [copy.deepcopy(past) for past in self.pasts])
        if not anew:
            twin.memory = dict(self.memory)
            return twin
        for past in twin.pasts:
            past.forget_last()
        return twin

    def state_dict(self) -> dict[str, Any]:
        return {
            "surroundings": self.surroundings.state_dict(),
            "memory": self.memory,
            "pasts": [past.state_dict() for past in self.pasts],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Hindsight":
        found = cls(Surroundings.from_state(state["surroundings"]))
        found.memory = dict(state["memory"])
        for past, saved in zip(found.pasts, state["pasts"], strict=True):
            past.load_state_dict(saved)
        return found
