"""What came out of a judgement: every number, means with their intervals, a table, JSON."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fulgurite.anomaly.judge.nab import Nab, normalised
from fulgurite.base.errors import DataError

#: How the table heads each measure, in its order.
COLUMNS = {
    "vus_pr": "VUS-PR",
    "vus_roc": "VUS-ROC",
    "ap": "AP",
    "flagged_share": "flagged",
    "event_recall": "recall",
    "event_precision": "precis.",
    "false_alarms_a_day": "false/day",
    "delay_rows": "delay",
    "nab": "NAB",
}
LEGEND = (
    "VUS-PR, VUS-ROC, AP: how well scores rank, whatever the threshold. flagged: share of rows above the threshold;\n"
    "read recall and precision (of labelled windows, of alarms) beside it, since flagging every row makes both 1, and\n"
    "NAB nearly 100. delay: rows from a window's start to its first flag. NAB: with this fixed threshold, 0 for no\n"
    "flags, 100 for perfect. (2): mean of two files, since the others have nothing to average, such as no alarm. *\n"
    "looks at later rows, which a live detector can't."
)
SHORTENED = (
    "[95 %]: bootstrap interval over files of the mean VUS-PR. norm.: normalised, the score measured by its own past."
)


@dataclass(frozen=True)
class Result:
    """One detector on one file: ``kind`` is ``"ours"``, or ``"raw"`` or ``"normalised"`` for a baseline."""

    file: str
    detector: str
    kind: str
    causal: bool
    seed: int
    seconds: float
    measures: Mapping[str, float | None]


@dataclass(frozen=True)
class Line:
    """One detector over all files: each measure's mean, over seeds first, and the interval of its mean VUS-PR.

    ``covered``: how many files each mean is over. Without an alarm there is no precision, without a hit no delay.
    """

    detector: str
    kind: str
    causal: bool
    files: int
    means: Mapping[str, float | None]
    covered: Mapping[str, int]
    interval: tuple[float, float] | None
    seconds: float

    @property
    def title(self) -> str:
        ending = ", normalised" if self.kind == "normalised" else ""
        return f"{self.detector}{ending}{'' if self.causal else ' *'}"

    def beside(self, name: str) -> str:
        """What has to stand beside a mean that isn't over all files: how many it is over."""
        return f" ({self.covered[name]})" if 0 < self.covered[name] < self.files else ""


@dataclass(frozen=True)
class Evaluation:
    """All results, in the order in which they came, what must be said beside them, and how they were made."""

    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(result.file for result in self.results))

    def lines(self) -> list[Line]:
        """One line a detector and kind, the best VUS-PR first; where nothing could be ranked, in order of coming."""
        keys = dict.fromkeys((result.detector, result.kind) for result in self.results)
        lines = [_line([one for one in self.results if (one.detector, one.kind) == key]) for key in keys]
        return sorted(lines, key=lambda line: -(line.means["vus_pr"] or 0))

    def table(self) -> str:
        """The lines as text for a terminal, ours marked, with what they mean below."""
        first, *others = COLUMNS.values()
        table = [["", first, "[95 %]", *others], *(_cells(line) for line in self.lines())]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        rows = ["  ".join(map(str.rjust, cells, widths[1:])) for _, *cells in table]
        rows = [f"{title:{widths[0]}}  {row}" for (title, *_), row in zip(table, rows, strict=True)]
        return "\n".join([*rows, "", _counted(self), *self.notes, LEGEND, SHORTENED])

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the settings, the lines, every result."""
        return {
            "settings": dict(self.settings),
            "notes": list(self.notes),
            "lines": [asdict(line) for line in self.lines()],
            "results": [asdict(result) for result in self.results],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Evaluation":
        results = tuple(Result(**result) for result in data["results"])
        return cls(results, tuple(data["notes"]), dict(data["settings"]))

    def save(self, path: str | os.PathLike[str]) -> None:
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Evaluation":
        """Read what `save` wrote. Raises `DataError` for a file that is something else."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text()))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is no saved evaluation: {error!r}.") from error


def interval(values: Iterable[float], rounds: int = 2_000) -> tuple[float, float] | None:
    """A 95 % bootstrap interval of the mean (Efron, 1979: percentiles over resampled files); None below three files."""
    values = np.array(list(values))
    if len(values) < 3:
        return None
    places = np.random.default_rng(0).integers(len(values), size=(rounds, len(values)))
    low, high = np.quantile(values[places].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _line(results: list[Result]) -> Line:
    by_file = {file: [one for one in results if one.file == file] for file in dict.fromkeys(r.file for r in results)}
    per_file = [{name: _mean(one.measures[name] for one in ones) for name in COLUMNS} for ones in by_file.values()]
    known = {name: _known(measures[name] for measures in per_file) for name in COLUMNS}
    means = {name: _mean(values) for name, values in known.items()}
    covered = {name: len(values) for name, values in known.items()}
    # The benchmark adds files up before it divides, and so counts false alarms in files without windows.
    means["nab"] = _mean(normalised(_benchmark(one) for one in results if one.seed == seed) for seed in _seeds(results))
    covered["nab"] = len(by_file)
    first, volumes = results[0], known["vus_pr"]
    seconds = sum(one.seconds for one in results) / len(results)
    return Line(first.detector, first.kind, first.causal, len(by_file), means, covered, interval(volumes), seconds)


def _benchmark(result: Result) -> Nab:
    return Nab(result.measures["nab_raw"] or 0.0, int(result.measures["nab_windows"] or 0))


def _seeds(results: list[Result]) -> list[int]:
    return list(dict.fromkeys(result.seed for result in results))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return float(np.mean(known)) if known else None


def _cells(line: Line) -> list[str]:
    span = f"[{line.interval[0]:.3f},{line.interval[1]:.3f}]" if line.interval else ""
    first, *others = (_cell(name, line.means[name]) + line.beside(name) for name in COLUMNS)
    title = line.title.replace(", normalised", ", norm.")
    return [f"{'>' if line.kind == 'ours' else ' '} {title}", first, span, *others]


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return {"flagged_share": f"{100 * value:.1f} %", "nab": f"{value:.1f}", "delay_rows": f"{value:.0f}"}.get(
        name, f"{value:.3f}"
    )


def _counted(evaluation: Evaluation) -> str:
    ranked = len({result.file for result in evaluation.results if result.measures["vus_pr"] is not None})
    files = len(evaluation.files)
    return f"{files} file{'s' if files != 1 else ''}, {ranked} of them with anomalies to rank; files weigh equally."
