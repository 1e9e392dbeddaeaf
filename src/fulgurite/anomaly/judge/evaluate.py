"""The protocol: learn from the first rows, be judged on the rest, beside every baseline, with no label before that.

Of the training rows the first 80 % are learned from and the last 20 % calibrate thresholds and the past that scores are
normalised by. All files have one configuration, and no threshold is chosen on labels. A row without a number isn't
judged; a row that a detector gives no score ranks lowest, so that it can't gain by keeping silent.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from fulgurite.anomaly.judge.baselines import Baseline, baselines
from fulgurite.anomaly.judge.evaluation import Evaluation, Result
from fulgurite.anomaly.judge.metrics import Alarms, alarms, average_precision, detections, roc_auc
from fulgurite.anomaly.judge.nab import nab, normalised
from fulgurite.anomaly.judge.vus import vus, window_length
from fulgurite.anomaly.past import Past
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.split import place_of
from fulgurite.anomaly.threshold import Threshold
from fulgurite.base.errors import DataError

LEARNED = 0.8  # of the training rows; the others calibrate
FEWEST = 50  # rows to learn from, and rows to judge
RAW, NORMALISED = "quantile:0.999", "normalised:3"


class Judged(Protocol):
    """What a detector says of rows: ``score`` (n,), higher is stranger, NaN where it has none, and ``flags`` (n,)."""

    @property
    def score(self) -> np.ndarray: ...
    @property
    def flags(self) -> np.ndarray: ...


class Detector(Protocol):
    """Learns from one series without labels, and judges the rows that follow it."""

    def fit(self, series: Series) -> Any: ...
    def judge(self, series: Series, follows: bool | None = None) -> Judged: ...


@dataclass(frozen=True)
class Entry:
    """A detector under judgement: ``make(seed)`` gives a new one; ``causal``: it looks at no later rows.

    ``spent``: the seconds that it took before, where it comes with its verdict.
    """

    name: str
    make: Callable[[int], Detector]
    causal: bool = True
    spent: float = 0.0


def ours(name: str = "ours", **settings: Any) -> tuple[Entry, Entry]:
    """`AnomalyDetector` with these settings, causal and offline."""
    from fulgurite.anomaly.detector import AnomalyDetector  # late: the measures alone need no torch

    def maker(offline: bool) -> Callable[[int], Detector]:
        return lambda seed: AnomalyDetector(**{**settings, "seed": seed, "offline": offline})

    return Entry(name, maker(False)), Entry(f"{name}, offline", maker(True), causal=False)


@dataclass(frozen=True)
class _Case:
    """One file with its parts: rows up to ``learned`` are learned from, those up to ``split`` calibrate."""

    name: str
    series: Series
    learned: int
    split: int
    window: int
    refractory: int

    @property
    def test(self) -> Series:
        return self.series.rows(self.split)


def evaluate(
    files: Mapping[str, Series],
    entries: Sequence[Entry],
    split: str = "50%",
    seeds: Sequence[int] = (0,),
    others: Sequence[Baseline] | None = None,
    progress: bool = True,
) -> Evaluation:
    """Judge the entries and all baselines, raw and normalised, on labelled files.

    ``split`` is where the rows to learn from end: a share (``50%``) or a time (``2014-02-01``). Files weigh equally;
    seeds are averaged before that. What needs an anomaly or a normal row that the rest of a file hasn't got is None
    there, and ``Evaluation.notes`` says so. Raises `DataError` for a file without labels or with too few rows.
    """
    cases = [_case(name, series, split) for name, series in files.items()]
    others = baselines() if others is None else others
    steps = list(_steps(cases, entries, others, seeds))
    results = [result for step in _counted(steps, progress) for result in step()]
    settings = {"split": split, "seeds": list(seeds), "learned": LEARNED, "raw": RAW, "normalised": NORMALISED}
    return Evaluation(tuple(results), tuple(note for case in cases for note in _notes(case)), settings)


def _case(name: str, series: Series, split: str) -> _Case:
    if series.label is None:
        raise DataError(f"{name}: there are no labels to judge by. Name a label column, or give windows.")
    at = place_of(split, series)
    if min(at, len(series) - at) < FEWEST:
        raise DataError(
            f"{name}: split={split!r} leaves {at} rows to learn from and {len(series) - at} to judge; {FEWEST} of each "
            "are needed."
        )
    window = window_length(series.value)
    return _Case(name, series, int(at * LEARNED), at, window, 2 * int(np.clip(window, 12, 128)))


def _notes(case: _Case) -> list[str]:
    label = _label(case.test)
    if label.all() or not label.any():
        kind = "no anomaly" if not label.any() else "nothing but anomalies"
        return [f"{case.name}: the part that is judged holds {kind}, so that its scores can't be ranked."]
    return []


Step = Callable[[], list[Result]]


def _steps(
    cases: Sequence[_Case], entries: Sequence[Entry], others: Sequence[Baseline], seeds: Sequence[int]
) -> Iterator[Step]:
    for case in cases:
        for entry in entries:
            for seed in seeds:
                yield partial(_entered, case, entry, seed)
        for baseline in others:
            for seed in seeds if baseline.seeded else seeds[:1]:
                yield partial(_compared, case, baseline, seed)


def _counted(steps: list[Step], progress: bool) -> Iterator[Step]:
    from tqdm import tqdm  # late: a library user who asks for no bar needs none

    yield from tqdm(steps, desc="Evaluating", file=sys.stderr, disable=not progress, leave=False)


def _entered(case: _Case, entry: Entry, seed: int) -> list[Result]:
    began = time.perf_counter() - entry.spent
    detector = entry.make(seed)
    detector.fit(case.series.rows(0, case.split))
    judged = detector.judge(case.test, follows=True)
    return [_result(case, entry.name, "ours", entry.causal, seed, judged.score, judged.flags, began)]


def _compared(case: _Case, baseline: Baseline, seed: int) -> list[Result]:
    """The baseline's raw scores above a quantile of the calibration rows', and its normalised ones above a number.

    Like ours, one that looks ahead is normalised offline, each part in one update; it is centred already, and needs no
    lead.
    """
    began = time.perf_counter()
    raw = baseline.score(case.series, case.learned, seed)
    past = Past(rows=10, offline=not baseline.causal)
    known, test = raw[case.learned : case.split], raw[case.split :]
    past.update(known)
    score, own = past.measure(test)
    variants = {
        "raw": (test, Threshold.parse(RAW).fit(known).flags(test)),
        "normalised": (score, Threshold.parse(NORMALISED).flags(own)),
    }
    return [
        _result(case, baseline.name, kind, baseline.causal, seed, scores, flags, began)
        for kind, (scores, flags) in variants.items()
    ]


def _result(
    case: _Case, name: str, kind: str, causal: bool, seed: int, scores: np.ndarray, flags: np.ndarray, began: float
) -> Result:
    seconds = time.perf_counter() - began
    measures = measure(case.test, scores, flags, case.window, case.refractory)
    return Result(case.name, name, kind, causal, seed, round(seconds, 3), measures)


def measure(
    series: Series, scores: np.ndarray, flags: np.ndarray, window: int, refractory: int
) -> dict[str, float | None]:
    """All measures of scores and flags of a labelled series; None for what isn't defined on it.

    ``window`` is the widest tolerance of the volumes in rows, ``refractory`` how far apart flagged rows are one alarm.
    """
    there = np.isfinite(series.value)
    label, scores, flags = _label(series)[there], ranked(scores[there]), np.asarray(flags, bool)[there]
    ranks = label.any() and not label.all()
    volume = vus(label, scores, window) if ranks else (None, None)
    found = alarms(label, flags, refractory)
    benchmark = nab(label, detections(label, flags, refractory))
    return {
        "vus_pr": volume[0],
        "vus_roc": volume[1],
        "ap": average_precision(label, scores) if ranks else None,
        "roc_auc": roc_auc(label, scores) if ranks else None,
        "event_recall": found.recall,
        "event_precision": found.precision,
        "flagged_share": found.flagged_share,
        "alarms": found.alarms,
        "delay_rows": found.delay_rows,
        **_in_time(series, there, found),
        "nab": normalised([benchmark]),
        "nab_raw": benchmark.raw,
        "nab_windows": benchmark.windows,
    }


def ranked(scores: np.ndarray) -> np.ndarray:
    """Scores in which a row without one ranks lowest."""
    finite = scores[np.isfinite(scores)]
    lowest, highest = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    return np.nan_to_num(scores, nan=lowest, neginf=lowest, posinf=highest)


def _label(series: Series) -> np.ndarray:
    assert series.label is not None
    return series.label


def _in_time(series: Series, there: np.ndarray, found: Alarms) -> dict[str, float | None]:
    """False alarms a day and the mean delay in seconds; None for rows without times."""
    if series.clock is None:
        return {"false_alarms_a_day": None, "delay_seconds": None}
    seconds = (series.time - series.time[0]).astype(np.int64) / 1e6
    late = [seconds[there][flag] - seconds[there][first] for first, flag in found.found]
    return {
        "false_alarms_a_day": found.false_alarms * 86_400 / (seconds[-1] + series.step),
        "delay_seconds": float(np.mean(late)) if late else None,
    }
