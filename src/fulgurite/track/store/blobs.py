"""Files, kept once for each content. A name given by a client never becomes a path here: contents are known by hash."""

import base64
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fulgurite.base.paths import hold, remove_if_torn, sync_folder
from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.schema import BLOB_REFERENCES

PIECE = 1 << 20
ON_ITS_WAY = 3600.0  # seconds in which somebody may still refer to a content that came


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

    def __init__(self, path: Path, explained: AbstractContextManager[None]) -> None:
        self._path, self._explained = path, explained
        with explained:
            self._file: IO[bytes] = open(path, "xb")
        hold(self._file)
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self.size = 0

    def write(self, piece: bytes) -> None:
        with self._explained:
            self._file.write(piece)
        self._sha256.update(piece)
        self._md5.update(piece)
        self.size += len(piece)

    def done(self) -> Blob:
        """Flush it to the disk and say what it is."""
        with self._explained:
            self._file.flush()
            os.fsync(self._file.fileno())
        return Blob(self._sha256.hexdigest(), base64.b64encode(self._md5.digest()).decode(), self.size)

    def move(self, target: Path) -> None:
        """Give what is `done` its place."""
        with self._explained:
            self._file.close()
            if not target.parent.exists():
                target.parent.mkdir(exist_ok=True, mode=0o700)
                sync_folder(target.parent.parent)
            os.replace(self._path, target)
            sync_folder(target.parent)

    def drop(self) -> None:
        """Leave nothing under the temporary name, whatever the disk says."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


class Blobs:
    """Contents in ``folder/blobs``, and which run has which of them under which name."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._folder = database.folder / "blobs"
        self._coming = database.folder / "coming"
        with database.explained:
            for folder in (self._folder, self._coming):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for torn in list(self._coming.iterdir()):
                remove_if_torn(torn)

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """A place to write a new content to; it vanishes at the end unless `keep` took it."""
        content = Incoming(self._coming / secrets.token_hex(16), self._database.explained)
        try:
            yield content
        finally:
            content.drop()

    def keep(self, content: Incoming, md5: str | None = None) -> Blob:
        """Keep what was written. Raises ``StoreError`` if it is not what the sender says (``md5`` in base 64)."""
        blob = content.done()
        if md5 is not None and md5 != blob.md5:
            raise StoreError(f"{blob.size} bytes came with MD5 {blob.md5}, but {md5} was announced. Send them again.")
        # File and row come in one transaction: `sweep` finds both or none.
        with self._database.writing():
            target = self.path(blob.sha256)
            if not target.exists():
                content.move(target)
            self._database.write(
                "INSERT INTO blob (sha256, md5, size, created_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (sha256) DO UPDATE SET created_at = excluded.created_at",
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
        """Where the content lies. Read it, never write to it. Raises ``NotFound`` for what is no hash."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise NotFound(f"{sha256!r} is no hash of a content: 64 hexadecimal digits (a to f small) are.")
        return self._folder / sha256[:2] / sha256

    def by_md5(self, md5: str, size: int | None = None) -> Blob | None:
        """A content with that MD5 (base 64), if it is kept."""
        rows = self._database.query("SELECT sha256, md5, size FROM blob WHERE md5 = ? ORDER BY created_at", (md5,))
        return next((Blob(**dict(row)) for row in rows if size in (None, row["size"])), None)

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

    def sweep(self, older_than: float = ON_ITS_WAY) -> int:
        """Delete contents that came more than ``older_than`` seconds ago and that nothing refers to; return how many.

        What refers to contents is listed in ``schema.BLOB_REFERENCES``.
        """
        free = " AND ".join(
            f"NOT EXISTS (SELECT 1 FROM {table} WHERE {table}.{column} = blob.sha256)"
            for table, column in BLOB_REFERENCES
        )
        with self._database.writing():
            gone = [
                row["sha256"]
                for row in self._database.query(
                    f"SELECT sha256 FROM blob WHERE created_at < ? AND {free}", (time.time() - older_than,)
                )
            ]
            self._database.write_many("DELETE FROM blob WHERE sha256 = ?", [(sha256,) for sha256 in gone])
        # Only now that no row speaks of it, else one may stay without its file when we are killed in between.
        for path in [self.path(sha256) for sha256 in gone] + self._strays(older_than):
            self._unlink(path)
        return len(gone)

    def _strays(self, older_than: float) -> list[Path]:
        """Files of which no row speaks: a sweep or an upload was killed between the two."""
        until = time.time() - older_than
        known = {row["sha256"] for row in self._database.query("SELECT sha256 FROM blob")}
        paths = [path for folder in self._folder.iterdir() for path in folder.iterdir() if path.name not in known]
        return [path for path in paths if path.stat().st_mtime < until]

    def _unlink(self, path: Path) -> None:
        """Delete a content's file, unless it has come anew meanwhile."""
        with self._database.writing(), self._database.explained:
            if self._database.first("SELECT 1 FROM blob WHERE sha256 = ?", (path.name,)) is None:
                path.unlink(missing_ok=True)

    def _files(self, where: str, values: tuple[int | str, ...]) -> list[RunFile]:
        rows = self._database.query(
            "SELECT run_file.name, run_file.updated_at, blob.sha256, blob.md5, blob.size FROM run_file "
            f"JOIN blob ON blob.sha256 = run_file.sha256 WHERE run_id = ? {where} ORDER BY run_file.name",
            values,
        )
        return [RunFile(r["name"], Blob(r["sha256"], r["md5"], r["size"]), r["updated_at"]) for r in rows]
