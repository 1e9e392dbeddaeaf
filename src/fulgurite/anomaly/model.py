"""What a model owes the detector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fulgurite.anomaly.series import Series
from fulgurite.base.arguments import shown
from fulgurite.base.errors import MisconfigurationException

MOST = 2**31 - 1
OWED = ("fit", "score", "state_dict", "load_state_dict")


@dataclass(frozen=True)
class Scored:
    """What a model says of each row of a series.

    ``parts`` (n, p) float64: its parts sum to the row's raw score, higher is stranger; NaN where a row has no number to
    judge or too few rows before it. ``expected``, ``low`` and ``high`` (n,) are the watched value that the model
    expected and the band around it, in the value's own unit.
    """

    parts: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def raw(self) -> np.ndarray:
        return self.parts.sum(axis=1)


class Model(Protocol):
    """A model learns from one series and scores another; its state is plain numbers, words and tensors.

    It may have ``notes``, sentences on what it chose in `fit`, a ``window``, the rows that a score looks at,
    ``window_parts``, the places of the parts that rank rows as they come, and ``surroundings(series)``, which gives the
    `Surroundings` that rank rows once all are there, from those learned from.
    """

    part_names: tuple[str, ...]

    def fit(self, series: Series, trainer: Mapping[str, Any]) -> None:
        """Learn from the series; ``trainer`` goes to `fulgurite.Trainer` as it stands (loggers, bars, ...)."""

    def calibrate(self, series: Series, memory: dict[str, Any]) -> None:
        """Take scales from rows not learned from, which follow those that ``memory`` has seen; optional."""

    def score(self, series: Series, memory: dict[str, Any]) -> Scored:
        """Score rows that follow those that ``memory`` has seen, and bring it up to date.

        An empty ``memory`` starts anew. Scoring a series in pieces gives the same numbers as in one go.
        """

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` of a new instance needs to score as this one does."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


def check_setting(name: str, given: int | None, least: int, most: int = MOST) -> None:
    """Raise ``MisconfigurationException`` unless a setting is a number from ``least`` to ``most``, or left open."""
    if given is not None and not least <= given <= most:
        limit = "or more" if given < least else f"to {most}"
        raise MisconfigurationException(f"{name}={given} can't be used: give a whole number of {least} {limit}.")


def check_model(model: Any) -> None:
    """Raise ``MisconfigurationException`` for what is neither a model's name nor an object like `Model`."""
    lacking = [name for name in OWED if not callable(getattr(model, name, None))]
    if isinstance(model, type) or (lacking and not isinstance(model, str)):
        told = "a class" if isinstance(model, type) else f"an object without {', '.join(lacking)}"
        raise MisconfigurationException(
            f"model={shown(model)} is {told}: the name of a model was expected, such as 'window', or an object like "
            f"fulgurite.anomaly.model.Model, not {type(model).__name__}."
        )
