"""Logged tables, a page of rows at a time, sorted and filtered as asked."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.asked import BadRequest
from fulgurite.track.server.api.choice import read_condition
from fulgurite.track.server.api.described import many, needed, tells, whole
from fulgurite.track.server.api.runs import run_of
from fulgurite.track.server.api.shapes import answer
from fulgurite.track.server.api.tablefile import NoTable, Order, TableFile
from fulgurite.track.server.api.tableplace import InArtifact, in_artifact
from fulgurite.track.store.store import Store
from fulgurite.track.wire.filters import MISSING, BadFilter
from fulgurite.track.wire.graphql import as_json

PAGE, MOST = 50, 500
MOST_COLUMNS = 200  # in an answer
LONGEST = 2000  # characters of a cell
COMPARED = 100  # characters by which texts are sorted
KEPT, KEPT_ORDERS = 8, 32
PATIENCE = 60.0  # seconds to wait for somebody else's table to be read

Test = Callable[[Any], bool]


class TableArtifactShape(TypedDict):
    """The version of an artifact in which a table and its media lie: their paths are names of its files."""

    type: str
    name: str
    version: str


class TablePageShape(TypedDict):
    """Rows of a logged table; ``numbers`` says which ones, counted from 0 as they were logged.

    ``artifact`` is where its media lie; null where they are files of the run.
    """

    name: str
    columns: list[str]
    more_columns: int
    total: int
    matched: int
    numbers: list[int]
    rows: list[list[Any]]
    artifact: TableArtifactShape | None


class TableFileRoutes:
    """The address of logged tables. Outlines of the last ones are kept, and orders that were asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables: OrderedDict[str, TableFile] = OrderedDict()
        self._orders: OrderedDict[tuple[str, ...], Order] = OrderedDict()
        # One table is read at a time: several large ones would leave nothing for other requests.
        self._reading = threading.Lock()

    def routes(self) -> list[BaseRoute]:
        return [Route("/projects/{entity}/{project}/runs/{run}/tables", self.table, methods=["GET"])]

    @tells(
        TablePageShape,
        query={
            "name": needed("a file of the run"),
            "artifact": "its `artifact_path` in the row: read from there, with its media, where that is still there",
            "first": whole("how many rows", PAGE),
            "from": whole("from which place on", 0),
            "search": "a text that any cell of a row must hold",
            "filter": many("COLUMN OPERATOR VALUE; all must hold"),
            "sort": many("a column, falling with a `-` before it"),
        },
    )
    def table(self, request: Request) -> Response:
        """Rows of a logged table."""
        run = run_of(self._store, request)
        file = self._store.blobs.file(run.id, asked.text(request, "name"))
        place = in_artifact(self._store, run, request.query_params.get("artifact", ""))
        sha256 = file.blob.sha256 if place is None else place.sha256
        first, start = asked.integer(request, "first", PAGE, 0, MOST), asked.integer(request, "from", 0)
        query = request.query_params
        search, filters, sort = query.get("search", "").lower(), query.getlist("filter"), query.getlist("sort")
        table = self._table(sha256)
        order = self._order(sha256, table, search, filters, sort)
        window = (
            range(start, min(start + first, len(table))) if order is None else order[start : start + first].tolist()
        )
        page: TablePageShape = {
            "name": file.name,
            "columns": [name[:LONGEST] for name in table.columns[:MOST_COLUMNS]],
            "more_columns": max(len(table.columns) - MOST_COLUMNS, 0),
            "total": len(table),
            "matched": len(table) if order is None else len(order),
            "numbers": list(window),
            "rows": [[short(cell) for cell in row[:MOST_COLUMNS]] for row in table.rows(window)],
            "artifact": None if place is None else _told(place),
        }
        return answer(page)

    def _table(self, sha256: str) -> TableFile:
        table = self._tables.get(sha256)
        if table is None:
            with _held(self._reading):
                table = self._tables.get(sha256) or TableFile(self._store.blobs.path(sha256))
                _keep(self._tables, sha256, table, KEPT)
        return table

    def _order(
        self, sha256: str, table: TableFile, search: str, filters: Sequence[str], sort: Sequence[str]
    ) -> Order | None:
        """The numbers of the rows that are meant, in their order; None for all as they lie."""
        if not (search or filters or sort):
            return None
        asked_for = (sha256, search, *filters, "sort", *sort)
        order = self._orders.get(asked_for)
        if order is None:
            with _held(self._reading):
                order = ordered(table, search, filters, sort)
                _keep(self._orders, asked_for, order, KEPT_ORDERS)
        return order


