"""Scores rows in order of time, piece by piece; pieces give the numbers of the whole."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fulgurite.anomaly.model import Model, Scored
from fulgurite.anomaly.past import Past
from fulgurite.anomaly.series import Series, chunks

CHUNK = 65_536  # rows that a model sees at once: what it builds of their windows is no more than this asks for


class Scorer:
    """A model and what it remembers of the rows before: its own memory, and the past that scores are measured by.

    Without a ``past`` the raw score stands as it is.
    """

    def __init__(self, model: Model, past: Past | None) -> None:
        self.model, self.past = model, past
        self.memory: dict[str, Any] = {}

    def score(
        self, series: Series, done: Callable[[int], object] | None = None
    ) -> tuple[np.ndarray, np.ndarray, Scored]:
        """The score of each row, its own score before it fades, and the parts that sum to the former.

        The rows are remembered. ``done`` is told of each piece how many rows it had. Beside the result, 8 bytes a row
        for each of its numbers, only a piece is in memory at once; a past that looks ahead takes a few times the score
        more.
        """
        score, own, whole = (
            np.empty(len(series)),
            np.empty(len(series)),
            _blank(len(series), len(self.model.part_names)),
        )
        ahead = self.past is not None and self.past.offline
        for start, part in zip(range(0, len(series), CHUNK), chunks(series, CHUNK), strict=True):
            rows = slice(start, start + CHUNK)
            _put(self.model.score(part, self.memory), whole, rows)
            score[rows] = whole.parts[rows].sum(axis=1)
            if self.past is not None and not ahead:
                score[rows], own[rows] = self.past.measure(score[rows])
            if done is not None:
                done(len(part))
        if self.past is not None and ahead:
            score, own = self.past.measure(score)
        if self.past is None:
            return score, score, whole
        _scale(whole.parts, score)
        return score, own, whole

    def copy(self, anew: bool = False) -> "Scorer":
        """One that goes on from here by itself; ``anew`` forgets the rows, but not what scores are measured by."""
        twin = Scorer(self.model, copy.deepcopy(self.past))
        twin.memory = {} if anew else copy.deepcopy(self.memory)
        if anew and twin.past is not None:
            twin.past.forget_last()
        return twin

    def state_dict(self) -> dict[str, Any]:
        return {"memory": self.memory, "past": None if self.past is None else self.past.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.memory = dict(state["memory"])
        if self.past is not None:
            self.past.load_state_dict(state["past"])


def _blank(rows: int, parts: int) -> Scored:
    return Scored(np.empty((rows, parts)), *(np.empty(rows) for _ in range(3)))


def _put(found: Scored, whole: Scored, rows: slice) -> None:
    for name, column in vars(found).items():
        getattr(whole, name)[rows] = column


def _scale(parts: np.ndarray, score: np.ndarray) -> None:
    """Let parts sum to the score, in place; each keeps its share, equal shares where the whole is nothing."""
    for start in range(0, len(parts), CHUNK):
        piece, size = parts[start : start + CHUNK], np.abs(parts[start : start + CHUNK])
        whole = size.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.where(whole == 0, 1 / parts.shape[1], size / whole)
        np.multiply(shares, score[start : start + CHUNK, None], out=piece)
