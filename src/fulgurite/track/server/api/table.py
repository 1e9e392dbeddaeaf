"""The table of a project's runs: its columns, and the part of it that is in sight."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypedDict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.about import About, is_finite, kind_of
from fulgurite.track.server.api.choice import Choice, Group, known_column
from fulgurite.track.server.api.described import many, tells, whole
from fulgurite.track.server.api.export import csv_response
from fulgurite.track.server.api.parameters import CHOICE
from fulgurite.track.server.api.runs import project_of
from fulgurite.track.server.api.shapes import answer, unless_known
from fulgurite.track.server.api.sheet import OWN, Entry, Sheet, Sheets
from fulgurite.track.store.runs import LIVING, SILENCE, Run
from fulgurite.track.store.store import Store

WINDOW, MOST = 200, 5000
MOST_COLUMNS = 500
MOST_NAMES = 1_000_000
MOST_TEXTS = 200  # tags, groups and the like that are told to choose from
TOLD_AGAIN = 60.0  # seconds for which a run that fell silent is told anew: no version says so
CHOSEN_FROM = ("state", "tags", "group", "job_type", "sweep", "source")
SETTINGS, RESULTS = 4, 6  # columns of config and summary that are shown unless others are asked for


class ColumnShape(TypedDict):
    """A column of config or summary; ``values`` are all of its values where they are few, else null."""

    name: str
    kind: str
    count: int
    low: float | None
    high: float | None
    values: list[Any] | None


class RowShape(TypedDict):
    """A run as a row of the table."""

    id: int
    name: str
    display_name: str
    state: str
    tags: list[str]
    notes: str | None
    group: str | None
    job_type: str | None
    sweep: str | None
    created: float
    duration: float
    rows: int
    version: int


class GroupShape(TypedDict):
    """Runs with the same ``key``; ``first`` is the place of its first one among all matches.

    ``means`` are those of the numbers in each asked column, null where there is none.
    """

    key: list[Any]
    first: int
    count: int
    means: list[float | None]


class TableShape(TypedDict):
    """The part of the table that is in sight: ``order`` are the ids of its rows, ``values`` are told by id."""

    total: int
    matched: int
    running: int
    version: int
    order: list[int]
    columns: list[str]
    runs: list[RowShape]
    values: dict[int, list[Any]]
    groups: list[GroupShape]


class TableRoutes:
    """Addresses over the runs of projects as tables."""

    def __init__(self, store: Store, sheets: Sheets) -> None:
        self._store, self._sheets = store, sheets

    def routes(self) -> list[BaseRoute]:
        project = "/projects/{entity}/{project}"
        return [
            Route(project + "/columns", self.columns, methods=["GET"]),
            Route(project + "/table", self.table, methods=["GET"]),
            Route(project + "/table.csv", self.csv, methods=["GET"]),
            Route(project + "/names", self.names, methods=["GET"]),
        ]

    @tells({"columns": list[ColumnShape], "own": dict[str, list[str]], "version": int})
    def columns(self, request: Request) -> Response:
        """All columns of config and summary and some of what every run has; with an ETag."""
        sheet = self._sheets.of(project_of(self._store, request))
        return unless_known(
            request,
            f"columns-{sheet.version}-{sheet.living()}",
            lambda: {
                "columns": [column_shape(name, about) for name, about in sheet.columns().items()],
                "own": {name: _distinct(sheet, name) for name in CHOSEN_FROM},
                "version": sheet.version,
            },
        )

    @tells(
        {"names": list[str], "matched": int},
        query={**CHOICE, "first": whole("how many", MOST_NAMES), "from": whole("from which place on", 0)},
    )
    def names(self, request: Request) -> Response:
        """The names of all matches in their order, or of those from a place on: for what is done to many."""
        first, start = asked.integer(request, "first", MOST_NAMES, 0, MOST_NAMES), asked.integer(request, "from", 0)
        choice = _choice(request)
        found, _ = choice.of(self._sheets.of(project_of(self._store, request)).entries.values())
        return answer({"names": [entry.run.name for entry in found[start : start + first]], "matched": len(found)})

    @tells(bytes, query={"column": many("a column; without one all that there are"), **CHOICE}, media="text/csv")
    def csv(self, request: Request) -> Response:
        """All matches, with the columns that are asked for, or with all that there are."""
        project, choice = project_of(self._store, request), _choice(request)
        sheet = self._sheets.of(project)
        names = request.query_params.getlist("column")
        columns = [known_column(name) for name in names] if names else [*OWN, *sheet.columns()]
        found, _ = choice.of(sheet.entries.values())
        return csv_response(found, columns, project.name)

    @tells(
        TableShape,
        query={
            "column": many("a column to be told; without one those that tell most"),
            **CHOICE,
            "first": whole("how many rows", WINDOW),
            "from": whole("from which place on", 0),
            "since": whole("a version: `runs` and `values` hold only what has changed after it"),
        },
    )
    def table(self, request: Request) -> Response:
        """Rows of the table of runs: filtered, sorted, grouped, and told anew only where they have changed."""
        project = project_of(self._store, request)
        first, start = asked.integer(request, "first", WINDOW, 0, MOST), asked.integer(request, "from", 0)
        since = asked.integer(request, "since", -1, -1)
        query, choice = request.query_params, _choice(request)
        sheet = self._sheets.of(project)
        columns = _columns(query.getlist("column"), sheet)
        entries = sheet.entries
        found, groups = choice.of(entries.values())
        window = found[start : start + first]
        fresh = [entry for entry in window if since > sheet.version or _is_news(entry.run, since)]
        return answer(
            {
                "total": len(entries),
                "matched": len(found),
                "running": sheet.living(),
                "version": sheet.version,
                "order": [entry.run.id for entry in window],
                "columns": columns,
                "runs": [row_shape(entry.run) for entry in fresh],
                "values": {entry.run.id: [entry.value(column) for column in columns] for entry in fresh},
                "groups": [group_shape(each, columns) for each in groups],
            }
        )


def _choice(request: Request) -> Choice:
    query = request.query_params
    return Choice(query.get("search", ""), query.getlist("filter"), query.getlist("sort"), query.getlist("group"))


def _is_news(run: Run, since: int) -> bool:
    """Whether it has changed after that version, or has been silent for so long that it counts as crashed since now."""
    if run.version > since:
        return True
    return run.recorded_state in LIVING and 0 <= time.time() - run.seen_at - SILENCE < TOLD_AGAIN


def _distinct(sheet: Sheet, column: str) -> list[str]:
    """The texts that runs have there, the most frequent first."""
    values = (entry.value(column) for entry in sheet.entries.values())
    counts = Counter(text for value in values if value for text in (value if isinstance(value, list) else [value]))
    return [text for text, _ in counts.most_common(MOST_TEXTS)]


def _columns(names: Sequence[str], sheet: Sheet) -> list[str]:
    if len(names) > MOST_COLUMNS:
        raise asked.BadRequest(f"{len(names)} columns are more than {MOST_COLUMNS} at once.")
    return [known_column(name) for name in names] if names else usual(sheet)


def usual(sheet: Sheet) -> list[str]:
    """The settings that differ and the results that most runs have, of the newest ones."""
    about = sheet.recent_columns()
    settings = [name for name, each in about.items() if name.startswith("config.") and _differs(each)]
    results = [
        name
        for name, each in about.items()
        if name.startswith("summary.") and not name.startswith("summary._") and "number" in each.kinds
    ]
    results.sort(key=lambda name: -about[name].count)
    return settings[:SETTINGS] + sorted(results[:RESULTS])


def _differs(about: About) -> bool:
    return about.kind != "other" and (about.values is None or len(about.values) > 1)


def column_shape(name: str, about: About) -> ColumnShape:
    numbers = about.low <= about.high
    return {
        "name": name,
        "kind": about.kind,
        "count": about.count,
        "low": about.low if numbers else None,
        "high": about.high if numbers else None,
        "values": None if about.values is None else sorted(about.values, key=_place),
    }


def _place(value: Any) -> tuple[str, str, Any]:
    """Sorts values of any kinds: those of one kind and type beside each other."""
    return kind_of(value), "" if isinstance(value, int | float) else "text", value


def row_shape(run: Run) -> RowShape:
    return {
        "id": run.id,
        "name": run.name,
        "display_name": run.display_name or run.name,
        "state": run.state,
        "tags": run.tags,
        "notes": run.notes,
        "group": run.group_name,
        "job_type": run.job_type,
        "sweep": run.sweep,
        "created": run.created_at,
        "duration": (run.ended_at or run.seen_at) - run.created_at,
        "rows": run.row_count,
        "version": run.version,
    }


def group_shape(group: Group, columns: Sequence[str]) -> GroupShape:
    return {
        "key": list(group.key),
        "first": group.first,
        "count": len(group.entries),
        "means": [_mean(group.entries, column) for column in columns],
    }


def _mean(entries: Sequence[Entry], column: str) -> float | None:
    values = [entry.value(column) for entry in entries]
    numbers = list(filter(is_finite, values))
    return sum(numbers) / len(numbers) if numbers else None
