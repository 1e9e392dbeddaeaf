"""What a score or an alarm is worth, each measure with its definition; docs/reference/anomaly-metrics.md has more."""

from dataclasses import dataclass

import numpy as np

from fulgurite.anomaly.judge.vus import runs


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """The sum of precision x gain in recall over all thresholds, the highest first; equal scores are one threshold.

    Without interpolation, after Manning, Raghavan, Schütze: Introduction to Information Retrieval, 2008, chapter 8.4.
    """
    hits, flagged = _by_threshold(labels, scores)
    return float(np.sum(np.diff(hits, prepend=0) * hits / flagged) / hits[-1])


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The chance that an anomalous row outranks a normal one, a tie counting half (Mann and Whitney, 1947)."""
    hits, flagged = _by_threshold(labels, scores)
    alarms = flagged - hits
    steps, heights = np.diff(alarms, prepend=0), hits - np.diff(hits, prepend=0) / 2
    return float(np.sum(steps * heights) / (alarms[-1] * hits[-1]))


@dataclass(frozen=True)
class Alarms:
    """What flags were worth to someone who is called once for flagged rows that lie close together.

    ``recall``: the share of the labelled windows with a flagged row in them; None without windows. ``precision``: the
    share of the alarms that touch a window; None without alarms. ``flagged_share``: how many of all rows are flagged;
    read it first, since flagging every row makes one alarm with recall and precision 1. ``false_alarms``: alarms that
    touch no window. ``delay_rows``: from a window's first row to the first flagged row in it, the mean over the windows
    that were found; None if none was. ``found`` names both rows of each of these.
    """

    windows: int
    found: tuple[tuple[int, int], ...]
    alarms: int
    false_alarms: int
    flagged_share: float

    @property
    def recall(self) -> float | None:
        return len(self.found) / self.windows if self.windows else None

    @property
    def precision(self) -> float | None:
        return 1 - self.false_alarms / self.alarms if self.alarms else None

    @property
    def delay_rows(self) -> float | None:
        return float(np.mean([flag - first for first, flag in self.found])) if self.found else None


def alarms(labels: np.ndarray, flags: np.ndarray, refractory: int) -> Alarms:
    """Judge flags by windows, the runs of True in ``labels``, and by alarms, see `groups`. No point adjustment."""
    labels, flags = _pair(labels, flags)
    windows = runs(labels)
    found = tuple(
        (int(first), int(first + flags[first:].argmax())) for first, last in windows if flags[first : last + 1].any()
    )
    raised = groups(flags, refractory)
    false = sum(not labels[first : last + 1][flags[first : last + 1]].any() for first, last in raised)
    return Alarms(len(windows), found, len(raised), int(false), float(flags.mean()) if len(flags) else 0.0)


def groups(flags: np.ndarray, refractory: int) -> np.ndarray:
    """Flagged rows that are at most ``refractory`` rows apart are one alarm: its first and last row, (alarms, 2)."""
    flagged = np.flatnonzero(flags)
    if not len(flagged):
        return np.empty((0, 2), dtype=int)
    apart = np.diff(flagged) > refractory
    return np.stack((flagged[np.append(True, apart)], flagged[np.append(apart, True)]), axis=1)


def detections(labels: np.ndarray, flags: np.ndarray, refractory: int) -> np.ndarray:
    """Flags of which the first row of each alarm and the first one in each window are left."""
    first = np.zeros(len(flags), dtype=bool)
    first[groups(flags, refractory)[:, 0]] = True
    first[[flag for _, flag in alarms(labels, flags, refractory).found]] = True
    return first


def _by_threshold(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many anomalous rows, and how many rows at all, reach each distinct score, the highest score first."""
    labels, scores = _pair(labels, scores)
    if labels.all() or not labels.any():
        raise ValueError("The labels hold only one kind of row: a ranking needs both anomalies and normal rows.")
    if np.isnan(scores).any():
        raise ValueError(f"{np.isnan(scores).sum()} scores are NaN: judge the other rows only.")
    order = np.argsort(-scores, kind="stable")
    last_of_equals = np.append(np.diff(scores[order]) != 0, True)
    return np.cumsum(labels[order])[last_of_equals], np.flatnonzero(last_of_equals) + 1


def _pair(labels: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, others = np.asarray(labels) > 0, np.asarray(others)
    if labels.shape != others.shape or labels.ndim != 1:
        raise ValueError(f"labels and what is judged must have one length, not {labels.shape} and {others.shape}.")
    return labels, others
