"""Scores rows in order of time, piece by piece; pieces give the numbers of the whole."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fulgurite.anomaly.model import Model, Scored
from fulgurite.anomaly.past import Past
from fulgurite.anomaly.series import Series, chunks
from fulgurite.anomaly.verdict import joined

CHUNK = 65_536  # rows that a model sees at once: what it builds of their windows is no more than this asks for


class Scorer:
    """A model and what it remembers of the rows before: its own memory, and the past that scores are measured by.

    Without a ``past`` the raw score stands as it is.
    """

    def __init__(self, model: Model, past: Past | None) -> None:
        self.model, self.past = model, past
        self.memory: dict[str, Any] = {}

    def score(self, series: Series, done: Callable[[int], object] | None = None) -> tuple[np.ndarray, Scored]:
        """The score of each row and the parts that sum to it; the rows are remembered.

        ``done`` is told of each piece how many rows it had.
        """
        pieces = []
        for part in chunks(series, CHUNK):
            pieces.append(self.model.score(part, self.memory))
            if done is not None:
                done(len(part))
        return self._measured(joined(pieces, len(self.model.part_names)))

    def _measured(self, scored: Scored) -> tuple[np.ndarray, Scored]:
        if self.past is None:
            return scored.raw, scored
        score = self.past.update(scored.raw)
        return score, replace(scored, parts=shares(scored.parts) * score[:, None])

    def copy(self, anew: bool = False) -> "Scorer":
        """One that goes on from here by itself; ``anew`` forgets the rows, but not what scores are measured by."""
        twin = Scorer(self.model, copy.deepcopy(self.past))
        twin.memory = {} if anew else copy.deepcopy(self.memory)
        return twin

    def state_dict(self) -> dict[str, Any]:
        return {"memory": self.memory, "past": None if self.past is None else self.past.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.memory = dict(state["memory"])
        if self.past is not None:
            self.past.load_state_dict(state["past"])


def shares(parts: np.ndarray) -> np.ndarray:
    """How much of a row's score each part has (n, p); they sum to one, and are equal where the whole is nothing."""
    size = np.abs(parts)
    whole = size.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole == 0, 1 / parts.shape[1], size / whole)
