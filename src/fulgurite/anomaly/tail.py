"""Whole lines as they arrive, from standard input or at the end of a file that grows."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from fulgurite.base.errors import DataError

BLOCK = 1 << 20
PAUSE = 0.25  # seconds between looks at a file that did not grow


class Pipe:
    """The lines of a stream, a list for each time that some are there; the last one may end without a newline."""

    name, place = "standard input", None

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def pieces(self) -> Iterator[list[bytes]]:
        rest = b""
        while block := os.read(self._file.fileno(), BLOCK):
            *lines, rest = (rest + block).split(b"\n")
            if lines:
                yield lines
        if rest:
            yield [rest]


class GrowingFile:
    """The lines of a file, a list for each time that some are there; a line without a newline is not whole and waits.

    ``place`` is where the next line begins: device, file and byte. Given to a new reader it goes on from there, if that
    file is still the one of this name. A file that became shorter, or another one under its name, is read from the
    beginning; ``restarted`` is called then with a sentence. Without ``wait`` the end of the file is the end.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        wait: bool = True,
        place: tuple[int, int, int] | None = None,
        restarted: Callable[[str], object] = lambda told: None,
    ) -> None:
        self.name = os.fspath(path)
        self._wait, self._restarted = wait, restarted
        self._file = Path(path).open("rb")
        self._position = 0
        if place is not None:
            self._go_to(*place)

    @property
    def place(self) -> tuple[int, int, int]:
        own = os.fstat(self._file.fileno())
        return own.st_dev, own.st_ino, self._position

    def pieces(self) -> Iterator[list[bytes]]:
        try:
            while True:
                self._file.seek(self._position)
                *lines, rest = self._file.read(BLOCK).split(b"\n")
                if lines:
                    self._position += sum(len(line) + 1 for line in lines)
                    yield lines
                elif len(rest) == BLOCK:
                    raise DataError(f"{self.name} has a line of more than {BLOCK:,} bytes: this is no file of rows.")
                elif not self._changed():
                    if not self._waited():
                        return
                    yield []  # whoever reads may have something to do meanwhile
        finally:
            self._file.close()

    def _waited(self) -> bool:
        if self._wait:
            time.sleep(PAUSE)
        return self._wait

    def _changed(self) -> bool:
        """Begin anew where the file is shorter than it was, or where another one stands in its place."""
        try:
            there = os.stat(self.name)
        except FileNotFoundError:
            return False  # about to be replaced
        device, number, position = self.place
        if (there.st_dev, there.st_ino) != (device, number):
            self._file.close()
            self._file = open(self.name, "rb")
            self._begin("was replaced by another file")
            return True
        if there.st_size < position:
            self._begin("became shorter")
            return True
        return False

    def _go_to(self, device: int, number: int, position: int) -> None:
        own = os.fstat(self._file.fileno())
        if (own.st_dev, own.st_ino) != (device, number) or own.st_size < position:
            self._begin("is not the file that was followed before")
        else:
            self._position = position

    def _begin(self, told: str) -> None:
        self._position = 0
        self._restarted(f"{self.name} {told}: it is read from its beginning.")
