"""From rows to a verdict: score, threshold and events in a row, for all rows at once or for pieces as they come."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fulgurite.anomaly.events import Alarms, Event
from fulgurite.anomaly.scorer import Scorer
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.threshold import Threshold
from fulgurite.anomaly.verdict import Verdict


class Stream:
    """Judges rows in order of time. What pieces are given does not matter, but for a threshold that needs all rows."""

    def __init__(self, scorer: Scorer, threshold: Threshold, refractory: int) -> None:
        self._scorer, self.threshold = scorer, threshold
        self._alarms = Alarms(refractory, scorer.model.part_names)

    @property
    def part_names(self) -> tuple[str, ...]:
        return self._scorer.part_names

    def update(self, series: Series, done: Callable[[int], object] | None = None) -> Verdict:
        """The verdict on the next rows, with the events that ended in them; ``done`` is told of rows as they pass."""
        score, own, scored = self._scorer.score(series, done)
        flags = self._flags(own)
        # What flags a row is its own score: what is around it is no reason of an event.
        reasons = replace(scored, parts=scored.parts[:, : len(self._scorer.model.part_names)])
        ended = self._alarms.update(series, reasons, score, flags)
        return Verdict(series, score, scored, flags, self.part_names, self.threshold, tuple(ended))

    def close(self) -> tuple[Event, ...]:
        """The event that no row has ended yet, if there is one."""
        return tuple(self._alarms.close())

    @property
    def open(self) -> Event | None:
        """The event that may still go on."""
        return self._alarms.open

    def state_dict(self) -> dict[str, Any]:
        return {"scorer": self._scorer.state_dict(), "alarms": self._alarms.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._scorer.load_state_dict(state["scorer"])
        self._alarms.load_state_dict(state["alarms"])

    def _flags(self, score: np.ndarray) -> np.ndarray:
        if not np.isfinite(score).any():  # a rule that looks at the scored rows has nothing to look at
            return np.zeros(len(score), dtype=bool)
        return self.threshold.fit_scored(score).flags(score)
