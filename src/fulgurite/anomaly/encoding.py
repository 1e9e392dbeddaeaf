"""From a column's own numbers and words to what a network reads; everything is learned on the training rows alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fulgurite.anomaly.series import Category
from fulgurite.base.errors import DataError

FAR = 1e6  # deviations from the mean: what is further is not told apart, so that no sum leaves float32
UNKNOWN = 0  # the code of an empty cell, and of a word that the training rows do not hold


@dataclass(frozen=True)
class Scaling:
    """Brings columns to mean 0 and standard deviation 1; an empty cell counts as the column's median.

    A constant column becomes 0.
    """

    names: tuple[str, ...]
    median: np.ndarray
    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, names: tuple[str, ...], columns: np.ndarray) -> "Scaling":
        """Learn from ``columns`` (n, c) float64. Raises ``DataError`` for a column without a number."""
        empty = np.isnan(columns).all(axis=0)
        if empty.any():
            words = ", ".join(repr(name) for name, none in zip(names, empty, strict=True) if none)
            raise DataError(
                f"Not one training row has a number in {words}. Leave the column out, or train on other rows."
            )
        median = np.nanmedian(columns, axis=0)
        filled = np.where(np.isnan(columns), median, columns)
        mean, spread = filled.mean(axis=0), filled.std(axis=0)
        # A constant's deviation is rounding of its sum, not always zero.
        constant = filled.min(axis=0) == filled.max(axis=0)
        return cls(tuple(names), median, np.where(constant, median, mean), np.where(constant, 1.0, spread))

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """The columns (n, c) as the network reads them, float32."""
        filled = np.where(np.isnan(columns), self.median, columns)
        with np.errstate(over="ignore"):
            return np.clip((filled - self.mean) / self.spread, -FAR, FAR).astype(np.float32)

    def undo(self, scaled: np.ndarray, column: int) -> np.ndarray:
        """Numbers of one column, back in its own unit, float64."""
        return np.asarray(scaled, np.float64) * self.spread[column] + self.mean[column]

    def state_dict(self) -> dict[str, Any]:
        numbers = {"median": self.median, "mean": self.mean, "spread": self.spread}
        return {"names": list(self.names), **{name: array.tolist() for name, array in numbers.items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Scaling":
        return cls(tuple(state["names"]), *(np.array(state[name], np.float64) for name in ("median", "mean", "spread")))


@dataclass(frozen=True)
class Vocabulary:
    """The words of one column that the training rows hold; their codes are 1, 2, ... in order, `UNKNOWN` is 0."""

    name: str
    words: tuple[str, ...]

    @classmethod
    def fit(cls, column: Category) -> "Vocabulary":
        used = np.unique(column.codes[column.codes >= 0])
        return cls(column.name, tuple(sorted(column.words[code] for code in used)))

    def __len__(self) -> int:
        """The number of codes, `UNKNOWN` included."""
        return len(self.words) + 1

    def __call__(self, column: Category) -> np.ndarray:
        """The codes (n,) int64 of a column, whose own words may be others, in another order."""
        known = {word: code for code, word in enumerate(self.words, start=1)}
        # The last place answers -1, an empty cell.
        codes = np.array([*(known.get(word, UNKNOWN) for word in column.words), UNKNOWN], np.int64)
        return codes[column.codes]

    def state_dict(self) -> dict[str, Any]:
        return {"name": self.name, "words": list(self.words)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Vocabulary":
        return cls(state["name"], tuple(state["words"]))