def ordered(table: TableFile, search: str, filters: Sequence[str], sort: Sequence[str]) -> Order:
    """The numbers of the rows that hold ``search`` and pass ``filters``, sorted; those without a value are last."""
    tests = [(_place(table, name), accepts) for name, accepts in map(read_condition, filters)]
    keys = [(_place(table, text.removeprefix("-")), text.startswith("-")) for text in sort]
    numbers: list[int] = []
    values: list[list[Any]] = [[] for _ in keys]
    try:
        for number, row in enumerate(table.pass_over()):
            if all(accepts(_cell(row, place)) for place, accepts in tests) and (not search or _holds(row, search)):
                numbers.append(number)
                for kept, (place, _) in zip(values, keys, strict=True):
                    cell = _cell(row, place)
                    kept.append(cell[:COMPARED] if isinstance(cell, str) else cell)
    except BadFilter as error:
        raise BadRequest(str(error)) from error
    order = np.arange(len(numbers))
    for kept, (_, falls) in zip(reversed(values), reversed(keys), strict=True):
        order = order[sorting([kept[place] for place in order], falls)]
    return np.asarray(numbers, dtype=np.int64)[order]


def sorting(values: Sequence[Any], falls: bool) -> Order:
    """The places of the values in their order: numbers, texts, and what is neither, which is last either way."""
    numbers = [place for place, value in enumerate(values) if _is_number(value)]
    texts = [place for place, value in enumerate(values) if isinstance(value, str)]
    others = [place for place, value in enumerate(values) if not _is_number(value) and not isinstance(value, str)]
    numbers.sort(key=lambda place: values[place], reverse=falls)
    texts.sort(key=lambda place: values[place], reverse=falls)
    first = [*texts, *numbers] if falls else [*numbers, *texts]
    return np.asarray([*first, *others], dtype=np.int64)


def short(cell: Any) -> Any:
    """A cell as it is sent: long ones are cut, media are not."""
    if isinstance(cell, str):
        return cell if len(cell) <= LONGEST else cell[:LONGEST] + "…"
    if isinstance(cell, dict | list):
        text = as_json(cell)
        return cell if len(text) <= LONGEST or _is_media(cell) and len(text) <= 50 * LONGEST else text[:LONGEST] + "…"
    return cell


def _told(place: InArtifact) -> TableArtifactShape:
    return {
        "type": place.collection.type,
        "name": place.collection.name,
        "version": f"v{place.artifact.number}",
    }


def _is_media(cell: Any) -> bool:
    return isinstance(cell, dict) and "_type" in cell


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _cell(row: Sequence[Any], place: int) -> Any:
    cell = row[place] if place < len(row) else None
    return MISSING if cell is None else cell


def _holds(row: Sequence[Any], search: str) -> bool:
    return any(search in str(cell).lower() for cell in row if not isinstance(cell, dict))


def _place(table: TableFile, name: str) -> int:
    if name not in table.columns:
        some = ", ".join(map(repr, table.columns[:20])) or "none"
        raise BadRequest(f"The table has no column {name[:200]!r}. There is: {some[:2000]}.")
    return table.columns.index(name)


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)


@contextmanager
def _held(lock: threading.Lock) -> Iterator[None]:
    """Holds the lock. Raises ``NoTable`` if it isn't free in time."""
    if not lock.acquire(timeout=PATIENCE):
        raise NoTable("Other tables are being read. Ask again later.")
    try:
        yield
    finally:
        lock.release()
