"""Which hyperparameters matter for a metric, over the runs of a project that are chosen."""

import hashlib
from collections.abc import Sequence
from typing import Any, TypedDict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.about import is_finite, kind_of
from fulgurite.track.server.api.choice import Choice, known_column
from fulgurite.track.server.api.described import many, needed, tells
from fulgurite.track.server.api.influence import FEW, FOREST, LEAST, Influence, Study, likely, study
from fulgurite.track.server.api.parameters import CHOICE
from fulgurite.track.server.api.runs import project_of
from fulgurite.track.server.api.shapes import unless_known
from fulgurite.track.server.api.sheet import Entry, Sheets
from fulgurite.track.store.store import Store

MOST_RUNS, MOST_COLUMNS = 2000, 60
METHODS = {
    FOREST: "Permutation importance of a random forest, on runs that it was not fitted to.",
    "bins": "Correlation ratio in bins, each hyperparameter alone; with scikit-learn installed, combinations count.",
}


class InfluenceShape(TypedDict):
    """What a hyperparameter has to do with the metric; null where it can't be said.

    ``correlation`` is Spearman's, from -1 to 1. ``importance`` is 0 for none; ``share`` is its part of all importances.
    ``runs`` have a value of it.
    """

    column: str
    correlation: float | None
    importance: float | None
    share: float | None
    runs: int


class ImportanceShape(TypedDict):
    """What matters for a metric. ``method`` is forest or bins, ``about`` says what that is.

    ``runs`` is how many the answer rests on; ``explained`` how much of the metric's variance the forest foretells, null
    without one. ``warnings`` are sentences.
    """

    metric: str
    method: str
    about: str
    runs: int
    explained: float | None
    warnings: list[str]
    influences: list[InfluenceShape]


class ImportanceRoutes:
    """The address that tells which hyperparameters matter."""

    def __init__(self, store: Store, sheets: Sheets) -> None:
        self._store, self._sheets = store, sheets

    def routes(self) -> list[BaseRoute]:
        return [Route("/projects/{entity}/{project}/importance", self.importance, methods=["GET"])]

    @tells(
        ImportanceShape,
        query={
            "metric": needed("the column that is to be explained, such as summary.loss"),
            "column": many("a column that may explain it; without one all settings that differ"),
            "search": CHOICE["search"],
            "filter": CHOICE["filter"],
        },
    )
    def importance(self, request: Request) -> Response:
        """Which hyperparameters matter for a metric, over the runs that are chosen and have it.

        At most the newest 2000 of them. The same runs give the same answer. How it is reckoned is told in the guide to
        the dashboard.
        """
        query = request.query_params
        metric = known_column(asked.text(request, "metric"))
        sheet = self._sheets.of(project_of(self._store, request))
        chosen, _ = Choice(query.get("search", ""), query.getlist("filter")).of(sheet.entries.values())
        entries = [each for each in chosen if is_finite(each.value(metric))][:MOST_RUNS]
        columns = [known_column(each) for each in query.getlist("column")]
        if len(columns) > MOST_COLUMNS:
            raise asked.BadRequest(f"{len(columns)} columns are more than {MOST_COLUMNS} at once.")
        seen = hashlib.md5(str(request.query_params).encode(), usedforsecurity=False).hexdigest()
        tag = f"importance-{sheet.version}-{seen}"
        return unless_known(request, tag, lambda: importance_shape(metric, columns or _differing(entries), entries))


def importance_shape(metric: str, columns: Sequence[str], entries: Sequence[Entry]) -> ImportanceShape:
    values = {column: [_plain(each.value(column)) for each in entries] for column in columns}
    reached = [float(each.value(metric)) for each in entries]
    found = study(likely(values, reached, MOST_COLUMNS), reached)
    total = sum(each.importance or 0.0 for each in found.influences)
    return {
        "metric": metric,
        "method": found.method,
        "about": METHODS[found.method],
        "runs": found.runs,
        "explained": found.explained,
        "warnings": _warnings(found),
        "influences": [_shape(each, total) for each in found.influences],
    }


def _shape(influence: Influence, total: float) -> InfluenceShape:
    known = influence.importance is not None and total > 0
    return {
        "column": influence.column,
        "correlation": influence.correlation,
        "importance": influence.importance,
        "share": (influence.importance or 0.0) / total if known else None,
        "runs": influence.runs,
    }


def _warnings(found: Study) -> list[str]:
    if found.runs < LEAST:
        return [f"Only {found.runs} runs have this metric; below {LEAST} nothing can be said."]
    if not found.influences:
        return ["No setting differs between these runs."]
    told = []
    if found.runs < FEW:
        told.append(f"This rests on {found.runs} runs; below {FEW} take it as a hint.")
    if all(each.importance is None for each in found.influences):
        told.append("The metric is the same in all of these runs.")
    elif found.explained is not None and found.explained < 0.1:
        told.append("The settings hardly foretell the metric of runs left out, so the importances mean little.")
    return told


def _differing(entries: Sequence[Entry]) -> list[str]:
    """The settings that have more than one value, without those that are a new text in each run."""
    values: dict[str, set[Any]] = {}
    for entry in entries:
        for name, value in entry.cells.items():
            if name.startswith("config.") and not name.startswith("config._"):
                values.setdefault(name, set()).add(_plain(value))
    kept = []
    for name, found in values.items():
        texts = any(isinstance(each, str) for each in found)
        missing = any(name not in entry.cells for entry in entries)
        if len(found - {None}) + missing > 1 and not (texts and len(found) > max(2, len(entries) // 2)):
            kept.append(name)
    return sorted(kept)


def _plain(value: Any) -> Any:
    """A value that can be compared: a number, a text, or None."""
    kind = kind_of(value)
    if value is None or kind == "number":
        return value if is_finite(value) else None
    return int(value) if kind == "boolean" else value if kind == "text" else str(value)
