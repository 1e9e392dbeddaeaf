"""Histograms of a run over its steps, brought to one grid of bins so that they can stand side by side."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.described import tells, whole
from fulgurite.track.server.api.media import KEYS, keys_asked
from fulgurite.track.server.api.runs import run_of
from fulgurite.track.server.api.shapes import answer, numbers
from fulgurite.track.store.cells import Column
from fulgurite.track.store.history import FIRST_STEP, LAST_STEP
from fulgurite.track.store.paths import shown
from fulgurite.track.store.store import Store

STEPS, MOST_STEPS = 100, 1000
BINS, MOST_BINS = 48, 512
FARTHEST = 1e300  # beyond it, the distance of two edges may be no number any more
LARGEST = 100_000  # bins that a logged histogram may have

Floats = npt.NDArray[np.float64]


class HistogramsShape(TypedDict):
    """The histograms of one key: ``counts`` has a list for each of ``steps``, with a count for each bin.

    ``edges`` has one number more than there are bins. ``count`` is how many were logged between ``low`` and ``high``,
    ``unreadable`` how many of the chosen ones are no histograms.
    """

    key: str
    name: str
    steps: list[int]
    edges: list[float]
    counts: list[list[float]]
    count: int
    unreadable: int


class HistogramRoutes:
    """The address of histograms over steps."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        return [Route("/projects/{entity}/{project}/runs/{run}/histograms", self.histograms, methods=["GET"])]

    @tells(
        {"histograms": list[HistogramsShape]},
        query={
            "key": KEYS,
            "steps": whole("how many steps at most", STEPS),
            "bins": whole("how many bins", BINS),
            "low": whole("the first step"),
            "high": whole("the last step"),
        },
    )
    def histograms(self, request: Request) -> Response:
        """At most ``steps`` of each key: the last one of each stretch of its steps."""
        run, keys = run_of(self._store, request), keys_asked(request)
        most, bins = (
            asked.integer(request, "steps", STEPS, 1, MOST_STEPS),
            asked.integer(request, "bins", BINS, 1, MOST_BINS),
        )
        low = asked.integer(request, "low", FIRST_STEP, FIRST_STEP)
        high = asked.integer(request, "high", LAST_STEP, FIRST_STEP, LAST_STEP)
        found = [shape(key, self._store.history.read(run.id, key, low, high), most, bins) for key in keys]
        return answer({"histograms": found})


def shape(key: str, logged: Column, most: int, bins: int) -> HistogramsShape:
    """The histograms of a column, at ``most`` of its steps, in ``bins`` bins."""
    chosen = last_of_stretches(len(logged), most)
    values = logged.values() if len(chosen) else []
    read = [(int(logged.steps[index]), edges_and_counts(values[index])) for index in chosen]
    there = [(step, each) for step, each in read if each is not None]
    grid = common_grid([edges for _, (edges, _) in there], bins)
    return {
        "key": key,
        "name": shown(key),
        "steps": [step for step, _ in there],
        "edges": numbers(grid),
        "counts": [numbers(rebinned(edges, counts, grid).round(6)) for _, (edges, counts) in there],
        "count": len(logged),
        "unreadable": len(read) - len(there),
    }


def last_of_stretches(count: int, most: int) -> list[int]:
    """The indices of at most ``most`` out of ``count``, the last one among them, at even distances."""
    if count <= most:
        return list(range(count))
    return [(count * (number + 1)) // most - 1 for number in range(most)]


def edges_and_counts(value: Any) -> tuple[Floats, Floats] | None:
    """What a logged histogram says, of either of W&B's forms; None if it is none."""
    if not isinstance(value, dict):
        return None
    try:
        counts = np.asarray(value.get("values"), dtype=np.float64)
        packed = value.get("packedBins")
        if isinstance(packed, dict):
            size = int(packed["count"])
            if not 0 < size <= LARGEST:
                return None
            edges = packed["min"] + packed["size"] * np.arange(size + 1, dtype=np.float64)
        else:
            edges = np.asarray(value.get("bins"), dtype=np.float64)
    except (TypeError, ValueError, KeyError, OverflowError):
        return None
    fits = counts.ndim == edges.ndim == 1 and 0 < len(counts) <= LARGEST and len(edges) == len(counts) + 1
    if not fits or not (abs(edges) <= FARTHEST).all() or not np.isfinite(counts).all():
        return None
    return (edges, counts) if (edges[1:] >= edges[:-1]).all() else None


def common_grid(edges: Sequence[Floats], bins: int) -> Floats:
    """The edges of ``bins`` bins of one width that hold all of these; none where there are none."""
    if not edges:
        return np.empty(0)
    low, high = min(float(each[0]) for each in edges), max(float(each[-1]) for each in edges)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        width = max(abs(low), 1.0) * 1e-6
        low, high = low - width, high + width
    return np.linspace(low, high, bins + 1)


def rebinned(edges: Floats, counts: Floats, grid: Floats) -> Floats:
    """The counts in the bins of ``grid``: what lies in a bin counts as evenly spread over it."""
    spread = np.diff(edges) > 0
    below = np.concatenate([[0.0], np.cumsum(np.where(spread, counts, 0.0))])
    found = np.diff(np.interp(grid, edges, below))
    # A bin without a width is a single number.
    places = np.clip(np.searchsorted(grid, edges[:-1][~spread], "right") - 1, 0, len(grid) - 2)
    np.add.at(found, places, counts[~spread])
    return found
