"""What is said of each row in the end."""

from dataclasses import dataclass

import numpy as np

from fulgurite.anomaly.events import Event
from fulgurite.anomaly.model import Scored
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.threshold import Threshold

MANY = 0.2  # a share of flagged rows that says more of the rows than of anomalies in them


@dataclass(frozen=True)
class Verdict:
    """A series with the final ``score`` (n,), ``scored``, whose parts sum to it, ``flags`` (n,) bool and the events.

    Flagged are the rows whose own score, before it fades, is above the level of the ``threshold``. A row without a
    number to judge, or with too few rows before it, has NaNs and no flag.
    """

    series: Series
    score: np.ndarray
    scored: Scored
    flags: np.ndarray
    part_names: tuple[str, ...]
    threshold: Threshold
    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()

    def columns(self) -> dict[str, np.ndarray]:
        """The columns that come out behind the input's own, in their order."""
        scored = self.scored
        columns = {
            "score": self.score,
            "is_anomaly": self.flags.astype(np.int8),
            "expected": scored.expected,
            "expected_low": scored.low,
            "expected_high": scored.high,
        }
        return columns | {f"score_{name}": scored.parts[:, i] for i, name in enumerate(self.part_names)}

    def at_source(self, rows: int) -> dict[str, np.ndarray]:
        """The columns in the order of the source, which has ``rows`` rows; those that are not in the series are NaN."""
        order = self.series.order
        columns = self.columns()
        if order is None or (len(order) == rows and (order[1:] > order[:-1]).all()):
            return columns
        return {name: _placed(column, order, rows) for name, column in columns.items()}


def remarks(verdict: Verdict, filling: int) -> list[str]:
    """What there is to say of too many flags, and of rows without a score, but for those ``filling`` a first window."""
    rows, flagged = len(verdict.series), int(verdict.flags.sum())
    unscored = int((np.isnan(verdict.score) & ~np.isnan(verdict.series.value)).sum())
    told = []
    if unscored > filling:
        told.append(f"{unscored:,} rows with a number have too few rows before them to be scored.")
    if flagged > MANY * rows:
        told.append(f"{flagged / rows:.0%} of the rows are flagged: more likely, they differ from training as a whole.")
    return told


def _placed(column: np.ndarray, order: np.ndarray, rows: int) -> np.ndarray:
    placed = np.full(rows, 0 if column.dtype.kind == "i" else np.nan, column.dtype)
    placed[order] = column
    return placed
