"""What any detector must beat: simple scores, each fitted on the first rows only.

A baseline gets a whole series and how many of its rows it may learn from, and scores every row. Causal ones score a row
by it and those before; the centred ones of windows look half a window ahead, so they are no match for a detector that
must answer at once. Reference windows are thinned to a fixed number, so that 20,000 rows take seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fulgurite.anomaly.calendars import calendar_features, day_of_week
from fulgurite.anomaly.judge.vus import window_length
from fulgurite.anomaly.series import Series
from fulgurite.base.optional import available, require

REFERENCES = 4_000  # windows of the training rows that new windows are compared with
MATRIX_ROWS = 20_000  # training rows that the matrix profile compares with: the last ones
NEIGHBOURS = 5
SLOTS = 48  # of a day, in the seasonal profile
Score = Callable[[Series, int, int], np.ndarray]


@dataclass(frozen=True)
class Baseline:
    """``score(series, learned, seed)`` gives (n,) scores, higher is stranger, from the first ``learned`` rows.

    ``causal``: a row's score doesn't depend on later rows. ``seeded``: it depends on the seed. ``package``: what must
    be installed for it.
    """

    name: str
    score: Score
    causal: bool = True
    seeded: bool = False
    package: str | None = None


def baselines() -> tuple[Baseline, ...]:
    """All baselines; the matrix profile only where stumpy is installed."""
    return tuple(baseline for baseline in ALL if baseline.package != "stumpy" or available("stumpy"))


def random_score(series: Series, learned: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(len(series))


def row_number(series: Series, learned: int, seed: int) -> np.ndarray:
    """The place of the row: what a detector that lets the time itself into its score comes down to."""
    return np.arange(len(series), dtype=np.float64)


def z_score(series: Series, learned: int, seed: int) -> np.ndarray:
    return np.abs(_standardised(series, learned))


def seasonal_profile(series: Series, learned: int, seed: int) -> np.ndarray:
    """The distance from the training median of this time of day, working days and weekends apart.

    Without times the profile is over the period that the autocorrelation finds.
    """
    values, (slot, slots) = _standardised(series, learned), _seasons(series, learned)
    usual = np.full(slots, np.median(values[:learned]))
    for index in np.unique(slot[:learned]):
        usual[index] = np.median(values[:learned][slot[:learned] == index])
    return np.abs(values - usual[slot])


def isolation_forest(series: Series, learned: int, seed: int) -> np.ndarray:
    """An isolation forest (Liu, Ting, Zhou, 2008) on the value and its calendar: time of day, day of the week."""
    ensemble = require("sklearn.ensemble", "anomaly")
    rows = np.column_stack((_standardised(series, learned), *_calendar(series)))
    forest = ensemble.IsolationForest(n_estimators=100, random_state=seed).fit(rows[:learned])
    return -forest.score_samples(rows)


def sub_pca(series: Series, learned: int, seed: int) -> np.ndarray:
    """How far a window is from the principal axes of the training windows, an axis counting the more the less varies.

    The distances to the unit vectors of all axes, divided by each axis's share of the variance, summed: PyOD's reading
    of Shyu, Chen, Sarinnapakorn, Chang, 2003, and that of the published comparisons. On standardised windows.
    """
    decomposition = require("sklearn.decomposition", "anomaly")
    windows, references = _windows(series, learned)
    mean, spread = references.mean(axis=0), references.std(axis=0) + 1e-9
    if np.ptp(references) == 0:  # no axes in a constant
        return np.abs(windows[:, -1] - references[0, 0])
    axes = decomposition.PCA().fit((references - mean) / spread)
    weight = 1 / (axes.explained_variance_ratio_ + 1e-9)
    return np.concatenate([_from_axes((part - mean) / spread, axes.components_) @ weight for part in _parts(windows)])


def sub_knn(series: Series, learned: int, seed: int) -> np.ndarray:
    """The mean distance of a window to its nearest training windows."""
    neighbours = require("sklearn.neighbors", "anomaly")
    windows, references = _windows(series, learned)
    near = neighbours.NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(references)), algorithm="brute").fit(references)
    return np.concatenate([near.kneighbors(part)[0].mean(axis=1) for part in _parts(windows)])


def matrix_profile(series: Series, learned: int, seed: int) -> np.ndarray:
    """The distance of a window's shape to the nearest one in the training rows (Yeh et al., 2016), by stumpy."""
    stumpy = require("stumpy", "matrixprofile")
    length, values = _length(series, learned), _standardised(series, learned)
    profile = stumpy.stump(
        _padded(values, length), length, values[max(0, learned - MATRIX_ROWS) : learned], ignore_trivial=False
    )
    distances = profile[:, 0].astype(np.float64)
    return np.where(np.isfinite(distances), distances, 0.0)


