"""What came out of scoring, and the files of a folder that hold it: scores.csv, events.csv, summary.json.

``summary.json`` has these keys; what is not known is null:

- ``fulgurite`` (the version), ``made`` (when, UTC), ``command`` (how to do it again)
- ``source``: ``file``, ``rows``, ``start``, ``end``, ``step_seconds``, ``time`` and ``value`` (names of columns; no
  ``time``: the rows have only numbers), ``continuous``, ``categorical``, ``split`` (a sentence), ``zoned`` (times
  are UTC, since the file names another zone)
- ``model``: ``kind``, ``told`` (a sentence), ``parts`` (names), and whatever else is worth knowing
- ``threshold``: ``rule``, ``level``, ``told`` (a sentence); ``refractory`` (rows)
- ``columns``: what our columns are called in scores.csv, by their usual names
- ``found``: ``events``, ``flagged`` (rows), ``share`` (of all rows, 0 to 1), ``unscored`` (rows without a score)
- ``known``: first and last time of each known anomaly; null if none is known, or nobody looked
- ``training``: ``rows``, ``epochs``, ``seconds``, ``losses`` (name to one number an epoch)
- ``notes``: what was guessed, repaired or left out, a sentence each
"""

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fulgurite.anomaly.events import Event
from fulgurite.anomaly.judge.evaluation import Evaluation
from fulgurite.anomaly.reading import read, read_columns
from fulgurite.anomaly.rows import Rows, Spans, spans
from fulgurite.anomaly.verdict import Verdict
from fulgurite.base.errors import DataError
from fulgurite.base.paths import atomic_write

if TYPE_CHECKING:
    from fulgurite.anomaly.series import Series

EVENT_COLUMNS = tuple(each.name for each in fields(Event))
NEEDED = {
    "source": ("file", "time", "value"),
    "model": ("kind", "told", "parts"),
    "threshold": ("rule", "level", "told"),
    "found": ("events", "flagged", "share", "unscored"),
}
OURS = ("score", "is_anomaly", "expected", "expected_low", "expected_high")
SECOND = 1_000_000


@dataclass(frozen=True)
class Result:
    """Scored rows, their events, and what the summary says of them; an evaluation where there is one."""

    rows: Rows
    events: tuple[Event, ...]
    summary: Mapping[str, Any]
    evaluation: Evaluation | None = None

    @classmethod
    def read(cls, folder: str | os.PathLike[str], done: Callable[[int], object] | None = None) -> "Result":
        """Read the files of a folder; ``DataError`` says which one is missing or is something else.

        ``done`` is told how many rows were read.
        """
        folder = Path(folder)
        summary = read_summary(folder / "summary.json")
        events = read_events(_there(folder / "events.csv"))
        rows = read_scores(_there(folder / "scores.csv"), summary, done)
        evaluation = folder / "evaluation.json"
        return cls(rows, tuple(events), summary, Evaluation.load(evaluation) if evaluation.is_file() else None)

    @classmethod
    def of(cls, verdict: Verdict, summary: Mapping[str, Any], evaluation: Evaluation | None = None) -> "Result":
        """The result of rows that have just been judged."""
        return cls(Rows.of(verdict), verdict.events, summary, evaluation)

    @property
    def begin(self) -> np.datetime64 | None:
        """The time of the first row that was to be scored, where the rows before it were learned from."""
        start = self.summary["source"].get("start")
        if start is None or not len(self.rows):
            return None
        begin = _moment(start, self.rows.clocked)
        return begin if self.rows.time[0] < self.rows.place(begin) else None

    @property
    def known(self) -> Spans:
        clocked = self.rows.clocked
        return [(_moment(start, clocked), _moment(end, clocked)) for start, end in self.summary.get("known") or ()]


