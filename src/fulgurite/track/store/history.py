"""What runs logged over their steps, key by key. A value is known by run, key and step: sent twice, it is there once.

New values come as small chunks; when enough have gathered, they become one of the next tier, and at last one of
``CHUNK`` values. Reading joins chunks; a chart from afar reads their summaries only.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fulgurite.track.store.buckets import Chart, bucketed, chart_of, from_blocks
from fulgurite.track.store.cells import (
    BLOCK,
    SUMMARY,
    Column,
    column,
    joined,
    packed_cells,
    packed_steps,
    summary,
    unpacked_cells,
    unpacked_steps,
)
from fulgurite.track.store.database import Database
from fulgurite.track.store.paths import flattened, nested
from fulgurite.track.store.runs import NEXT_VERSION

HISTORY, SYSTEM = 0, 1
STEP = "_step"
CHUNK = 65_536  # values in a full chunk
GATHER = 32  # chunks of a tier that become one of the next
FULL = 9  # the tier of chunks that are not joined any more
FIRST_STEP, LAST_STEP = -(2**63), 2**63 - 1

Row = tuple[int, Mapping[str, Any]]


class History:
    """The series of all runs. ``stream`` is HISTORY, at the run's steps, or SYSTEM, at milliseconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._since_gathered: dict[int, int] = {}

    def append(self, run: int, rows: Iterable[Row], stream: int = HISTORY) -> None:
        """Keep rows of (step, values by name). A name's value may be a dict, which is kept leaf by leaf."""
        steps: dict[str, list[int]] = {}
        values: dict[str, list[Any]] = {}
        places: list[int] = []
        for step, row in rows:
            places.append(step)
            for path, value in flattened(row):
                if path in steps:
                    steps[path].append(step)
                    values[path].append(value)
                else:
                    steps[path], values[path] = [step], [value]
        if stream == HISTORY:
            steps[STEP], values[STEP] = places, places
        self.append_columns(run, {path: column(steps[path], values[path]) for path in steps}, stream)

    def append_columns(self, run: int, columns: Mapping[str, Column], stream: int = HISTORY) -> None:
        """Keep whole columns by path, in one transaction."""
        with self._database.writing():
            for path, added in columns.items():
                if len(added):
                    self._append(run, stream, path, added)
            self._count_rows(run, stream, time.time())

    def _append(self, run: int, stream: int, path: str, added: Column) -> None:
        known = self._database.first(
            "SELECT id, last, count, kinds FROM series WHERE run_id = ? AND stream = ? AND path = ?",
            (run, stream, path),
        )
        if known is None:
            cursor = self._database.write(
                "INSERT INTO series (run_id, stream, path, kinds, count, first, last) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run, stream, path, added.kind, len(added), int(added.steps[0]), int(added.steps[-1])),
            )
            self._insert(int(cursor.lastrowid or 0), added)
        elif added.steps[0] > known["last"]:
            kinds = known["kinds"] if added.kind in known["kinds"] else known["kinds"] + added.kind
            self._database.write(
                "UPDATE series SET count = count + ?, last = ?, kinds = ? WHERE id = ?",
                (len(added), int(added.steps[-1]), kinds, known["id"]),
            )
            self._insert(known["id"], added)
        else:
            self._merge(known["id"], added)

    def _insert(self, series: int, added: Column) -> None:
        """Put new chunks at the end, and gather small ones where enough of them wait."""
        if len(added) >= CHUNK:
            self._seal(series)
            self._write_chunks(series, added, FULL)
            return
        self._write_chunks(series, added, 0)
        waiting = self._since_gathered[series] = self._since_gathered.get(series, 0) + 1
        if waiting % GATHER == 0:
            self._gather(series)

    def _write_chunks(self, series: int, part: Column, tier: int) -> None:
        self._database.write_many(
            "INSERT INTO chunk (series_id, first, last, count, tier, kind, blocks, steps, cells) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    series,
                    int(piece.steps[0]),
                    int(piece.steps[-1]),
                    len(piece),
                    tier,
                    piece.kind,
                    summary(piece),
                    packed_steps(piece.steps),
                    packed_cells(piece),
                )
                for piece in part.cut(CHUNK)
            ],
        )

    def _gather(self, series: int) -> None:
        """Join the last chunks of a tier into one of the next, tier by tier."""
        for tier in range(3):
            chunks = self._chunks(series, where="AND tier = ?", values=(tier,))
            if len(chunks) < GATHER:
                return
            whole = joined(chunks)
            self._database.write("DELETE FROM chunk WHERE series_id = ? AND tier = ?", (series, tier))
            if len(whole) >= CHUNK:
                self._seal(series)
            self._write_chunks(series, whole, FULL if len(whole) >= CHUNK else tier + 1)

    def _seal(self, series: int) -> None:
        """Let no chunk that is there be joined with later ones: only neighbours may be, and a full one follows."""
        self._database.write("UPDATE chunk SET tier = ? WHERE series_id = ? AND tier <> ?", (FULL, series, FULL))

    def _merge(self, series: int, added: Column) -> None:
        """Write over and between what is there: values at known steps are replaced."""
        low, high = int(added.steps[0]), int(added.steps[-1])
        old = self._chunks(series, where="AND last >= ? AND first <= ?", values=(low, high))
        self._database.write("DELETE FROM chunk WHERE series_id = ? AND last >= ? AND first <= ?", (series, low, high))
        merged = column(
            [*(int(step) for part in old for step in part.steps), *added.steps.tolist()],
            [*(value for part in old for value in part.values()), *added.values()],
        )
        self._seal(series)
        self._write_chunks(series, merged, FULL)
        self._describe(series)

    def _describe(self, series: int) -> None:
        """Count a series anew from its chunks; one that is empty goes."""
        chunks = self._database.query("SELECT first, last, count, kind FROM chunk WHERE series_id = ?", (series,))
        if not chunks:
            self._database.write("DELETE FROM series WHERE id = ?", (series,))
            return
        self._database.write(
            "UPDATE series SET count = ?, first = ?, last = ?, kinds = ? WHERE id = ?",
            (
                sum(chunk["count"] for chunk in chunks),
                min(chunk["first"] for chunk in chunks),
                max(chunk["last"] for chunk in chunks),
                "".join(sorted({chunk["kind"] for chunk in chunks})),
                series,
            ),
        )

    def _count_rows(self, run: int, stream: int, now: float) -> None:
        counted = "row_count" if stream == HISTORY else "event_count"
        path = STEP if stream == HISTORY else "_timestamp"
        self._database.write(
            f"UPDATE run SET seen_at = ?, {NEXT_VERSION}, {counted} = COALESCE("
            "(SELECT count FROM series WHERE run_id = ? AND stream = ? AND path = ?), 0) WHERE id = ?",
            (now, run, stream, path, run),
        )

    def keys(self, run: int, stream: int = HISTORY) -> dict[str, dict[str, Any]]:
        """Every path that the run logged: how many values, at which first and last step, of which kinds."""
        rows = self._database.query(
            "SELECT path, kinds, count, first, last FROM series WHERE run_id = ? AND stream = ? ORDER BY path",
            (run, stream),
        )
        return {row["path"]: {k: row[k] for k in ("kinds", "count", "first", "last")} for row in rows}

    def read(self, run: int, path: str, low: int = FIRST_STEP, high: int = LAST_STEP, stream: int = HISTORY) -> Column:
        """The values of one key with ``low <= step <= high``; an empty column where there are none."""
        series = self._series(run, path, stream)
        if series is None:
            return column([], [])
        parts = self._chunks(series, where="AND last >= ? AND first <= ?", values=(low, high))
        return joined(parts).between(low, high) if parts else column([], [])

    def chart(
        self,
        run: int,
        path: str,
        buckets: int = 1000,
        low: int = FIRST_STEP,
        high: int = LAST_STEP,
        stream: int = HISTORY,
    ) -> Chart:
        """At most ``buckets`` stretches of equal width, each with its lowest, highest and last value.

        Where no more values than that are in sight, each is its own stretch. From afar, values are taken ``BLOCK`` at
        a time, so that the edge of a stretch may lie up to ``BLOCK`` values off; no value is left out.
        """
        series = self._series(run, path, stream)
        if series is None:
            return chart_of(column([], []))
        seen = self._database.first(
            "SELECT COUNT(*), COALESCE(SUM(count), 0) FROM chunk WHERE series_id = ? AND last >= ? AND first <= ?",
            (series, low, high),
        )
        if seen is not None and seen[1] > 4 * BLOCK * buckets:
            return self._chart_from_afar(series, buckets, low, high)
        return bucketed(self.read(run, path, low, high, stream), buckets)

    def _chart_from_afar(self, series: int, buckets: int, low: int, high: int) -> Chart:
        rows = self._database.query(
            "SELECT first, last, blocks FROM chunk WHERE series_id = ? AND last >= ? AND first <= ? ORDER BY first",
            (series, low, high),
        )
        parts = []
        for row in rows:
            if row["blocks"] is not None and low <= row["first"] and row["last"] <= high:
                parts.append(np.frombuffer(row["blocks"], SUMMARY))
            else:
                parts.append(self._blocks_at_the_edge(series, row["first"], low, high))
        return from_blocks(np.concatenate(parts), buckets)

    def _blocks_at_the_edge(self, series: int, first: int, low: int, high: int) -> Any:
        """Every value in sight of the chunk that begins at ``first``, as a block of its own."""
        (part,) = self._chunks(series, where="AND first = ?", values=(first,))
        part = part.between(low, high)
        numbers, blocks = part.numbers(), np.empty(len(part), dtype=SUMMARY)
        blocks["first"] = blocks["last"] = part.steps
        blocks["low"] = blocks["high"] = blocks["value"] = numbers
        return blocks

    def rows(
        self,
        run: int,
        low: int = FIRST_STEP,
        high: int = LAST_STEP,
        paths: Sequence[str] | None = None,
        stream: int = HISTORY,
    ) -> list[dict[str, Any]]:
        """The rows as they were logged, by step; of ``paths`` only, if they are given."""
        found: dict[int, dict[str, Any]] = {}
        with self._database.reading():
            for path in self.keys(run, stream) if paths is None else paths:
                part = self.read(run, path, low, high, stream)
                for step, value in zip(part.steps.tolist(), part.values(), strict=True):
                    found.setdefault(step, {})[path] = value
        return [nested(found[step]) for step in sorted(found)]

    def truncate(self, run: int, after: int) -> None:
        """Forget what was logged after step ``after``."""
        with self._database.writing():
            for row in self._database.query(
                "SELECT id FROM series WHERE run_id = ? AND stream = ? AND last > ?", (run, HISTORY, after)
            ):
                self._cut_off(row["id"], after)
            self._count_rows(run, HISTORY, time.time())

    def _cut_off(self, series: int, after: int) -> None:
        parts = self._chunks(series, where="AND first <= ? AND last > ?", values=(after, after))
        self._database.write("DELETE FROM chunk WHERE series_id = ? AND last > ?", (series, after))
        self._seal(series)
        for part in parts:
            self._write_chunks(series, part.between(FIRST_STEP, after), FULL)
        self._describe(series)

    def copy(self, source: int, target: int, until: int) -> None:
        """Give run ``target`` what run ``source`` logged up to step ``until``."""
        with self._database.writing():
            columns = {path: self.read(source, path, high=until) for path in self.keys(source)}
            self.append_columns(target, columns)

    def compact(self, run: int) -> None:
        """Join the small chunks of a run that is done: smaller, and quicker to read."""
        with self._database.writing():
            small = self._database.query(
                "SELECT DISTINCT series_id FROM chunk WHERE count < ? AND series_id IN "
                "(SELECT id FROM series WHERE run_id = ?) GROUP BY series_id HAVING COUNT(*) > 1",
                (CHUNK, run),
            )
            for row in small:
                series = row["series_id"]
                whole = joined(self._chunks(series))
                self._database.write("DELETE FROM chunk WHERE series_id = ?", (series,))
                self._write_chunks(series, whole, FULL)
                self._since_gathered.pop(series, None)

    def forget(self, run: int) -> None:
        """Delete all that a run logged."""
        with self._database.writing():
            self._database.write(
                "DELETE FROM chunk WHERE series_id IN (SELECT id FROM series WHERE run_id = ?)", (run,)
            )
            self._database.write("DELETE FROM series WHERE run_id = ?", (run,))

    def _series(self, run: int, path: str, stream: int) -> int | None:
        row = self._database.first(
            "SELECT id FROM series WHERE run_id = ? AND stream = ? AND path = ?", (run, stream, path)
        )
        return None if row is None else int(row["id"])

    def _chunks(self, series: int, where: str = "", values: Sequence[Any] = ()) -> list[Column]:
        rows = self._database.query(
            f"SELECT first, last, count, kind, steps, cells FROM chunk WHERE series_id = ? {where} ORDER BY first",
            (series, *values),
        )
        return [
            Column(
                unpacked_steps(row["first"], row["last"], row["count"], row["steps"]),
                row["kind"],
                unpacked_cells(row["kind"], row["cells"]),
            )
            for row in rows
        ]
