"""What files of a run may take up in the page, and how they get in: as data: addresses, or as text."""

import base64
import io
import mimetypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fulgurite.base.optional import available, require
from fulgurite.track.report.markup import Markup
from fulgurite.track.report.words import size
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

LARGEST_PICTURE = 1_000_000  # bytes; a larger one is made smaller
EDGE = 1024  # pixels of one that was
PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/avif"}
PLAYED = ("audio/", "video/")


class LeftOut(Exception):
    """A file is not in the page; the message says which and why."""


class Budget:
    """Bytes that are left for files. What doesn't fit is counted in ``left_out`` and named where it would be."""

    def __init__(self, store: Store, most: float) -> None:
        self._store, self._left, self.left_out = store, most, 0

    def content(self, run: Run, name: str, grows: float = 1.0) -> bytes:
        """The run's file, which takes ``grows`` times its size in the page. Raises ``LeftOut``."""
        path, length = self._file(run, name)
        self._demand(name, length * grows, length)
        content = self._read(name, path)
        self._left -= length * grows
        return content

    def played(self, run: Run, name: str) -> str:
        """The address of a sound or a film. Raises ``LeftOut``."""
        kind = mimetypes.guess_type(f"./{name}")[0] or ""
        if not kind.startswith(PLAYED):
            raise self.refused(f"{name} is nothing that a browser plays.")
        return _address(kind, self.content(run, name, 4 / 3))

    def picture(self, run: Run, name: str) -> str:
        """The address of a picture; of a large one its smaller copy. Raises ``LeftOut``."""
        kind = mimetypes.guess_type(f"./{name}")[0] or ""
        if kind not in PICTURES:
            raise self.refused(f"{name} is no picture that a browser shows.")
        path, length = self._file(run, name)
        content = self._read(name, path)
        if length > LARGEST_PICTURE:
            kind, content = self._smaller(name, content)
        self._demand(name, len(content) * 4 / 3, length)
        self._left -= len(content) * 4 / 3
        return _address(kind, content)

    @contextmanager
    def counting(self, what: str) -> Iterator[list[Markup]]:
        """Counts what is put into the list, beyond the files in it. Raises ``LeftOut`` if that is too much."""
        before, made = self._left, list[Markup]()
        yield made
        length = max(sum(map(len, made)) - (before - self._left), 0)
        self._demand(what, length, length)
        self._left -= length

    def refused(self, why: str) -> LeftOut:
        self.left_out += 1
        return LeftOut(why)

    def _file(self, run: Run, name: str) -> tuple[Path, int]:
        try:
            blob = self._store.blobs.file(run.id, name).blob
        except NotFound:
            raise self.refused(f"{name} is not in the store.") from None
        return self._store.blobs.path(blob.sha256), blob.size

    def _demand(self, name: str, needed: float, length: float) -> None:
        if needed > self._left:
            raise self.refused(f"{name} ({size(length)}) is left out: the page would get too large.")

    def _read(self, name: str, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise self.refused(f"{name} can't be read: {error.strerror}.") from error

    def _smaller(self, name: str, content: bytes) -> tuple[str, bytes]:
        told = f"{name} ({size(len(content))}) is left out: "
        if not available("PIL"):
            raise self.refused(told + "it is large, and there is no Pillow to make it smaller.")
        try:
            return _shrunk(require("PIL.Image", "track").open, content)
        except Exception as error:  # whatever a broken or hostile file makes of Pillow, the report goes on
            raise self.refused(told + "it is large, and can't be made smaller.") from error


def _shrunk(opened: Callable[..., Any], content: bytes) -> tuple[str, bytes]:
    """A copy with at most ``EDGE`` pixels a side; JPEG, or PNG where something shines through."""
    with opened(io.BytesIO(content)) as picture:
        picture.thumbnail((EDGE, EDGE))
        buffer = io.BytesIO()
        if picture.mode in ("RGBA", "LA", "PA", "P"):
            picture.convert("RGBA").save(buffer, "PNG", optimize=True)
            return "image/png", buffer.getvalue()
        picture.convert("RGB").save(buffer, "JPEG", quality=85)
        return "image/jpeg", buffer.getvalue()


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
