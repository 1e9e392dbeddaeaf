"""Files, kept once for each content. A name given by a client never becomes a path here: contents are known by hash."""

import base64
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fulgurite.base.paths import sync_folder
from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound, StoreError

PIECE = 1 << 20


@dataclass(slots=True, frozen=True)
class Blob:
    """A content: ``sha256`` in hexadecimal digits, ``md5`` in base 64 as W&B writes it, ``size`` in bytes."""

    sha256: str
    md5: str
    size: int


@dataclass(slots=True, frozen=True)
class RunFile:
    """A run's file: its name with slashes, its content, and when it was put there (seconds since 1970)."""

    name: str
    blob: Blob
    updated_at: float


class Incoming:
    """A content that is being written: hashed as it comes, kept under a temporary name until it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = open(path, "xb")
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self._blob: Blob | None = None
        self.size = 0

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._sha256.update(piece)
        self._md5.update(piece)
        self.size += len(piece)

    def done(self) -> Blob:
        """Flush it to the disk and say what it is."""
        if self._blob is None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._blob = Blob(self._sha256.hexdigest(), base64.b64encode(self._md5.digest()).decode(), self.size)
        return self._blob

    def move(self, target: Path) -> None:
        """Give what is `done` its place."""
        os.replace(self._path, target)
        sync_folder(target.parent)

    def drop(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class Blobs:
    """Contents in ``folder/blobs``, and which run has which of them under which name."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._folder = database.folder / "blobs"
        self._coming = database.folder / "coming"
        for folder in (self._folder, self._coming):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """A place to write a new content to; it vanishes at the end unless `keep` took it."""
        content = Incoming(self._coming / secrets.token_hex(16))
        try:
            yield content
        finally:
            content.drop()

    def keep(self, content: Incoming, md5: str | None = None) -> Blob:
        """Keep what was written. Raises ``StoreError`` if it is not what the sender says (``md5`` in base 64)."""
        blob = content.done()
        if md5 is not None and md5 != blob.md5:
            raise StoreError(f"{blob.size} bytes came with MD5 {blob.md5}, but {md5} was announced. Send them again.")
        target = self.path(blob.sha256)
        if not target.exists():
            target.parent.mkdir(exist_ok=True, mode=0o700)
            content.move(target)
        with self._database.writing():
            self._database.write(
                "INSERT INTO blob (sha256, md5, size, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (blob.sha256, blob.md5, blob.size, time.time()),
            )
        return blob

    def keep_bytes(self, data: bytes) -> Blob:
        with self.incoming() as content:
            content.write(data)
            return self.keep(content)

    def keep_file(self, path: str | os.PathLike[str]) -> Blob:
        """Keep a copy of the file at ``path``."""
        with self.incoming() as content, open(path, "rb") as file:
            while piece := file.read(PIECE):
                content.write(piece)
            return self.keep(content)

    def path(self, sha256: str) -> Path:
        """Where the content lies. Read it, never write to it."""
        assert len(sha256) == 64 and set(sha256) <= set("0123456789abcdef"), "a content is known by its hash"
        return self._folder / sha256[:2] / sha256

    def by_md5(self, md5: str, size: int | None = None) -> Blob | None:
        """A content with that MD5 (base 64), if it is kept."""
        row = self._database.first(
            "SELECT sha256, md5, size FROM blob WHERE md5 = ? AND (? IS NULL OR size = ?)", (md5, size, size)
        )
        return None if row is None else Blob(**dict(row))

    def blob(self, sha256: str) -> Blob:
        row = self._database.first("SELECT sha256, md5, size FROM blob WHERE sha256 = ?", (sha256,))
        if row is None:
            raise NotFound(f"There is no content with the hash {sha256}.")
        return Blob(**dict(row))

    def put(self, run: int, name: str, blob: Blob) -> None:
        """Make the content the run's file ``name``; a former one of that name is replaced."""
        with self._database.writing():
            self._database.write(
                "INSERT INTO run_file (run_id, name, sha256, size, updated_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (run_id, name) DO UPDATE SET sha256 = excluded.sha256, size = excluded.size, "
                "updated_at = excluded.updated_at",
                (run, name, blob.sha256, blob.size, time.time()),
            )

    def file(self, run: int, name: str) -> RunFile:
        """The run's file of that name. Raises ``NotFound``."""
        found = self._files("AND run_file.name = ?", (run, name))
        if not found:
            raise NotFound(f"The run has no file {name!r}.")
        return found[0]

    def files(self, run: int) -> list[RunFile]:
        """The run's files, by name."""
        return self._files("", (run,))

    def remove(self, run: int, name: str) -> None:
        """Take a file from a run. Its content goes with the next `sweep` if nobody else has it."""
        with self._database.writing():
            self._database.write("DELETE FROM run_file WHERE run_id = ? AND name = ?", (run, name))

    def _files(self, where: str, values: tuple[int | str, ...]) -> list[RunFile]:
        rows = self._database.query(
            "SELECT run_file.name, run_file.updated_at, blob.sha256, blob.md5, blob.size FROM run_file "
            f"JOIN blob ON blob.sha256 = run_file.sha256 WHERE run_id = ? {where} ORDER BY run_file.name",
            values,
        )
        return [RunFile(r["name"], Blob(r["sha256"], r["md5"], r["size"]), r["updated_at"]) for r in rows]
