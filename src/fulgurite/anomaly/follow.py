"""Rows that are scored as they arrive, with all that is remembered kept in a file, so that one can stop and go on."""

import csv
import hashlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fulgurite.anomaly.columns import free_names
from fulgurite.anomaly.detector import AnomalyDetector
from fulgurite.anomaly.events import Event
from fulgurite.anomaly.lines import RowReader
from fulgurite.anomaly.saved import read_marked, write_marked
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.stream import Stream
from fulgurite.anomaly.tail import GrowingFile, Pipe
from fulgurite.anomaly.telling import note
from fulgurite.anomaly.verdict import Verdict
from fulgurite.anomaly.words import counted, moment
from fulgurite.anomaly.writing import as_text
from fulgurite.base.errors import DataError

#: Takes the reader, which knows header and separator, the cells of some rows, and the verdict on them.
Write = Callable[[RowReader, Sequence[Sequence[str]], Verdict], object]
Say = Callable[[str], object]
SAVED_EVERY = 1.0  # seconds, since writing what is remembered takes far longer than scoring a row


def follow(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    state: str | os.PathLike[str],
    once: bool = False,
    say: Say = note,
) -> int:
    """Print the rows of a growing file, or of standard input (``-``), with their scores, as CSV on standard output.

    ``once`` ends where the file ends now. Returns how many rows were flagged. Raises ``DataError`` where the model
    can't judge rows as they come.
    """
    follower = Follower(model, state, Printer(sys.stdout), say)
    if data == "-":
        follower.run(Pipe(sys.stdin.buffer))
    else:
        follower.run(GrowingFile(data, not once, follower.place, follower.restarted))
    return follower.flagged