def summarise(
    verdict: Verdict,
    *,
    file: str,
    command: str,
    model: Mapping[str, Any],
    refractory: int,
    time: str | None = None,
    split: str | None = None,
    training: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    known: Spans | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of summary.json.

    ``columns`` is what `write_scores` returned. ``known`` anomalies are those of the series' labels, if none are given.
    """
    series, threshold, flagged = verdict.series, verdict.threshold, int(verdict.flags.sum())
    if known is None and series.label is not None:
        known = spans(series.time, series.label)
    clocked = series.clock is not None
    return {
        "fulgurite": version("fulgurite"),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "source": {"file": file, "split": split, "time": time, **_of_source(series)},
        "model": {**model, "parts": list(verdict.part_names)},
        "threshold": {"rule": str(threshold), "level": threshold.level, "told": threshold.explain()},
        "refractory": refractory,
        "columns": {name: name for name in verdict.columns()} | dict(columns or {}),
        "found": {
            "events": len(verdict.events),
            "flagged": flagged,
            "share": flagged / max(len(series), 1),
            "unscored": int(np.isnan(verdict.score).sum()),
        },
        "known": None if known is None else [[_text(edge, clocked) for edge in span] for span in known],
        "training": None if training is None else dict(training),
        "notes": list(dict.fromkeys([*series.notes, *verdict.notes, *notes])),
    }


def write_summary(summary: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    with atomic_write(path, "w", encoding="utf-8") as file:
        json.dump(summary, file, indent=1, ensure_ascii=False, default=_plain)
        file.write("\n")


def read_summary(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_summary` wrote. Raises ``DataError`` for a missing file, or one that is something else."""
    there = _there(Path(path))
    try:
        summary = json.loads(there.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON file: {error}. Score the rows anew.") from error
    missing = [f"{part}.{key}" for part, keys in NEEDED.items() for key in keys if key not in _dict(summary, part)]
    if missing:
        raise DataError(f"{path} is no summary of scored rows: {', '.join(missing)} is missing. Score the rows anew.")
    return summary


def write_events(events: Iterable[Event], path: str | os.PathLike[str], series: "Series") -> None:
    """Write a line each; times as the series has them: UTC, marked so where the source names another zone."""
    zone = "Z" if _zoned(series) else ""
    clocked = series.clock is not None
    with atomic_write(path, "w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(EVENT_COLUMNS)
        for event in events:
            times = [_text(moment, clocked, zone) for moment in (event.start, event.end, event.peak)]
            lines.writerow(
                [*times, event.rows, repr(float(event.score)), f"{event.share:.4f}", event.part, event.reason]
            )


def read_events(path: str | os.PathLike[str]) -> list[Event]:
    """Read what `write_events` wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        head, *lines = list(csv.reader(file)) or [[]]
    if tuple(head) != EVENT_COLUMNS:
        raise DataError(f"{path} is no table of events: its columns are {head}, expected {list(EVENT_COLUMNS)}.")
    return [_event(line) for line in lines]


def read_scores(
    path: str | os.PathLike[str], summary: Mapping[str, Any], done: Callable[[int], object] | None = None
) -> Rows:
    """The scored rows of scores.csv, in order of time, with the columns that the summary names."""
    source, parts = summary["source"], summary["model"]["parts"]
    called = summary.get("columns", {})
    ours = [called.get(name, name) for name in (*OURS, *(f"score_{part}" for part in parts))]
    if source["time"] is None:
        columns = read_columns(path, [source["value"], *ours])
        value = columns[source["value"]]
        time = order = np.arange(len(value))
    else:
        series = read(path, time=source["time"], value=source["value"], continuous=(), categorical=(), done=done)
        columns, value, time = read_columns(path, ours), series.value, series.time
        order = np.arange(len(value)) if series.order is None else series.order
    score, flags, expected, low, high, *rest = (columns[name][order] for name in ours)
    return Rows(
        source["value"], time, value, expected, low, high, score, flags > 0, dict(zip(parts, rest, strict=True))
    )


def _of_source(series: "Series") -> dict[str, Any]:
    clocked = series.clock is not None
    start, end = (_text(series.time[place], clocked) if len(series) else None for place in (0, -1))
    return {"value": series.names[0], "continuous": list(series.names[1:]),
            "categorical": [category.name for category in series.categories], "rows": len(series), "start": start,
            "end": end, "step_seconds": series.step if clocked else None, "zoned": _zoned(series)}  # fmt: skip


def _zoned(series: "Series") -> bool:
    return series.clock is not None and bool((series.clock != series.time).any())


def _event(line: list[str]) -> Event:
    start, end, peak, rows, score, share, part, reason = line
    first, last, highest = (_moment(text, not text.isdigit()) for text in (start, end, peak))
    return Event(first, last, highest, int(rows), float(score), float(share), part, reason)


def _text(time: np.datetime64, clocked: bool, zone: str = "") -> str | int:
    """A time as files have it, as exact as it is; without a clock the number of the row."""
    if not clocked:
        return int(time.astype("datetime64[us]").astype(np.int64)) // SECOND
    text = str(time.astype("datetime64[us]")).replace("T", " ")
    return text.removesuffix(".000000") + zone


def _moment(text: str | int, clocked: bool) -> np.datetime64:
    return np.datetime64(str(text).rstrip("Z"), "us") if clocked else np.datetime64(int(text) * SECOND, "us")


def _there(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"There is no {path.name} in {path.parent}. `fulgurite anomaly score` writes it.")
    return path


def _dict(data: Any, key: str) -> Mapping[str, Any]:
    part = data.get(key) if isinstance(data, dict) else None
    return part if isinstance(part, dict) else {}


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as JSON has them."""
    return value.item() if hasattr(value, "item") else str(value)
