"""What a column usually has: its scale, its period, and its value at each hour of the day."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fulgurite.anomaly.calendars import day_of_week
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.terms import fold_tail, unfold_tail
from fulgurite.base.errors import DataError

DAYS = 2  # of rows, from which on an hour has a usual value
WEEKS = 14  # days of rows, from which on working days and weekends are told apart
FEWEST = 3  # rows for an hour's usual value
LONGEST_LAG = 400
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Scale:
    """Brings columns (n, c) to median 0 and half their 5-95 % range 1, with folded tails; and back."""

    median: np.ndarray
    half: np.ndarray

    @classmethod
    def fit(cls, series: Series) -> "Scale":
        empty = ~np.isfinite(series.values).any(axis=0)
        if empty.any():
            names = ", ".join(repr(name) for name, none in zip(series.names, empty, strict=True) if none)
            raise DataError(
                f"Not one training row has a number in {names}. Leave the column out, or train on other rows."
            )
        low, median, high = np.nanquantile(series.values, [0.05, 0.5, 0.95], axis=0)
        half = (high - low) / 2
        half = np.where(half > 0, half, np.nanstd(series.values, axis=0))
        return cls(median, np.where(half > 0, half, 1.0))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        off = (values - self.median) / self.half
        return np.sign(off) * fold_tail(np.abs(off))

    def undo(self, scaled: np.ndarray, column: int) -> np.ndarray:
        size = unfold_tail(torch.from_numpy(np.abs(scaled))).numpy()
        return np.sign(scaled) * size * self.half[column] + self.median[column]

    def state_dict(self) -> dict[str, Any]:
        return {"median": self.median.tolist(), "half": self.half.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Scale":
        return cls(np.array(state["median"], np.float64), np.array(state["half"], np.float64))


@dataclass(frozen=True)
class Tides:
    """The usual scaled value (48, c) of each hour, on working days and at weekends; ``weekly`` tells them apart.

    Without enough rows, or without a clock, it is the median at all hours.
    """

    profile: np.ndarray
    weekly: bool

    @classmethod
    def fit(cls, scaled: np.ndarray, series: Series) -> "Tides":
        profile = np.tile(np.nanmedian(scaled, axis=0), (48, 1))
        tides = cls(profile, weekly=series.days >= WEEKS)
        if series.days >= DAYS:
            slots = tides._slots(series)
            for slot in np.unique(slots):
                rows = scaled[slots == slot]
                enough = np.isfinite(rows).sum(axis=0) >= FEWEST
                profile[slot, enough] = np.nanmedian(rows[:, enough], axis=0)
        return tides

    def usual(self, series: Series) -> np.ndarray:
        """The usual scaled values (n, c) of each row."""
        return self.profile[self._slots(series)]

    def fill(self, scaled: np.ndarray, series: Series) -> np.ndarray:
        """The values with what is usual where there are none."""
        return np.where(np.isfinite(scaled), scaled, self.usual(series))

    def _slots(self, series: Series) -> np.ndarray:
        if series.clock is None:
            return np.zeros(len(series), int)
        days = series.clock.astype("datetime64[D]")
        hour = ((series.clock - days).astype(np.int64) // 3_600_000_000).astype(int)
        return 2 * hour + ((day_of_week(days) >= 5).astype(int) if self.weekly else 0)

    def state_dict(self) -> dict[str, Any]:
        return {"profile": self.profile.tolist(), "weekly": bool(self.weekly)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Tides":
        return cls(np.array(state["profile"], np.float64), state["weekly"])


def period(values: np.ndarray) -> int | None:
    """The lag (rows) of the first autocorrelation peak that is at least 0.6 of the highest; None where there is none.

    The first rather than the highest: a week repeats better than a day, but seven times the window blurs what is in it.
    Ranks take the place of values: two outages five days apart would else make a period of five days.
    """
    rows = _ranks(values[:MOST_ROWS])
    rows -= rows.mean()
    power = np.abs(np.fft.rfft(rows, 2 * len(rows))) ** 2
    similar = np.fft.irfft(power)[: LONGEST_LAG + 1]
    similar = np.convolve(similar / (similar[0] + 1e-12), np.ones(3) / 3, "same")
    inner = similar[1:-1]
    peaks = 1 + np.flatnonzero((inner > similar[:-2]) & (inner >= similar[2:]) & (inner > 0.1))
    peaks = peaks[(peaks >= 3) & (peaks < len(rows) // 3)]
    if not len(peaks):
        return None
    return int(peaks[similar[peaks] >= 0.6 * similar[peaks].max()][0])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Each value's place in order, float64; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]
