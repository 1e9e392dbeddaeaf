"""From which score on a row is flagged, chosen without a label and explained in a sentence."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fulgurite.base.errors import DataError, MisconfigurationException

USUAL = {"normalised": "3", "quantile": "0.999", "pot": "1e-4", "scored": "0.999", "fixed": ""}
KNOWN = "normalised:3, quantile:0.999, pot:1e-4, scored:0.999 or fixed:NUMBER"
FEWEST = 10


class Threshold:
    """A rule, its number, and the level that follows from both; a row is flagged if its score is above the level.

    ``normalised`` and ``fixed`` are levels as they stand. ``quantile`` and ``pot`` (peaks over threshold: the chance
    of a higher score, by a tail fitted to the highest ones) need `fit` with scores of rows that the model did not learn
    from. ``scored`` is a quantile of the very rows that are scored, and so needs all of them at once (`fit_scored`).
    """

    def __init__(self, rule: str, number: float) -> None:
        _check(rule, number)
        self.rule, self.number = rule, float(number)
        self.level: float | None = self.number if rule in ("normalised", "fixed") else None
        self._source = ""

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """The threshold that a text such as ``"pot:1e-4"`` names; a rule alone takes its usual number."""
        rule, _, number = text.strip().partition(":")
        odd = MisconfigurationException(f"threshold={text!r} is not understood. Give {KNOWN}.")
        if rule not in USUAL:
            raise odd
        try:
            return cls(rule, float(number or USUAL[rule] or "nan"))
        except ValueError:
            raise odd from None

    def __str__(self) -> str:
        return f"{self.rule}:{self.number:g}"

    @property
    def needs_all_rows(self) -> bool:
        """Whether the level comes from the scored rows themselves, so that rows cannot be judged as they arrive."""
        return self.rule == "scored"

    @property
    def needs_calibration(self) -> bool:
        """Whether the level comes from scores of rows that the model did not learn from."""
        return self.rule in ("quantile", "pot")

    def fit(self, scores: np.ndarray) -> "Threshold":
        """Set the level from calibration scores; NaNs are left out. Raises `DataError` for fewer than ten."""
        if self.rule == "quantile":
            self._take_quantile(scores, "rows that the model did not learn from")
        elif self.rule == "pot":
            self._take_tail(scores)
        return self

    def fit_scored(self, scores: np.ndarray) -> "Threshold":
        """Set the level of the ``scored`` rule from all scores; the other rules have theirs already."""
        if self.rule == "scored":
            self._take_quantile(scores, "the very rows that are scored")
        return self

    def flags(self, scores: np.ndarray) -> np.ndarray:
        """Which scores are above the level, (n,) bool; a row without a score is not flagged."""
        if self.level is None:
            raise MisconfigurationException(
                f"threshold={str(self)!r} has no level yet. "
                + ("It needs all rows at once: choose another rule to judge rows as they arrive."
                   if self.needs_all_rows else "Call fit with the scores of rows that the model did not learn from.")
            )  # fmt: skip
        return np.asarray(scores, dtype=np.float64) > self.level

    def explain(self) -> str:
        """The rule in a sentence, with its number."""
        if self.level is None:
            return f"Rows will be flagged by the rule {self}; its level is not known yet."
        if self.rule == "fixed":
            return f"Flagged are rows whose score is above {self.level:.4g}, a number given by hand."
        if self.rule == "normalised":
            return (
                f"Flagged are rows whose own score is above {self.level:.4g}: that many standard deviations above what "
                "it has been so far. Neither what is around them nor a change that lasts flags rows."
            )
        return f"Flagged are rows whose score is above {self.level:.4g}: {self._source}."

    def state_dict(self) -> dict[str, Any]:
        return {"rule": self.rule, "number": self.number, "level": self.level, "source": self._source}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.rule, self.number = state["rule"], state["number"]
        self.level, self._source = state["level"], state["source"]

    def _take_quantile(self, scores: np.ndarray, whose: str) -> None:
        finite = self._finite(scores)
        self.level = float(np.quantile(finite, self.number))
        self._source = f"the {self.number:g} quantile of the {len(finite):,} scores of {whose}"
        if len(finite) * (1 - self.number) < 1:
            self._source += ", so few that it lies at their highest"

    def _take_tail(self, scores: np.ndarray) -> None:
        finite = self._finite(scores)
        tail = tail_of(finite, 4 * self.number)
        source = f"{len(finite):,} scores of rows that the model did not learn from"
        if tail is None:
            self.level = float(finite.max())
            self._source = (
                f"the highest of {source}, since their tail is too short or too flat for peaks over threshold"
            )
            return
        self.level = tail.exceeded_by(self.number)
        self._source = (
            f"the level that {self.number:g} of all rows exceed, by the tail of {source} (peaks over threshold)"
        )

    def _finite(self, scores: np.ndarray) -> np.ndarray:
        scores = np.asarray(scores, dtype=np.float64)
        finite = scores[np.isfinite(scores)]
        if len(finite) < FEWEST:
            raise DataError(
                f"threshold={str(self)!r} needs at least {FEWEST} rows with a score; there are {len(finite)} among the "
                f"{len(scores)} rows given. Give more rows, or choose normalised:3 or fixed:NUMBER."
            )
        return finite


class Tail:
    """A generalised Pareto tail: scores above ``start``, which a share ``weight`` of all scores exceeds."""

    def __init__(self, start: float, weight: float, scale: float, shape: float) -> None:
        self.start, self.weight, self.scale, self.shape = start, weight, scale, shape

    def exceeded_by(self, share: float) -> float:
        """The score that a share of all rows exceeds."""
        ratio = share / self.weight
        if abs(self.shape) < 1e-9:
            return float(self.start - self.scale * np.log(ratio))
        return float(self.start + self.scale / self.shape * (ratio**-self.shape - 1))


def tail_of(scores: np.ndarray, least: float = 0.0) -> Tail | None:
    """The tail of the highest 2 % of finite scores (at least ``least`` of them, and 30), None if it can't be fitted.

    The idea of SPOT (Siffer, Fouque, Termier, Largouët 2017) with probability-weighted moments (Hosking, Wallis 1987)
    in place of the likelihood: they need no search and do well with few peaks.
    """
    share = max(0.02, least, min(30 / len(scores), 0.2))
    start = float(np.quantile(scores, 1 - share))
    peaks = np.sort(scores[scores > start] - start)
    if len(peaks) < FEWEST:
        return None
    mean = peaks.mean()
    lesser = np.mean((1 - (np.arange(1, len(peaks) + 1) - 0.35) / len(peaks)) * peaks)
    spread = mean - 2 * lesser
    if spread <= 1e-9 * mean:
        return None
    return Tail(start, len(peaks) / len(scores), 2 * mean * lesser / spread, 2 - mean / spread)


def _check(rule: str, number: float) -> None:
    if rule not in USUAL:
        raise MisconfigurationException(f"There is no rule {rule!r} for a threshold. Give {KNOWN}.")
    most = {"quantile": 1.0, "scored": 1.0, "pot": 0.05}.get(rule)
    if not np.isfinite(number) or (most is not None and not 0 < number < most):
        raise MisconfigurationException(
            f"threshold='{rule}:{number:g}' can't be used: its number must be "
            + (f"between 0 and {most:g}." if most else "finite.")
        )
