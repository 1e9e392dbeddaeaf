"""The charts of a report: one for each metric, with a line for each run that logged it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from fulgurite.track.store.paths import shown
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

MOST_CHARTS = 300
POINTS = 400_000  # over all lines: about ten bytes each, in a page that shall be mailed
FEWEST, FINEST = 40, 500  # stretches of a line
NUMBERS = set("dqb")  # kinds of values that are drawn

Numbers = list[float | None]


@dataclass(slots=True)
class Line:
    """The metric of run number ``run``: by step the last value of each stretch, and its range where it has one."""

    run: int
    x: list[int]
    last: Numbers
    low: Numbers | None
    high: Numbers | None


@dataclass(slots=True)
class Chart:
    name: str
    lines: list[Line] = field(default_factory=list)

    @property
    def group(self) -> str:
        """What stands before the first slash of the name."""
        head, slash, _ = self.name.partition("/")
        return head if slash else ""


@dataclass(slots=True)
class Charts:
    """The charts, and how many there are beside them."""

    drawn: list[Chart]
    left_out: int


def charts(store: Store, runs: Sequence[Run], patterns: Sequence[str] = ()) -> Charts:
    """Those whose names fit one of the patterns (``val_*``); all of them, if there are none."""
    names: dict[str, dict[int, str]] = {}
    for i, run in enumerate(runs):
        for path, name in numeric(store, run).items():
            if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns):
                names.setdefault(name, {})[i] = path
    order = sorted(names, key=lambda name: ("/" in name, name))
    drawn = order[:MOST_CHARTS]
    count = sum(len(names[name]) for name in drawn)
    buckets = min(max(POINTS // max(count, 1) // 3, FEWEST), FINEST)
    made = [Chart(name, [_line(store, runs[i], i, path, buckets) for i, path in names[name].items()]) for name in drawn]
    return Charts(made, len(order) - len(drawn))


def numeric(store: Store, run: Run) -> dict[str, str]:
    """What a run logged numbers for: the shown name of each path."""
    known = store.history.keys(run.id)
    named = {path: shown(path) for path, about in known.items() if NUMBERS & set(about["kinds"])}
    return {path: name for path, name in named.items() if not name.startswith("_")}


def _line(store: Store, run: Run, number: int, path: str, buckets: int) -> Line:
    found = store.history.chart(run.id, path, buckets)
    single = found.low is found.last
    last = _short(found.last)
    low, high = (None, None) if single else (_short(found.low), _short(found.high))
    return Line(number, found.steps.tolist(), last, low, high)


def _short(values: Any) -> Numbers:
    """In the digits that a screen can show; what is not finite is a gap."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]