def centred(score: Score) -> Score:
    """The same, with windows that have their row in the middle instead of at their end: it looks ahead."""

    def shifted(series: Series, learned: int, seed: int) -> np.ndarray:
        scores, ahead = score(series, learned, seed), _length(series, learned) // 2
        return np.concatenate((scores[ahead:], np.full(min(ahead, len(scores)), scores[-1])))

    return shifted


ALL = (
    Baseline("random", random_score, seeded=True),
    Baseline("row number", row_number),
    Baseline("|z|", z_score),
    Baseline("seasonal profile", seasonal_profile),
    Baseline("IsolationForest", isolation_forest, seeded=True, package="sklearn"),
    Baseline("sub-PCA", sub_pca, package="sklearn"),
    Baseline("sub-PCA centred", centred(sub_pca), causal=False, package="sklearn"),
    Baseline("sub-kNN", sub_knn, package="sklearn"),
    Baseline("sub-kNN centred", centred(sub_knn), causal=False, package="sklearn"),
    Baseline("matrix profile", matrix_profile, package="stumpy"),
    Baseline("matrix profile centred", centred(matrix_profile), causal=False, package="stumpy"),
)


def _standardised(series: Series, learned: int) -> np.ndarray:
    """The watched value by the training rows' mean and spread; a row without one repeats the last."""
    values = np.array(series.value, dtype=np.float64)
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    mean, spread = np.nanmean(values[:learned]), np.nanstd(values[:learned])
    filled = np.where(last >= 0, values[last], mean)
    return (filled - mean) / (spread if spread > 0 else 1.0)


def _length(series: Series, learned: int) -> int:
    """The windows' length: the training rows' period, between 12 and 128 rows."""
    return int(np.clip(window_length(series.value[:learned]), 12, min(128, max(12, learned // 4))))


def _windows(series: Series, learned: int) -> tuple[np.ndarray, np.ndarray]:
    """The window that ends at each row (n, length), and those of the training rows, thinned out evenly."""
    length, values = _length(series, learned), _standardised(series, learned)
    windows = np.lib.stride_tricks.sliding_window_view(_padded(values, length), length)
    whole = windows[length - 1 : learned]
    return windows, whole[np.unique(np.linspace(0, len(whole) - 1, REFERENCES).astype(int))]


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """With the first value repeated before it, so that the first row has a window too."""
    return np.concatenate((np.full(length - 1, values[0]), values))


def _parts(windows: np.ndarray) -> list[np.ndarray]:
    """Pieces that fit into memory when they are copied."""
    return [windows[start : start + 8_192] for start in range(0, len(windows), 8_192)]


def _from_axes(rows: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The distance of each row to each unit vector, (rows, axes)."""
    squares = (rows**2).sum(axis=1, keepdims=True) + 1 - 2 * rows @ axes.T
    return np.sqrt(np.maximum(squares, 0))


def _seasons(series: Series, learned: int) -> tuple[np.ndarray, int]:
    """The season that each row is in, and how many there are."""
    if series.clock is None:
        period = window_length(series.value[:learned])
        return np.arange(len(series)) % period, period
    days = series.clock.astype("datetime64[D]")
    slot = ((series.clock - days) * SLOTS // np.timedelta64(1, "D")).astype(int)
    return slot + SLOTS * (day_of_week(days) >= 5), 2 * SLOTS


def _calendar(series: Series) -> list[np.ndarray]:
    """Hour and day of the week as points on circles; nothing without times."""
    if series.clock is None:
        return []
    known = calendar_features(series.clock)
    return [known[f"{wave}_{turn}"] for wave in ("sin", "cos") for turn in ("day", "week")]
