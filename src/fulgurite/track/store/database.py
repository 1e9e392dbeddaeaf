"""One SQLite file: opened, brought up to date, written by one thread at a time and read by any."""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.schema import STEPS

FILE = "fulgurite.db"
PATIENCE = 60.0
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "9p", "afs"}


class Database:
    """The database in ``folder``, made where there is none. Raises ``StoreError`` if it can't be used.

    ``patience``: seconds that a writer waits for another process's transaction.
    """

    def __init__(self, folder: str | os.PathLike[str], patience: float = PATIENCE) -> None:
        self.folder, self._patience = Path(folder), patience
        self._local = threading.local()
        self._writing = threading.RLock()
        self._all: list[sqlite3.Connection] = []
        self._closed = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._bring_up_to_date()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"The run store in {self.folder} can't be opened: {error}. Name a folder that can be written to with "
                "--data or $FULGURITE_DIR."
            ) from error

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a SELECT. Inside ``writing`` it sees what was written there."""
        return self._connection().execute(sql, values).fetchall()

    def first(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a SELECT, or None."""
        row: sqlite3.Row | None = self._connection().execute(sql, values).fetchone()
        return row

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All SELECTs of this thread inside the block see the database at one moment."""
        connection = self._connection()
        if connection.in_transaction:
            yield
            return
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator["Database"]:
        """One transaction: all of it is kept when the block ends, or nothing of it. Blocks may be nested."""
        with self._writing:
            connection = self._connection()
            if connection.in_transaction:
                yield self
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield self
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def write(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement inside ``writing``."""
        return self._connection().execute(sql, values)

    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row inside ``writing``."""
        self._connection().executemany(sql, rows)

    def close(self) -> None:
        """Close every thread's connection; what was committed stays."""
        with self._writing:
            self._closed = True
            for connection in self._all:
                connection.close()
            self._all.clear()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if self._closed:
            raise StoreError(f"The run store in {self.folder} is closed.")
        if connection is None:
            connection = self._local.connection = self._open()
        return connection

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.folder / FILE,
            timeout=self._patience,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        connection.row_factory = sqlite3.Row
        # Readers of a write-ahead log map a file into memory, which needs one machine.
        connection.execute(f"PRAGMA journal_mode = {'DELETE' if is_network_folder(self.folder) else 'WAL'}")
        # What a commit has acknowledged is on the disk, not in a cache of the machine.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -32000")
        self._all.append(connection)
        return connection

    def _bring_up_to_date(self) -> None:
        with self.writing():
            self.write("CREATE TABLE IF NOT EXISTS step (number INTEGER PRIMARY KEY, brings TEXT NOT NULL)")
            row = self.first("SELECT COUNT(*) FROM step")
            done = row[0] if row else 0
            if done > len(STEPS):
                raise StoreError(
                    f"The run store in {self.folder} was written by a newer Fulgurite ({done} steps, this one knows "
                    f"{len(STEPS)}). Update with: pip install -U fulgurite"
                )
            for number, (brings, statements) in enumerate(STEPS[done:], start=done + 1):
                for statement in filter(str.strip, statements.split(";")):
                    self.write(statement)
                self.write("INSERT INTO step (number, brings) VALUES (?, ?)", (number, brings))


def is_network_folder(folder: Path, mounts: str = "/proc/mounts") -> bool:
    """Whether ``folder`` lies on a file system that other machines write to as well."""
    try:
        lines = [line.split() for line in Path(mounts).read_text().splitlines()]
    except OSError:
        return False
    here = folder.resolve()
    above = [(len(mount), kind) for _, mount, kind, *_ in lines if here.is_relative_to(mount)]
    return bool(above) and max(above)[1] in NETWORK
