"""What a script prints, noted on its way to the terminal. Nothing here may change or break the printing."""

import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from fulgurite.track.store.console import Line
from fulgurite.track.writer.values import text as text_of

Take = Callable[[str, float, str], None]

STREAMS = ("stdout", "stderr")
ABOVE = 64  # lines that a progress bar may still go back to
MOVES = re.compile(r"(\r\n|\n|\r|\x1b\[\d*[AB]|\x1b\[[012]?K)")


class Tee:
    """Stands in for a stream: what is written goes to it first, then to ``take(stream's name, time, text)``."""

    def __init__(self, stream: Any, name: str, take: Take) -> None:
        self._stream, self._name, self._pid = stream, name, os.getpid()
        self._take: Take | None = take

    def write(self, text: str) -> Any:
        written = self._stream.write(text)
        # A forked worker prints for itself: the run's console is the parent's.
        if self._take is not None and self._pid == os.getpid():
            self._take(self._name, time.time(), text)
        return written

    def beneath(self) -> Any:
        """The stream below, and below others that have only passed on since they ended."""
        stream = self._stream
        while isinstance(stream, Tee) and stream._take is None:
            stream = stream._stream
        return stream

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        # isatty, fileno, encoding, buffer, flush ...: everything else is the stream's own.
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)


class Capture:
    """Notes stdout and stderr from `start` to `stop`."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._tees: dict[str, Tee] = {}

    def start(self) -> None:
        """Begin, if that was not done."""
        if self._tees:
            return
        for name in STREAMS:
            stream = getattr(sys, name)
            if stream is not None:
                self._tees[name] = Tee(stream, name, self._take)
                setattr(sys, name, self._tees[name])

    def stop(self) -> None:
        """Put the streams back; where somebody else has put his own over ours, ours only passes on."""
        for name, tee in self._tees.items():
            tee._take = None
            if getattr(sys, name) is tee:
                setattr(sys, name, tee.beneath())
        self._tees = {}


class Screen:
    """Makes lines of what streams write, as a terminal would show them: a bar that is redrawn is one line."""

    def __init__(self) -> None:
        self._next = 0
        self._streams = {name: _Rows(self._new_line) for name in STREAMS}
        self._changed: dict[int, Line] = {}

    def write(self, stream: str, moment: float, text: str) -> None:
        for number, line in self._streams[stream].write(text):
            at = datetime.fromtimestamp(moment, UTC).isoformat().removesuffix("+00:00")
            self._changed[number] = Line(number, stream, at, None, text_of(line))

    def changed(self) -> list[Line]:
        """The lines that are new or other than at the last call."""
        lines, self._changed = self._changed, {}
        return [lines[number] for number in sorted(lines)]

    def _new_line(self) -> int:
        self._next += 1
        return self._next - 1


class _Rows:
    """The last lines of one stream, and the place in them where it writes."""

    def __init__(self, new_line: Callable[[], int]) -> None:
        self._new_line = new_line
        self._rows: deque[list[Any]] = deque([[None, ""]], maxlen=ABOVE)
        self._row, self._column = 0, 0

    def write(self, text: str) -> Iterator[tuple[int, str]]:
        """The numbers and the new texts of the lines that ``text`` changes; some come twice."""
        for part in MOVES.split(text):
            if part in ("\n", "\r\n"):
                yield from self._end_line()
            elif part == "\r":
                self._column = 0
            elif part.endswith("K") and part.startswith("\x1b["):
                yield from self._put("", erase=part)
            elif part[-1:] in ("A", "B") and part.startswith("\x1b["):
                self._move(-1 if part[-1] == "A" else 1, int(part[2:-1] or 1))
            elif part:
                yield from self._put(part)

    def _put(self, text: str, erase: str = "") -> Iterator[tuple[int, str]]:
        row = self._rows[self._row]
        if row[0] is None:
            row[0] = self._new_line()
        line, column = row[1], self._column
        if erase:
            line = "" if erase == "\x1b[2K" else line[:column]
        else:
            line = line[:column].ljust(column) + text + line[column + len(text) :]
            self._column += len(text)
        row[1] = line
        yield row[0], line.rstrip()

    def _end_line(self) -> Iterator[tuple[int, str]]:
        if self._rows[self._row][0] is None:
            yield from self._put("")  # an empty line is a line
        if self._row == len(self._rows) - 1:
            self._rows.append([None, ""])
        self._move(1, 1)
        self._column = 0

    def _move(self, direction: int, by: int) -> None:
        self._row = min(max(self._row + direction * by, 0), len(self._rows) - 1)
