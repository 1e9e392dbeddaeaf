"""What runs logged over their steps. A value is known by run, key and step: sent twice, it is there once."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fulgurite.track.store.buckets import Chart, bucketed, chart_of, from_blocks
from fulgurite.track.store.cells import BLOCK, SUMMARY, Column, column, joined
from fulgurite.track.store.chunks import FIRST_STEP, GATHER, LAST_STEP, Chunks
from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import Unkeepable
from fulgurite.track.store.paths import nested, shown
from fulgurite.track.store.runs import NEXT_VERSION
from fulgurite.track.store.transpose import Row, transposed

HISTORY, SYSTEM = 0, 1
STEP = "_step"


class History:
    """The series of all runs. ``stream`` is HISTORY, at the run's steps, or SYSTEM, at milliseconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._chunks = Chunks(database)

    def append(self, run: int, rows: Iterable[Row], stream: int = HISTORY) -> None:
        """Keep rows of (step, values by name). A name's value may be a dict, which is kept leaf by leaf."""
        places, series = transposed(rows)
        if stream == HISTORY:
            series[STEP] = places, places
        self.append_columns(run, {path: column(*each) for path, each in series.items()}, stream)

    def append_columns(self, run: int, columns: Mapping[str, Column], stream: int = HISTORY) -> None:
        """Keep whole columns by path, in one transaction."""
        with self._database.writing():
            for path, added in columns.items():
                if len(added):
                    try:
                        self._append(run, stream, path, added)
                    except (TypeError, ValueError, RecursionError) as error:
                        raise Unkeepable(f"A value of {shown(path)!r} is no data that can be kept: {error}.") from error
            self._count_rows(run, stream, time.time())

    def _append(self, run: int, stream: int, path: str, added: Column) -> None:
        known = self._database.first(
            "SELECT id, last, kinds, waiting FROM series WHERE run_id = ? AND stream = ? AND path = ?",
            (run, stream, path),
        )
        if known is None:
            series = self._database.insert(
                "INSERT INTO series (run_id, stream, path, kinds, count, first, last) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run, stream, path, added.kinds(), len(added), int(added.steps[0]), int(added.steps[-1])),
            )
            self._chunks.add(series, added)
            return
        series, later = known["id"], added
        if added.steps[0] <= known["last"]:
            self._chunks.merge(series, added.between(FIRST_STEP, known["last"]))
            self._describe(series)
            later = added.between(known["last"] + 1, LAST_STEP)
        if len(later):
            self._add(series, known["waiting"] + 1, later)
        if not set(added.kinds()) <= set(known["kinds"]):
            kinds = "".join(sorted({*known["kinds"], *added.kinds()}))
            self._database.write("UPDATE series SET kinds = ? WHERE id = ?", (kinds, series))

    def _add(self, series: int, waiting: int, later: Column) -> None:
        """Put values at the end, and gather small chunks where enough of them wait."""
        self._chunks.add(series, later)
        if waiting >= GATHER:
            self._chunks.gather(series)
            waiting = 0
        self._database.write(
            "UPDATE series SET count = count + ?, last = ?, waiting = ? WHERE id = ?",
            (len(later), int(later.steps[-1]), waiting, series),
        )

    def _describe(self, series: int) -> None:
        """Count a series anew from its chunks; one that is empty goes."""
        told = self._database.first(
            "SELECT SUM(count), MIN(first), MAX(last) FROM chunk WHERE series_id = ?", (series,)
        )
        if told is None or told[0] is None:
            self._database.write("DELETE FROM series WHERE id = ?", (series,))
        else:
            self._database.write("UPDATE series SET count = ?, first = ?, last = ? WHERE id = ?", (*told, series))

    def _count_rows(self, run: int, stream: int, now: float) -> None:
        counted = "row_count" if stream == HISTORY else "event_count"
        path = STEP if stream == HISTORY else "_timestamp"
        self._database.write(
            f"UPDATE run SET seen_at = ?, {NEXT_VERSION}, {counted} = COALESCE("
            "(SELECT count FROM series WHERE run_id = ? AND stream = ? AND path = ?), 0) WHERE id = ?",
            (now, run, stream, path, run),
        )

    def keys(self, run: int, stream: int = HISTORY, paths: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """Every path that the run logged: how many values, at which first and last step, and which kinds there were.

        Of ``paths`` only, if there are any.
        """
        some = f"AND path IN ({', '.join('?' * len(paths))}) " if paths else ""
        rows = self._database.query(
            f"SELECT path, kinds, count, first, last FROM series WHERE run_id = ? AND stream = ? {some}ORDER BY path",
            (run, stream, *paths),
        )
        return {row["path"]: {k: row[k] for k in ("kinds", "count", "first", "last")} for row in rows}

    def has(self, run: int, path: str, stream: int = HISTORY) -> bool:
        """Whether the run has logged that path."""
        return series_id(self._database, run, path, stream) is not None

    def read(self, run: int, path: str, low: int = FIRST_STEP, high: int = LAST_STEP, stream: int = HISTORY) -> Column:
        """The values of one key with ``low <= step <= high``; an empty column where there are none."""
        with self._database.reading():
            series = series_id(self._database, run, path, stream)
            return column([], []) if series is None else self._read(series, low, high)

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
        with self._database.reading():
            series = series_id(self._database, run, path, stream)
            if series is None:
                return chart_of(column([], []))
            if sum(chunk["count"] for chunk in self._chunks.outline(series, low, high)) > 4 * BLOCK * buckets:
                blocks = self._chunks.blocks(series, low, high)
                if len(blocks) >= 4 * buckets:
                    return from_blocks(blocks, buckets)
            return bucketed(self._read(series, low, high), buckets)

    def blocks(self, run: int, path: str, stream: int = HISTORY) -> Any:
        """The series from afar: summaries (``cells.SUMMARY``) of its values, in their order."""
        with self._database.reading():
            series = series_id(self._database, run, path, stream)
            return np.empty(0, SUMMARY) if series is None else self._chunks.blocks(series, FIRST_STEP, LAST_STEP)

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
                self._chunks.cut_off(row["id"], after)
                self._describe(row["id"])
            self._count_rows(run, HISTORY, time.time())

    def copy(self, source: int, target: int, until: int) -> None:
        """Give run ``target`` what run ``source`` logged up to step ``until``."""
        with self._database.writing():
            columns = {path: self.read(source, path, high=until) for path in self.keys(source)}
            self.append_columns(target, columns)

    def compact(self, run: int) -> None:
        """Join the small chunks of a run that is done: smaller, and quicker to read. Others can write meanwhile."""
        for row in self._database.query("SELECT id FROM series WHERE run_id = ?", (run,)):
            with self._database.writing():
                self._chunks.compact(row["id"])

    def forget(self, run: int) -> None:
        """Delete all that a run logged."""
        with self._database.writing():
            self._chunks.forget(run)
            self._database.write("DELETE FROM series WHERE run_id = ?", (run,))

    def _read(self, series: int, low: int, high: int) -> Column:
        parts = self._chunks.columns(series, low, high)
        return joined(parts).between(low, high) if parts else column([], [])


def keys_together(
    history: History, runs: Sequence[int], stream: int = HISTORY, paths: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """What `History.keys` tells, of several runs together, with ``runs``: how many of them logged the path."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for path, about in history.keys(run, stream, paths).items():
            known = found.setdefault(path, {**about, "count": 0, "runs": 0})
            known["kinds"] += about["kinds"]
            known["runs"] += 1
            known["count"] += about["count"]
            known["first"] = min(known["first"], about["first"])
            known["last"] = max(known["last"], about["last"])
    return dict(sorted(found.items()))


def series_id(database: Database, run: int, path: str, stream: int = HISTORY) -> int | None:
    """The number of a series; None if the run has not logged that path."""
    row = database.first("SELECT id FROM series WHERE run_id = ? AND stream = ? AND path = ?", (run, stream, path))
    return None if row is None else int(row["id"])
