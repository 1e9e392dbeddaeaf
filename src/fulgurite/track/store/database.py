"""One SQLite file: opened, brought up to date, written by one thread at a time and read by any.

All SQL outside of this file is such that PostgreSQL takes it as well. What another database would do its own way: the
pragmas, ``BEGIN IMMEDIATE`` (one writer is let in), ``?`` for values, ``insert`` (the new row's id), and in the tables
BLOB (bytes) and ``INTEGER PRIMARY KEY`` (numbers its rows itself). Texts may hold a NUL there, except paths.
"""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from fulgurite.track.store.errors import StoreError, StoreLocked, explained
from fulgurite.track.store.schema import STEPS

FILE = "fulgurite.db"
PATIENCE = 60.0
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs", "virtiofs"}


class Database:
    """The database in ``folder``, made where there is none. Raises ``StoreError`` if it can't be used.

    Threads have connections of their own, and so have processes: it may be used on both sides of a fork.
    ``patience``: seconds that a writer waits for another process's transaction.
    """

    def __init__(self, folder: str | os.PathLike[str], patience: float = PATIENCE) -> None:
        self.folder, self._patience = Path(folder), patience
        # Around what touches the folder: errors of the system come out as `StoreError`.
        self.explained = _Explained(self.folder)
        self._closed = False
        self._begin()
        _DATABASES.add(self)
        try:
            with self.explained:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._bring_up_to_date()
        except BaseException:
            self.close()
            raise

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a SELECT. Inside ``writing`` it sees what was written there."""
        with self.explained:
            return self._execute(sql, values).fetchall()

    def first(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a SELECT, or None."""
        with self.explained:
            row: sqlite3.Row | None = self._execute(sql, values).fetchone()
            return row

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All SELECTs of this thread inside the block see the database at one moment. Nothing is written in it."""
        own = self._own()
        if own.doing:
            yield
            return
        try:
            own.doing = "reading"
            with self.explained:
                own.connection.execute("BEGIN")
            yield
        finally:
            own.doing = ""
            own.roll_back()

    @contextmanager
    def writing(self) -> Iterator["Database"]:
        """One transaction: all of it is kept when the block ends, or nothing of it.

        Blocks may be nested: an inner one that fails takes back its own part, and the outer one decides about the rest.
        """
        own = self._own()
        outermost = not own.doing
        with self._writing:
            assert own.doing != "reading", "nothing is written inside `reading`"
            with self._point(own) if own.doing else self._transaction(own):
                yield self
        if outermost:
            later, own.later = own.later, []
            for act in later:
                act()

    def afterwards(self, act: Callable[[], object]) -> None:
        """Do something once the transaction that this thread is in has been kept; at once if it is in none."""
        own = self._own()
        if own.doing == "writing":
            own.later.append(act)
        else:
            act()

    def write(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement inside ``writing``."""
        with self.explained:
            self._require_transaction()
            return self._execute(sql, values)

    def insert(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run an INSERT of one row inside ``writing`` and return the row's id."""
        with self.explained:
            self._require_transaction()
            return int(self._execute(sql, values).lastrowid or 0)

    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row inside ``writing``."""
        with self.explained:
            self._require_transaction()
            self._own().connection.executemany(sql, [_fit(row) for row in rows])

    def close(self) -> None:
        """Close every thread's connection; what was committed stays."""
        with self._writing:
            self._closed = True
            for own in list(self._all):
                own.close()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._local = threading.local()
        self._writing = threading.RLock()
        self._all: weakref.WeakSet[_Own] = weakref.WeakSet()

    def _own(self) -> "_Own":
        """This thread's connection."""
        if self._process != os.getpid():
            self._begin()
        if self._closed:
            raise StoreError(f"The run store in {self.folder} is closed. Open it anew.")
        own: _Own | None = getattr(self._local, "own", None)
        if own is None or own.closed:
            with _OPENING:
                own = self._local.own = _Own(self._open())
            self._all.add(own)
        return own

    def _execute(self, sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
        connection = self._own().connection
        try:
            return connection.execute(sql, values)
        except UnicodeEncodeError:
            return connection.execute(sql, _fit(values))

    @contextmanager
    def _transaction(self, own: "_Own") -> Iterator[None]:
        try:
            own.doing = "writing"
            with self.explained:
                own.connection.execute("BEGIN IMMEDIATE")
            yield
            self._require_transaction()
            with self.explained:
                own.connection.execute("COMMIT")
        except BaseException:
            own.later = []
            raise
        finally:
            own.doing = ""
            own.roll_back()

    @contextmanager
    def _point(self, own: "_Own") -> Iterator[None]:
        self._require_transaction()
        with self.explained:
            own.connection.execute("SAVEPOINT inner_block")
        try:
            yield
        except BaseException:
            # A full disk may have ended the whole transaction already.
            if own.connection.in_transaction:
                own.connection.execute("ROLLBACK TO inner_block")
                own.connection.execute("RELEASE inner_block")
            raise
        with self.explained:
            self._require_transaction()
            own.connection.execute("RELEASE inner_block")

    def _require_transaction(self) -> None:
        own = self._own()
        assert own.doing == "writing", "statements that change something belong inside `writing`"
        if not own.connection.in_transaction:
            raise StoreError(
                f"The run store in {self.folder} took back all of a transaction after an error in it. Write it again."
            )

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
        mode = "DELETE" if is_network_folder(self.folder) else "WAL"
        _patiently(connection, f"PRAGMA journal_mode = {mode}", self._patience)
        # What a commit has acknowledged is on the disk, not in a cache of the machine.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -32000")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        return connection

    def _bring_up_to_date(self) -> None:
        with self.explained:
            self._execute("CREATE TABLE IF NOT EXISTS step (number INTEGER PRIMARY KEY, brings TEXT NOT NULL)", ())
        if self._steps_done() == len(STEPS):
            return
        with self.writing():
            done = self._steps_done()
            if done > len(STEPS):
                raise StoreError(
                    f"The run store in {self.folder} was written by a newer Fulgurite ({done} steps, this one knows "
                    f"{len(STEPS)}). Update with: pip install -U fulgurite"
                )
            for number, (brings, statements) in enumerate(STEPS[done:], start=done + 1):
                for statement in filter(str.strip, statements.split(";")):
                    self.write(statement)
                self.write("INSERT INTO step (number, brings) VALUES (?, ?)", (number, brings))

    def _steps_done(self) -> int:
        row = self.first("SELECT COUNT(*) FROM step")
        return int(row[0]) if row else 0


class _Own:
    """A thread's connection, and what the thread is doing with it. It is closed when the thread is gone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.doing = ""
        self.later: list[Callable[[], object]] = []
        self.closed = False
        self._process = os.getpid()

    def roll_back(self) -> None:
        """End a transaction that is still open; nothing of it is kept."""
        try:
            self.connection.rollback()
        except sqlite3.Error:
            # The next `BEGIN` would join the old transaction: better none at all.
            self.close()

    def close(self) -> None:
        self.closed = True
        if self._process == os.getpid():
            self.connection.close()
        else:
            # Closed on this side of a fork, it would take the other side's locks away.
            _INHERITED.append(self.connection)

    def __del__(self) -> None:
        self.close()


_INHERITED: list[sqlite3.Connection] = []
_DATABASES: weakref.WeakSet[Database] = weakref.WeakSet()


def _before_fork() -> None:
    """Let writers, and who opens a file, come to their end: the new process would wait for what they hold in SQLite."""
    locks = [_OPENING, *(each._writing for each in list(_DATABASES))]
    _HELD.extend(lock for lock in locks if lock.acquire(timeout=1.0))


def _after_fork() -> None:
    while _HELD:
        _HELD.pop().release()


_OPENING = threading.RLock()
_HELD: list[Any] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


class _Explained(AbstractContextManager[None]):
    """Lets errors of the system out as ``StoreError``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, sqlite3.Error | OSError):
            raise explained(self._folder, error) from error


def _patiently(connection: sqlite3.Connection, sql: str, patience: float) -> None:
    """Run a statement for which SQLite itself does not wait until others are done."""
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute(sql)
            return
        except sqlite3.OperationalError as error:
            if not isinstance(explained("", error), StoreLocked) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _fit(values: Sequence[Any]) -> list[Any]:
    """The values as a database takes them: halves of characters, which no text may hold, are written out."""
    return [v.encode(errors="backslashreplace").decode() if type(v) is str else v for v in values]


def is_network_folder(folder: Path, mounts: str = "/proc/mounts") -> bool:
    """Whether ``folder`` lies on a file system that other machines may write to as well."""
    try:
        lines = [line.split() for line in Path(mounts).read_text().splitlines()]
    except OSError:
        return False
    here = folder.resolve()
    above = [(len(mount), kind) for _, mount, kind, *_ in lines if here.is_relative_to(mount.replace("\\040", " "))]
    kind = max(above, key=lambda found: found[0])[1] if above else ""
    return kind in NETWORK or kind.startswith("fuse.")
