"""What a run logged, measured and printed, as the client reads it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fulgurite.track.store.console import Line
from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.history import FIRST_STEP, LAST_STEP, STEP, SYSTEM
from fulgurite.track.store.paths import names_of, shown
from fulgurite.track.store.runs import Run
from fulgurite.track.wire import history
from fulgurite.track.wire.exports import NAME
from fulgurite.track.wire.graphql import Node, as_json
from fulgurite.track.wire.schema.context import Context

SAMPLES = 500
RISING = {STEP, "_timestamp", "_runtime"}
KINDS = {"d": "number", "q": "number", "b": "boolean", "j": "string"}
MOST_LINES = 10_000  # in one answer


class RunHistory(Node):
    """What can be asked about a run's rows, system metrics and console."""

    _context: Context
    _stored: Run

    def history(self, samples: int = SAMPLES, minStep: int | None = None, maxStep: int | None = None) -> list[str]:
        """Whole rows as JSON texts: the first ``samples`` from ``minStep`` on to before ``maxStep``, or a sample."""
        return self._rows(samples, minStep, maxStep, 0)

    def events(self, samples: int = SAMPLES, minStep: int | None = None, maxStep: int | None = None) -> list[str]:
        """The same of system metrics, whose steps are milliseconds since 1970."""
        return self._rows(samples, minStep, maxStep, SYSTEM)

    def _rows(self, samples: int, low: int | None, high: int | None, stream: int) -> list[str]:
        store, run = self._context.store, self._stored.id
        with store.database.reading():
            if low is None and high is None:
                rows = history.sampled(store.history, run, samples, stream)
            else:
                rows = history.page(store.history, run, *_range(low, high), samples, stream)
        return [as_json(row) for row in rows]

    def sampledHistory(self, specs: Sequence[str] | str = ()) -> list[list[dict[str, Any]]]:
        """For each spec (JSON of ``keys``, ``samples``, perhaps a range of steps) the rows that have all its keys.

        A spec alone stands for a list of it, as everywhere in GraphQL.
        """
        return [self._sample(_spec(each)) for each in ([specs] if isinstance(specs, str) else specs)]

    def _sample(self, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
        store, keys = self._context.store, spec.get("keys") or [STEP]
        low, high, count = spec.get("minStep"), spec.get("maxStep"), int(spec.get("samples") or SAMPLES)
        even = low is None and high is None
        # Here the client means the last step itself, while a page of whole rows ends before its last step.
        low, high = _range(low, None if high is None else high + 1)
        with store.database.reading():
            return history.with_keys(store.history, self._stored.id, keys, low, high, count, even)

    def parquetHistory(self, liveKeys: Sequence[str] = ()) -> dict[str, Any]:
        """The history as a file, if the server makes exports; else all is live, as the first and the last row say.

        Of a run that has a file the client reads everything from there, and then as Parquet's columns have it: nested
        names with dots, and null where a row lacks a name. So that it is only made for who wants it.
        """
        exports, stored = self._context.exports, self._stored
        made = None if exports is None else exports.of(stored)
        if made is not None:
            return {"parquetUrls": [self._context.addresses.download(made.sha256, NAME)], "liveData": []}
        with self._context.store.database.reading():
            rows = history.sampled(self._context.store.history, self._stored.id, 2)
        return {"parquetUrls": [], "liveData": [{key: row.get(key) for key in liveKeys} for row in rows]}

    def historyKeys(self) -> dict[str, Any]:
        """Every key with how often it was logged, as what, and its newest value as the summary has it."""
        known = self._context.store.history.keys(self._stored.id)
        keys = {shown(path): self._about(path, about) for path, about in known.items()}
        last = max((about["last"] for about in known.values()), default=-1)
        return {"keys": keys, "lastStep": last, "sets": []}

    def _about(self, path: str, about: Mapping[str, Any]) -> dict[str, Any]:
        value: Any = self._stored.summary
        for name in names_of(path):
            value = value.get(name) if isinstance(value, dict) else None
        kind = value["_type"] if isinstance(value, dict) and "_type" in value else KINDS[about["kinds"][0]]
        said = {"typeCounts": [{"type": kind, "count": about["count"]}], "monotonic": path in RISING}
        return said if value is None else {**said, "previousValue": value}

    def historyTail(self) -> str:
        return self._tail(0)

    def eventsTail(self) -> str:
        return self._tail(SYSTEM)

    def _tail(self, stream: int) -> str:
        """The last row, as JSON of a list of JSON texts."""
        store, run = self._context.store, self._stored.id
        last = max((each["last"] for each in store.history.keys(run, stream).values()), default=None)
        rows = [] if last is None else store.history.rows(run, last, last, stream=stream)
        return json.dumps([as_json(row) for row in rows])

    def systemMetrics(self) -> str:
        rows = json.loads(self.eventsTail())
        return rows[-1] if rows else "{}"

    def logLineCount(self) -> int:
        return self._context.store.console.count(self._stored.id)

    def logLines(self, first: int | None = None, after: str | None = None, last: int | None = None) -> dict[str, Any]:
        """A page of the console: ``first`` lines behind the cursor ``after``, or the ``last`` ones."""
        console, run = self._context.store.console, self._stored.id
        start = int(after) + 1 if after else 0
        if last is not None:
            start = max(console.count(run) - max(min(last, MOST_LINES), 0), 0)
        most = MOST_LINES if first is None else max(min(first, MOST_LINES), 0)
        lines = console.read(run, start, most + 1)
        edges = [{"node": _line(each), "cursor": str(each.number)} for each in lines[:most]]
        page = {"hasNextPage": len(lines) > most, "endCursor": edges[-1]["cursor"] if edges else after}
        return {"edges": edges, "pageInfo": page}


def _line(line: Line) -> dict[str, Any]:
    level = "error" if line.stream == "stderr" else "info"
    return {
        "id": str(line.number),
        "number": line.number,
        "timestamp": line.written_at,
        "level": level,
        "label": line.label or "",
        "line": line.line,
    }


def _range(low: int | None, high: int | None) -> tuple[int, int]:
    return (FIRST_STEP if low is None else int(low)), (LAST_STEP if high is None else int(high))


def _spec(text: str) -> Mapping[str, Any]:
    try:
        spec = json.loads(text)
    except ValueError as error:
        raise StoreError(f"The spec {text[:80]!r} is no JSON: {error}.") from error
    if not isinstance(spec, dict):
        raise StoreError(f'A spec is an object such as {{"keys": ["loss"]}}, not {text[:80]!r}.')
    return spec
