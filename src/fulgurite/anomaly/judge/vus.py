"""Volume under the surface: how well scores rank the anomalies, whatever the threshold and whatever the tolerance.

Definition: Paparrizos, Boniol, Palpanas, Tsay, Elmore, Franklin: "Volume Under the Surface", PVLDB 15(11), 2022. For
each tolerance from 0 to ``window`` the labels fade out over half the tolerance on either side of each anomaly, and a
precision-recall and an ROC curve are drawn through 250 thresholds; the volume is the mean area below them.

The published code walks over all rows for each of tolerances x thresholds. Here each row is first put into the bin of
the highest threshold that it reaches, so that one cumulative histogram a tolerance gives all its thresholds at once.
"""

import numpy as np

THRESHOLDS = 250


def vus(labels: np.ndarray, scores: np.ndarray, window: int) -> tuple[float, float]:
    """Return (VUS-PR, VUS-ROC) of ``scores`` against boolean ``labels``; ``window`` is the widest tolerance in rows.

    Raises ``ValueError`` where the volume isn't defined: no anomaly, no normal row, or a score that isn't finite.
    """
    labels, scores = np.asarray(labels) > 0, np.asarray(scores, dtype=np.float64)
    _check(labels, scores, window)
    reached = _first_threshold_reached(scores)
    flagged = np.cumsum(np.bincount(reached, minlength=THRESHOLDS))
    anomalies = runs(labels)
    areas = [_areas(labels, anomalies, reached, flagged, tolerance) for tolerance in range(window + 1)]
    precision_recall, roc = np.mean(areas, axis=0)
    return float(precision_recall), float(roc)


def window_length(values: np.ndarray) -> int:
    """Return the series' period in rows as TSB-AD finds it, from the first 20,000 finite values.

    It is the lag of the highest peak of the autocorrelation among lags 4 to 303, or 125 where there is none.
    """
    values = np.asarray(values, dtype=np.float64)
    correlation = _autocorrelation(values[np.isfinite(values)][:20_000], lags=400)[3:]
    inner = correlation[1:-1]
    peaks = np.flatnonzero((inner > correlation[:-2]) & (inner > correlation[2:])) + 1
    if not len(peaks):
        return 125
    highest = peaks[np.argmax(correlation[peaks])]
    return int(highest) + 3 if 3 <= highest <= 300 else 125


def runs(labels: np.ndarray) -> np.ndarray:
    """The first and the last row of each run of True, (runs, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], labels, [False])).astype(np.int8)))
    return np.stack((edges[::2], edges[1::2] - 1), axis=1)


def _autocorrelation(values: np.ndarray, lags: int) -> np.ndarray:
    """Correlation with itself at lags 0 to ``lags``, each sum divided by the same variance; empty for a constant."""
    if not len(values) or np.ptp(values) == 0:
        return np.empty(0)
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    products = np.fft.irfft(spectrum * spectrum.conj())[: min(lags + 1, len(centred))]
    return products / products[0]


def _check(labels: np.ndarray, scores: np.ndarray, window: int) -> None:
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(f"labels and scores must be two rows of equal length, not {labels.shape} and {scores.shape}.")
    if window < 0:
        raise ValueError(f"window={window} can't be negative.")
    if labels.all() or not labels.any():
        raise ValueError("The labels hold only one kind of row: a volume needs both anomalies and normal rows.")
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} scores aren't finite: judge the finite rows only.")


def _first_threshold_reached(scores: np.ndarray) -> np.ndarray:
    """Each row's bin: the place, from the highest down, of the first threshold that its score reaches."""
    falling = np.sort(scores)[::-1]
    thresholds = falling[np.linspace(0, len(scores) - 1, THRESHOLDS).astype(int)]
    return np.searchsorted(-thresholds, -scores, side="left")


def _faded(labels: np.ndarray, anomalies: np.ndarray, tolerance: int) -> np.ndarray:
    """Labels as weights: 1 in an anomaly, beside it sqrt(1 - distance / tolerance) as far as half the tolerance."""
    weights, half = labels.astype(np.float64), tolerance // 2
    if not half:
        return weights
    fall = np.sqrt(1 - np.arange(1, half + 1) / tolerance)
    for first, last in anomalies:
        after = weights[last + 1 : last + 1 + half]
        after += fall[: len(after)]
        before = weights[max(first - half, 0) : first]
        before += fall[: len(before)][::-1]
    return np.minimum(weights, 1.0)


def _zones(anomalies: np.ndarray, half: int, rows: int) -> np.ndarray:
    """The anomalies with their faded rows; those that overlap are one zone, those that only touch stay two."""
    apart = anomalies[1:, 0] - half > anomalies[:-1, 1] + half
    starts = anomalies[np.append(True, apart), 0] - half
    ends = anomalies[np.append(apart, True), 1] + half
    return np.stack((np.maximum(starts, 0), np.minimum(ends, rows - 1)), axis=1)


def _areas(
    labels: np.ndarray, anomalies: np.ndarray, reached: np.ndarray, flagged: np.ndarray, tolerance: int
) -> tuple[float, float]:
    """The areas below the precision-recall and the ROC curve for one tolerance."""
    weights = _faded(labels, anomalies, tolerance)
    zones = _zones(anomalies, tolerance // 2, len(labels))
    hits = np.cumsum(np.bincount(reached, weights, minlength=THRESHOLDS))
    first_hits = [reached[first : last + 1].min() for first, last in zones]
    existence = np.cumsum(np.bincount(first_hits, minlength=THRESHOLDS)) / len(zones)
    # Faded rows count as anomalous only once they are flagged; an anomaly's own rows always do.
    faded_hits = np.cumsum(np.bincount(reached, np.where(labels, 0.0, weights), minlength=THRESHOLDS))
    positives = (labels.sum() + (labels.sum() + faded_hits)) / 2
    recall = np.minimum(hits / positives, 1) * existence
    false_alarm_rate = (flagged - hits) / (len(labels) - positives)
    precision = hits / flagged
    below_precision = np.sum(np.diff(recall, prepend=0) * precision)
    return float(below_precision), _below(
        np.concatenate(([0], false_alarm_rate, [1])), np.concatenate(([0], recall, [1]))
    )


def _below(x: np.ndarray, y: np.ndarray) -> float:
    """The area below the line through the points, by trapezoids."""
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2)
