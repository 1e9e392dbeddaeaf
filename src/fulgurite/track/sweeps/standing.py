"""How a sweep's runs stand: what they reached of the metric, and how they got there."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fulgurite.track.store.paths import path_of
from fulgurite.track.store.runs import PENDING, PREEMPTING, RUNNING, Run
from fulgurite.track.store.store import Store
from fulgurite.track.store.sweeps import Sweep
from fulgurite.track.store.trials import Trial
from fulgurite.track.sweeps.config import MINIMIZE, Metric
from fulgurite.track.sweeps.hyperband import Record
from fulgurite.track.sweeps.search import Tried


def reached(store: Store, run: Run, metric: Metric) -> float | None:
    """The best that the run ever had of the metric, over its history and its summary."""
    values = [float(value) for value in _numbers(_summary(run.summary, metric.name))]
    chart = store.history.chart(run.id, _path(store, run, metric.name), buckets=1)
    best = chart.low if metric.goal == MINIMIZE else chart.high
    values += [float(value) for value in best if math.isfinite(value)]
    return metric.best(values) if values else None


def record(store: Store, run: Run, metric: Metric) -> Record:
    """The best of the metric until each value that the run logged of it, so turned that less is better."""
    numbers = store.history.read(run.id, _path(store, run, metric.name)).numbers()
    turned = numbers if metric.goal == MINIMIZE else -numbers
    # A value that is no number is as bad as can be: the run was no better for it.
    best: list[float] = np.minimum.accumulate(np.where(np.isnan(turned), np.inf, turned)).tolist()
    return best


def tried(store: Store, sweep: Sweep, metric: Metric | None) -> list[Tried]:
    """All combinations that the sweep's runs have got, also runs that came to it from elsewhere."""
    runs = {run.name: run for run in store.sweeps.runs(sweep)}
    trials = {trial.run_name: trial for trial in store.trials.all(sweep)}
    known = [_tried(store, runs.get(name), trial, metric) for name, trial in trials.items()]
    others = [_tried(store, run, None, metric) for name, run in runs.items() if name not in trials]
    return known + others


def _tried(store: Store, run: Run | None, trial: Trial | None, metric: Metric | None) -> Tried:
    parameters = trial.parameters if trial is not None else run.config if run is not None else {}
    if run is None:
        return Tried(parameters, None, under_way=True)
    under_way = run.state in (RUNNING, PENDING, PREEMPTING)
    value = None if metric is None or under_way else reached(store, run, metric)
    return Tried(parameters, value, under_way)


def _path(store: Store, run: Run, name: str) -> str:
    """The metric's path in the history: its name as it is, or, where the run has no such key, along its dots."""
    whole = path_of(name)
    return whole if store.history.has(run.id, whole) else path_of(*name.split("."))


def _summary(summary: Mapping[str, Any], name: str) -> Any:
    """The metric in a summary, by its name or along its dots."""
    if name in summary:
        return summary[name]
    found: Any = summary
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _numbers(value: Any) -> list[float]:
    """The numbers in a summary's entry; one with several summaries is a dict of them."""
    if isinstance(value, Mapping):
        return [number for each in value.values() for number in _numbers(each)]
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return [value] if good else []
