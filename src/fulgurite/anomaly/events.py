"""Flagged rows that lie close together are one event, with a sentence that says what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fulgurite.anomaly.model import Scored
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.words import number
from fulgurite.base.errors import MisconfigurationException

#: What a column's part says of it. Such a part is named after its column and one of these.
TERMS = {
    "rebuild": "not where the rows before led to",
    "recent": "the last rows are unlike any of training at that hour",
    "level": "far from the usual level",
    "profile": "unusual for the hour",
    "flat": "hardly changes",
    "shape": "the rows up to it have a shape that training had not",
    "shift": "the mean has moved",
}
OTHERS = {"latent": "the pattern as a whole is rare", "kld": "the latent code is far from the usual ones"}


@dataclass(frozen=True)
class Event:
    """Flagged rows that belong together.

    ``start``, ``end`` and ``peak`` are the times (datetime64[us]) of the first, the last and the highest flagged row,
    ``rows`` how many are flagged, ``score`` the highest score. ``part`` is the part that brought most of the flagged
    rows' scores, ``share`` (0 to 1) how much of them; ``reason`` tells of the flagged row that is furthest outside its
    band, in the value's own unit, and what that part says.
    """

    start: np.datetime64
    end: np.datetime64
    peak: np.datetime64
    rows: int
    score: float
    share: float
    part: str
    reason: str


def events(
    series: Series,
    scored: Scored,
    part_names: Sequence[str],
    score: np.ndarray,
    flags: np.ndarray,
    refractory: int,
) -> list[Event]:
    """The events of a whole series; flagged rows at most ``refractory`` rows apart are one."""
    alarms = Alarms(refractory, part_names)
    return alarms.update(series, scored, score, flags) + alarms.close()


class Alarms:
    """Events of rows that come in pieces: the same ones as of all rows at once.

    ``open`` is the event that may still go on (None in quiet times); `update` gives the events that have ended.
    """

    def __init__(self, refractory: int, part_names: Sequence[str]) -> None:
        if refractory < 1:
            raise MisconfigurationException(
                f"refractory={refractory} can't be used: give the number of rows (1 or more) within which flagged "
                "rows are one event."
            )
        self.refractory, self.part_names = refractory, tuple(part_names)
        self._seen = 0
        self._last = 0
        self._open: dict[str, Any] | None = None

    @property
    def open(self) -> Event | None:
        return self._event(self._open) if self._open else None

    def update(self, series: Series, scored: Scored, score: np.ndarray, flags: np.ndarray) -> list[Event]:
        """Take the next rows; returns the events that ended with them, in order.

        ``scored`` holds the parts that sum to ``score``, and the expected values for the reason.
        """
        ended = []
        flagged = np.flatnonzero(flags)
        groups = np.split(flagged, np.flatnonzero(np.diff(flagged) > self.refractory) + 1) if len(flagged) else []
        for group in groups:
            if self._seen + group[0] - self._last > self.refractory:
                ended += self.close()
            self._extend(group, series, scored, score)
            self._last = self._seen + int(group[-1])
        self._seen += len(series)
        if self._seen - self._last > self.refractory:
            ended += self.close()
        return ended

    def close(self) -> list[Event]:
        """End the open event, if there is one: no more rows will come, or none that belong to it."""
        ended = [self._event(self._open)] if self._open else []
        self._open = None
        return ended

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON and for a checkpoint."""
        return {"seen": self._seen, "last": self._last, "open": dict(self._open) if self._open else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._seen, self._last = state["seen"], state["last"]
        self._open = dict(state["open"]) if state["open"] else None

    def _extend(self, rows: np.ndarray, series: Series, scored: Scored, score: np.ndarray) -> None:
        peak = rows[np.argmax(score[rows])]
        far = outside(series.value[rows], scored.low[rows], scored.high[rows])
        worst = rows[np.argmax(far)] if far.max() > 0 else peak
        found = self._open or {"start": _moment(series.time[rows[0]]), "rows": 0, "score": -np.inf,
                               "columns": list(series.names), "parts": [0.0] * len(self.part_names)}  # fmt: skip
        rises = found["rows"] == 0 or score[peak] > found["score"]
        if far.max() > found.get("outside", 0.0) or (rises and not found.get("outside")):
            found |= {"outside": float(far.max()),
                      "reason": sentence(series.value[worst], scored.expected[worst], scored.low[worst],
                                         scored.high[worst])}  # fmt: skip
        if rises:
            found |= {"peak": _moment(series.time[peak]), "score": float(score[peak])}
        # Summed row by row, so that the same rows in other pieces give the same last digit.
        parts = np.cumsum(np.vstack([found["parts"], np.maximum(np.nan_to_num(scored.parts[rows]), 0)]), axis=0)[-1]
        found |= {"end": _moment(series.time[rows[-1]]), "rows": found["rows"] + len(rows), "parts": parts.tolist()}
        self._open = found

    def _event(self, found: dict[str, Any]) -> Event:
        parts = np.array(found["parts"])
        leading, total = int(np.argmax(parts)), parts.sum()
        share = float(parts[leading] / total) if 0 < total < np.inf else 0.0
        part = self.part_names[leading]
        moments = {name: np.datetime64(found[name], "us") for name in ("start", "end", "peak")}
        cause = f": {words_for(part, found['columns'])}" if share and len(parts) > 1 else ""
        return Event(**moments, rows=found["rows"], score=found["score"], share=share, part=part,
                     reason=found["reason"] + cause)  # fmt: skip


def sentence(value: float, expected: float, low: float, high: float) -> str:
    """What was there and what was expected, in the value's unit."""
    there = f"value {number(value)}" if np.isfinite(value) else "no value"
    if not np.isfinite(expected):
        return there
    band = f" ({number(low)} to {number(high)})" if np.isfinite(low) and np.isfinite(high) else ""
    return f"{there}, expected {number(expected)}{band}"


def outside(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How far values (n,) lie outside their bands, in half widths; 0 inside, and where there is no band."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        far = np.maximum(value - high, low - value) / ((high - low) / 2)
    return np.nan_to_num(np.maximum(far, 0), nan=0.0, posinf=np.finfo(float).max)


def words_for(part: str, columns: Sequence[str]) -> str:
    """What a part says, of the watched column, which is the first of ``columns``, or of another."""
    column, _, term = part.rpartition("_")
    if part in columns or column not in columns or term not in TERMS:
        return OTHERS.get(part, f"most of it by {part!r}")
    return TERMS[term] if column == columns[0] else f"{column!r}: {TERMS[term]}"


def _moment(time: np.datetime64) -> int:
    return int(time.astype("datetime64[us]").astype(np.int64))
