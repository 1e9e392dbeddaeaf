"""The files that scoring leaves: scores.csv, events.csv and summary.json, each whole or not there."""

import csv
import importlib.metadata
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fulgurite.anomaly.detector import AnomalyDetector
from fulgurite.anomaly.rows import spans
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.textfile import Source
from fulgurite.anomaly.verdict import Verdict
from fulgurite.anomaly.writing import write_scores
from fulgurite.base.paths import atomic_write

SCORES, EVENTS, SUMMARY = "scores.csv", "events.csv", "summary.json"
EVENT_COLUMNS = ("start", "end", "peak", "rows", "score", "share", "part", "reason")


def write_all(
    folder: Path,
    source: Source | Series,
    whole: Series,
    verdict: Verdict,
    about: Mapping[str, Any],
    done: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Write the verdict on some rows of ``whole``, which were read from ``source``; returns the summary.

    scores.csv has all rows of the source; those that were not scored have empty cells.
    """
    names = write_scores(source, verdict.at_source(len(whole)), folder / SCORES, done)
    write_events(folder / EVENTS, verdict)
    summary = {**about, **_summary(verdict), "columns": names}
    with atomic_write(folder / SUMMARY, "w", encoding="utf-8") as file:
        json.dump(summary, file, indent=2, ensure_ascii=False)
        file.write("\n")
    return summary


def write_events(path: Path, verdict: Verdict) -> None:
    """One line for each event; times are those of the source's clock, with their offset where it names one."""
    with atomic_write(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EVENT_COLUMNS)
        for event in verdict.events:
            moments = [spelled(verdict.series, time) for time in (event.start, event.end, event.peak)]
            writer.writerow(
                [*moments, event.rows, f"{event.score:.6g}", f"{event.share:.4g}", event.part, event.reason]
            )


def about(detector: AnomalyDetector, data: str, seconds: float) -> dict[str, Any]:
    """What a summary says of the model and the file."""
    schema = detector.schema_
    return {
        "fulgurite": importlib.metadata.version("fulgurite"),
        "data": data,
        "model": detector.model if isinstance(detector.model, str) else type(detector.model).__name__,
        "time": schema.time,
        "value": schema.value,
        "continuous": list(schema.continuous),
        "categorical": list(schema.categorical),
        "refractory": detector.refractory_,
        "seconds": round(seconds, 3),
    }


def _summary(verdict: Verdict) -> dict[str, Any]:
    series, rows = verdict.series, len(verdict.series)
    flagged = int(verdict.flags.sum())
    threshold = verdict.threshold
    return {
        "rows": rows,
        "scored": int(np.isfinite(verdict.score).sum()),
        "flagged": flagged,
        "flagged_share": flagged / rows if rows else 0.0,
        "events": len(verdict.events),
        "start": spelled(series, series.time[0]) if rows else None,
        "end": spelled(series, series.time[-1]) if rows else None,
        "step_seconds": series.step,
        "threshold": {"rule": str(threshold), "level": threshold.level, "explanation": threshold.explain()},
        "parts": list(verdict.part_names),
        "known": _known(series),
        "notes": list(verdict.notes),
    }


def _known(series: Series) -> list[list[str]] | None:
    if series.label is None:
        return None
    return [[spelled(series, start), spelled(series, end)] for start, end in spans(series.time, series.label)]


def spelled(series: Series, time: np.datetime64) -> str:
    """A time of the series as its source's clock shows it; the number of the row where there is no clock."""
    if series.clock is None:
        return str(int(time.astype(np.int64)) // 1_000_000)
    place = min(int(np.searchsorted(series.time, time)), len(series) - 1)
    clock = series.clock[place] + (time - series.time[place])
    text = str(clock.astype("datetime64[s]") if clock == clock.astype("datetime64[s]") else clock).replace("T", " ")
    if (series.clock == series.time).all():
        return text
    minutes = int((series.clock[place] - series.time[place]) / np.timedelta64(1, "m"))
    return f"{text}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
