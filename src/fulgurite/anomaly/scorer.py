"""Scores rows in order of time, piece by piece; pieces give the numbers of the whole."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fulgurite.anomaly.hindsight import Hindsight
from fulgurite.anomaly.lasting import Lasting
from fulgurite.anomaly.model import Model, Scored
from fulgurite.anomaly.past import Past
from fulgurite.anomaly.ranking import HIGH, HIGH_BEFORE, Ranking, high, higher
from fulgurite.anomaly.series import Series, chunks

CHUNK = 65_536  # rows that a model sees at once: what it builds of their windows is no more than this asks for


class Scorer:
    """A model and what it remembers of the rows before: its own memory, and the past that scores are measured by.

    Without a ``past`` the raw score stands as it is. What it measures is the row's own score, of which ``lasting``
    leaves what is new: that flags rows. What they are ranked by is what ``ranking`` makes of it as they come, or
    ``hindsight`` once all rows are there; without these, it is the own score, fading. From ``least`` on, an own score
    ranks a row by itself.
    """

    least = HIGH

    def __init__(
        self,
        model: Model,
        past: Past | None,
        ranking: Ranking | None = None,
        hindsight: Hindsight | None = None,
        lasting: Lasting | None = None,
    ) -> None:
        self.model, self.past, self.ranking, self.hindsight = model, past, ranking, hindsight
        self.lasting = lasting or Lasting()
        self.memory: dict[str, Any] = {}

    @property
    def part_names(self) -> tuple[str, ...]:
        return (*self.model.part_names, *(self.hindsight.part_names if self.hindsight is not None else ()))

    def learn(self, learned: Series, rest: Series) -> np.ndarray:
        """Come to the end of training, with a past of rows the model has not seen: ``rest``, whose own scores come out.

        Scores of rows that it did learn from are too low to measure others by.
        """
        # What is further back than this, no model's memory holds.
        self.model.score(learned.rows(max(0, len(learned) - CHUNK)), self.memory)
        if not len(rest):
            return np.empty(0)
        if hasattr(self.model, "calibrate"):
            self.model.calibrate(rest, copy.deepcopy(self.memory))
        if self.hindsight is not None:
            self.hindsight.learn(learned, rest)
        return self.lasting.update(self._own(rest)[1])

    def score(
        self, series: Series, done: Callable[[int], object] | None = None
    ) -> tuple[np.ndarray, np.ndarray, Scored]:
        """The score of each row, what is new in its own score, and the parts that sum to the former.

        The rows are remembered. ``done`` is told of each piece how many rows it had. Beside the result, 8 bytes a row
        for each of its numbers, only a piece is in memory at once; scores that look ahead take a few times the score
        more.
        """
        around: list[np.ndarray] = []

        def passed(part: Series) -> None:
            if self.hindsight is not None:
                around.append(self.hindsight.distances(part))
            if done is not None:
                done(len(part))

        score, own, whole = self._own(series, passed)
        if self.past is None:
            return score, own, whole
        news = self.lasting.update(own)
        if self.hindsight is not None:
            score, whole = self._in_hindsight(own, whole, around)
            return score, news, whole
        _scale(whole.parts, score)
        return score, news, whole

    def _own(
        self, series: Series, passed: Callable[[Series], object] | None = None
    ) -> tuple[np.ndarray, np.ndarray, Scored]:
        """What `score` gives without hindsight, its parts not yet scaled; ``passed`` is told of each piece."""
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
                if self.ranking is not None:
                    score[rows] = self.ranking.update(whole.parts[rows], own[rows], self.least)
            if passed is not None:
                passed(part)
        if self.past is not None and ahead:
            score, own = self.past.measure(score)
        return score, score if self.past is None else own, whole

    def _in_hindsight(self, own: np.ndarray, whole: Scored, distances: list[np.ndarray]) -> tuple[np.ndarray, Scored]:
        """The scores of rows that are all there; a row ranked by itself has its own parts, the others the rest."""
        assert self.hindsight is not None
        around, parts = self.hindsight.judge(distances, np.isfinite(own))
        score = higher(own, around, self.least)
        by_itself = high(own, self.least) == score
        _scale(whole.parts, np.where(by_itself, score, 0 * score))
        _scale(parts, np.where(by_itself, 0 * score, score))
        return score, replace(whole, parts=np.hstack([whole.parts, parts]))

    def copy(self, anew: bool = False) -> "Scorer":
        """One that goes on from here by itself; ``anew`` forgets the rows, but not what scores are measured by."""
        hindsight = None if self.hindsight is None else self.hindsight.copy(anew)
        past, ranking, lasting = copy.deepcopy((self.past, self.ranking, self.lasting))
        twin = Scorer(self.model, past, ranking, hindsight, lasting)
        twin.memory, twin.least = {} if anew else copy.deepcopy(self.memory), self.least
        for each in (past, lasting, None if ranking is None else ranking.past) if anew else ():
            if each is not None:
                each.forget_last()
        return twin

    def state_dict(self) -> dict[str, Any]:
        parts = ("past", "ranking", "hindsight", "lasting")
        return {"memory": self.memory, "least": self.least} | {
            name: part.state_dict() for name in parts if (part := getattr(self, name)) is not None
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.memory, self.least = dict(state["memory"]), state.get("least", HIGH_BEFORE)
        if self.past is not None:
            self.past.load_state_dict(state["past"])
        self.ranking = Ranking.from_state(state["ranking"]) if "ranking" in state else None
        self.hindsight = Hindsight.from_state(state["hindsight"]) if "hindsight" in state else None
        self.lasting = Lasting.from_state(state["lasting"]) if "lasting" in state else Lasting()


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
