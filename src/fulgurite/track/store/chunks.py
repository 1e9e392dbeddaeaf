"""Each series as a row of chunks that never overlap: the table behind ``History``.

New values come as small chunks. When enough of them have gathered at the end, they become one of the next tier, and at
last chunks of ``CHUNK`` values, which stay as they are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fulgurite.track.store.cells import (
    JSON,
    SUMMARY,
    Column,
    column,
    first_cell,
    joined,
    packed_cells,
    packed_steps,
    summary,
    unpacked_cells,
    unpacked_steps,
)
from fulgurite.track.store.database import Database

CHUNK = 65_536  # values in a full chunk
GATHER = 32  # chunks of a tier that become one of the next
TIERS = 3
FULL = 9  # the tier of chunks that are not joined any more
FIRST_STEP, LAST_STEP = -(2**63), 2**63 - 1


class Chunks:
    """The chunks of all series. Methods that change them are called inside ``Database.writing``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, series: int, added: Column, tier: int = 0) -> None:
        """Put values behind all that are there."""
        self._write(series, added.cut(CHUNK), tier)

    def merge(self, series: int, added: Column) -> None:
        """Write over and between what is there, up to its last step: values at known steps are replaced."""
        chunks = self._database.query(
            "SELECT first, last FROM chunk WHERE series_id = ? AND last >= ? ORDER BY first",
            (series, int(added.steps[0])),
        )
        start = 0
        for chunk in chunks:
            # What lies in the gap before a chunk goes into it.
            stop = int(np.searchsorted(added.steps, chunk["last"], "right"))
            if stop > start:
                self._lay_over(series, chunk["first"], added.part(start, stop))
            if stop == len(added):
                return
            start = stop

    def gather(self, series: int) -> None:
        """Join the chunks at the end, tier by tier, where enough of one tier follow each other."""
        for tier in range(TIERS):
            tail = self._database.query(
                "SELECT first, tier FROM chunk WHERE series_id = ? ORDER BY first DESC LIMIT ?", (series, 4 * GATHER)
            )
            waiting = []
            for chunk in tail:
                if chunk["tier"] != tier:
                    break
                waiting.append(chunk["first"])
            if len(waiting) < GATHER:
                return
            self._rewrite(series, waiting[-1], LAST_STEP, tier + 1)

    def cut_off(self, series: int, after: int) -> None:
        """Forget what lies behind step ``after``."""
        parts = self._columns(series, "AND first <= ? AND last > ?", (after, after))
        self._database.write("DELETE FROM chunk WHERE series_id = ? AND last > ?", (series, after))
        for part in parts:
            self.add(series, part.between(FIRST_STEP, after))

    def compact(self, series: int) -> None:
        """Join small chunks that follow each other, where fewer come out."""
        waiting: list[Any] = []
        for chunk in [*self.outline(series), None]:
            if chunk is not None and chunk["count"] < CHUNK:
                waiting.append(chunk)
                continue
            if len(waiting) > -(-sum(small["count"] for small in waiting) // CHUNK):
                self._rewrite(series, waiting[0]["first"], waiting[-1]["last"], 0)
            waiting = []

    def outline(self, series: int, low: int = FIRST_STEP, high: int = LAST_STEP) -> list[Any]:
        """First step, last step and count of each chunk that reaches between ``low`` and ``high``."""
        return self._database.query(
            "SELECT first, last, count FROM chunk WHERE series_id = ? AND last >= ? AND first <= ? ORDER BY first",
            (series, low, high),
        )

    def columns(self, series: int, low: int = FIRST_STEP, high: int = LAST_STEP) -> list[Column]:
        """The chunks that reach between ``low`` and ``high``, whole."""
        return self._columns(series, "AND last >= ? AND first <= ?", (low, high))

    def glimpse(self, series: int) -> Any:
        """The first value of the last chunk; None where there is none."""
        row = self._database.first(
            "SELECT kind, cells FROM chunk WHERE series_id = ? ORDER BY first DESC LIMIT 1", (series,)
        )
        return None if row is None else first_cell(row["kind"], row["cells"])

    def blocks(self, series: int, low: int, high: int) -> Any:
        """Summaries (``cells.SUMMARY``) of all values between ``low`` and ``high``, and of none beyond."""
        rows = self._database.query(
            "SELECT first, last, blocks FROM chunk WHERE series_id = ? AND last >= ? AND first <= ? ORDER BY first",
            (series, low, high),
        )
        parts: list[bytes] = []
        for row in rows:
            if row["blocks"] is not None and low <= row["first"] and row["last"] <= high:
                parts.append(row["blocks"])
            else:
                (part,) = self._columns(series, "AND first = ?", (row["first"],))
                edge = part.between(low, high)
                parts.append(summary(edge) or _one_by_one(edge))
        # Joining bytes is several times as quick as joining arrays of records.
        return np.frombuffer(b"".join(parts), SUMMARY)

    def forget(self, run: int) -> None:
        """Delete the chunks of all series of a run."""
        self._database.write("DELETE FROM chunk WHERE series_id IN (SELECT id FROM series WHERE run_id = ?)", (run,))

    def _lay_over(self, series: int, first: int, added: Column) -> None:
        (old,) = self._columns(series, "AND first = ?", (first,))
        whole = joined([old, added])
        if whole.is_same(old):
            return
        self._database.write("DELETE FROM chunk WHERE series_id = ? AND first = ?", (series, first))
        # Even pieces: a full chunk that grows must not shed a tiny one each time.
        pieces = -(-len(whole) // CHUNK)
        self._write(series, whole.cut(-(-len(whole) // pieces)), 0)

    def _rewrite(self, series: int, first: int, last: int, tier: int) -> None:
        parts = self._columns(series, "AND first >= ? AND last <= ?", (first, last))
        self._database.write(
            "DELETE FROM chunk WHERE series_id = ? AND first >= ? AND last <= ?", (series, first, last)
        )
        self.add(series, joined(parts), tier)

    def _write(self, series: int, pieces: Sequence[Column], tier: int) -> None:
        # One text among a million numbers makes its own chunk JSON, not all of them.
        pieces = [column(piece.steps, piece.cells) if piece.kind == JSON else piece for piece in pieces]
        self._database.write_many(
            "INSERT INTO chunk (series_id, first, last, count, tier, kind, blocks, steps, cells) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    series,
                    int(piece.steps[0]),
                    int(piece.steps[-1]),
                    len(piece),
                    FULL if len(piece) >= CHUNK else min(tier, TIERS),
                    piece.kind,
                    summary(piece),
                    packed_steps(piece.steps),
                    packed_cells(piece),
                )
                for piece in pieces
            ],
        )

    def _columns(self, series: int, where: str = "", values: Sequence[Any] = ()) -> list[Column]:
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


def _one_by_one(part: Column) -> bytes:
    """Every value as a block of its own."""
    numbers, blocks = part.numbers(), np.empty(len(part), dtype=SUMMARY)
    blocks["first"] = blocks["last"] = part.steps
    blocks["low"] = blocks["high"] = blocks["value"] = numbers
    return blocks.tobytes()
