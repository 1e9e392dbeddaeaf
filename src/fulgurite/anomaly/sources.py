"""The rows that everything runs on where a user has brought none: a little real series, or a made-up one."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.labels import Window, labels_of
from fulgurite.anomaly.reading import read
from fulgurite.anomaly.series import Series
from fulgurite.base.optional import require


@dataclass(frozen=True)
class Outage:
    """What is known of the rows from ``start`` to ``end``, both of them times of the local clock and both included."""

    start: str
    end: str
    reason: str

    @property
    def window(self) -> Window:
        return np.datetime64(self.start, "us"), np.datetime64(self.end, "us")


class Default(NamedTuple):
    """``source`` is the path of a CSV, or a series; ``label`` tells its anomalies, in the order of `read`."""

    source: Path | Series
    label: np.ndarray
    note: str


#: The rows of WaterFlow below 80 l/s, where about 102 is usual. Its makers name the cause, not the hours.
WATER_OUTAGES = (
    Outage("2022-03-24T09:00", "2022-03-25T00:00", "low flow: water loss or work on the pipeline"),
    Outage("2022-03-29T09:00", "2022-03-29T19:00", "low flow: water loss or work on the pipeline"),
    Outage("2022-04-27T16:00", "2022-04-28T04:00", "low flow: water loss or work on the pipeline"),
)
WATER_NOTE = (
    "WaterFlow, from river: real, 1,268 rows, three known outages; a z-score finds them too: a demonstration, "
    "not evidence"
)
SYNTHETIC_NOTE = "SYNTHETIC: made by the generator, not measured anywhere; its anomalies are the plain ones it put in"


def default_series(synthetic: bool = False, seed: int = 0) -> Default:
    """WaterFlow with its three outages; the generator's series if it is asked for, or river can't be imported."""
    path = None if synthetic else _water_flow()
    if path is None:
        series = generate(seed=seed)
        assert series.label is not None
        absent = "" if synthetic else " (WaterFlow, a real series, comes with: pip install river)"
        return Default(series, series.label, SYNTHETIC_NOTE + absent)
    return Default(path, labels_of(read(path), [outage.window for outage in WATER_OUTAGES]), WATER_NOTE)


def _water_flow() -> Path | None:
    try:
        return Path(require("river.datasets", "anomaly").WaterFlow().path)
    except ImportError:  # absent, or broken: a demonstration goes on without it
        return None