class Printer:
    """Writes rows as CSV to an open file, a header first, and lets none of them wait there."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._headed = file, False

    def __call__(self, reader: RowReader, cells: Sequence[Sequence[str]], verdict: Verdict) -> None:
        columns = verdict.columns()
        writer = csv.writer(self._file, delimiter=reader.separator, lineterminator="\n")
        if not self._headed:
            self._headed = True
            writer.writerow([*reader.header, *free_names((cell.strip() for cell in reader.header), columns).values()])
        new = [as_text(column, reader.decimal) for column in columns.values()]
        writer.writerows(map(chain, cells, zip(*new, strict=True)))
        self._file.flush()


class Follower:
    """Scores the lines of a source, which may come in any pieces: the scores are those of all rows at once.

    ``write`` is given each piece, ``say`` each sentence. What is remembered goes to the file ``state`` at most once
    a second and in the end; when that is there already, scoring goes on from it. ``rows`` counts since the beginning,
    ``flagged`` from now.
    """

    def __init__(self, model: str | os.PathLike[str], state: str | os.PathLike[str], write: Write, say: Say) -> None:
        self.detector = AnomalyDetector.load(model)
        _check(self.detector)
        self.rows = self.flagged = 0
        self._state, self._write, self._say = Path(state), write, say
        self._model = hashlib.sha256(Path(model).read_bytes()).hexdigest()
        self._reader = RowReader(self.detector.schema_)
        self._stream: Stream | None = None
        self._remembered: dict[str, Any] | None = None
        self._header: bytes | None = None
        self._begins = True  # the next line may be a header
        self._last: np.datetime64 | None = None
        self._known_until: np.datetime64 | None = None  # rows up to here were scored before
        self._event: Event | None = None
        self.place: tuple[int, int, int] | None = None
        self._saved, self._unsaved = -math.inf, False
        self._resume()

    def run(self, source: Pipe | GrowingFile) -> None:
        """Score what comes until the source ends. Ctrl-C waits for the piece at hand, so that no row comes twice."""
        if self.place is not None and source.place == self.place:
            self._begins, self._known_until = False, None  # it begins right behind what was scored before
        try:
            for lines in source.pieces():
                with _undisturbed():
                    self._keep(lines, source)
        finally:
            if self._unsaved:
                with _undisturbed():
                    self._save()
        if self._stream is not None:
            self._tell(self._stream.open, ())

    def _keep(self, lines: list[bytes], source: Pipe | GrowingFile) -> None:
        """Take some lines, and save what is remembered if that was not done a moment ago."""
        if lines:
            self._unsaved = False  # half a piece is not to be saved
            self.take(lines)
            self.place, self._unsaved = source.place, True
        if self._unsaved and time.monotonic() > self._saved + SAVED_EVERY:
            self._save()

    def take(self, lines: list[bytes]) -> None:
        """Score some lines, and write and tell what comes of it."""
        lines = self._without_header(lines)
        for series, cells in self._read(lines):
            self._score(*self._new(series, cells))

    def restarted(self, told: str) -> None:
        """The source begins anew: perhaps with a header, and with rows that were scored before."""
        self._say(told)
        self._begins, self._known_until = True, self._last

    # -- lines --

    def _without_header(self, lines: list[bytes]) -> list[bytes]:
        """The lines behind the header, which is read once and known again where a source brings it once more."""
        if not self._begins or not lines:
            return lines
        self._begins = False
        self._reader.begin_anew()
        first = lines[0].rstrip(b"\r")
        if self._header is None:
            self._header = first
            self._reader.feed([first])
        if first != self._header:
            return lines
        self._reader.line = 1
        return lines[1:]

    def _read(self, lines: list[bytes]) -> Iterator[tuple[Series, list[list[str]]]]:
        """The rows of the lines; where one can't be read, all but that one."""
        before = self._reader.state_dict()
        try:
            series = self._reader.feed(lines)
        except DataError as error:
            self._reader.load_state_dict(before)
            if len(lines) == 1:
                self._reader.line += 1
                self._say(f"{error} The line is left out.")
                return
            for line in lines:
                yield from self._read([line])
            return
        if series is not None:
            yield series, self._reader.cells

    def _new(self, series: Series, cells: list[list[str]]) -> tuple[Series, list[list[str]]]:
        """The rows that were not scored before."""
        if self._known_until is None or series.clock is None:
            return series, cells
        known = int(np.searchsorted(series.time, self._known_until, side="right"))
        if known:
            self._say(f"{counted(known, 'row')} up to {moment(self._known_until)} were scored before: left out.")
        return series.rows(known), cells[known:]

    # -- rows --

    def _score(self, series: Series, cells: list[list[str]]) -> None:
        if not len(series):
            return
        verdict = self._stream_for(series).update(series)
        self._write(self._reader, cells, verdict)
        self.rows += len(series)
        self.flagged += int(verdict.flags.sum())
        self._last = series.time[-1]
        for told in series.notes:
            self._say(told)
        self._tell(self._stream_for(series).open, verdict.events)

    def _stream_for(self, first: Series) -> Stream:
        if self._stream is None:
            self._stream, notes = self.detector.stream(first, follows=True if self._remembered else None)
            if self._remembered is not None:
                self._stream.load_state_dict(self._remembered)
            for told in notes:
                self._say(told)
        return self._stream

    def _tell(self, now: Event | None, ended: Sequence[Event]) -> None:
        for event in ended:
            self._say(
                f"Event from {moment(event.start)} to {moment(event.end)}, score {event.score:.3g}: {event.reason}."
            )
        if now is not None and (self._event is None or now.start != self._event.start):
            self._say(f"An event begins at {moment(now.start)}, score {now.score:.3g}: {now.reason}.")
        self._event = now

    # -- the file --

    def _resume(self) -> None:
        if not self._state.exists():
            return
        state = read_marked(self._state, "state")
        if state["model"] != self._model:
            self._say(f"{self._state} belongs to another model: scoring begins anew.")
            return
        self.rows, self._last, self.place = state["rows"], state["last"], state["place"]
        self._remembered, self._header = state["stream"], state["header"]
        self._reader.load_state_dict(state["reader"])
        self._known_until = self._last  # what is read from its beginning brings what it has brought before
        self._say(f"Scoring goes on behind {counted(self.rows, 'row')}, as {self._state} remembers them.")

    def _save(self) -> None:
        self._saved, self._unsaved = time.monotonic(), False
        remembered = self._remembered if self._stream is None else self._stream.state_dict()
        if self._header is None or remembered is None:
            return
        state = {
            "model": self._model,
            "header": self._header,
            "reader": self._reader.state_dict(),
            "place": self.place,
            "last": self._last,
            "rows": self.rows,
            "stream": remembered,
        }
        write_marked(state, self._state, "state")


def _check(detector: AnomalyDetector) -> None:
    if detector.threshold_.needs_all_rows:
        raise DataError(
            f"The threshold {detector.threshold_} comes from the very rows that are scored, all of them at once. To "
            "follow, fit with another: --threshold normalised:3, quantile:0.999, pot:1e-4 or fixed:NUMBER."
        )
    if detector.offline:
        raise DataError("The model looks at later rows, which are not there yet. To follow, fit without --offline.")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until what is inside is done; pressed once more, it does not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []

    def remember(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
