"""What can go wrong with kept runs, and what to do about it."""

import errno
import os
import sqlite3
from pathlib import Path


class StoreError(RuntimeError):
    """The store can't be opened, read or written; the message says why and what to do."""


class NotFound(StoreError, LookupError):
    """There is nothing of that name."""


class Unkeepable(StoreError, TypeError):
    """A value is no data that can be kept. The store is all right: trying again changes nothing."""


class StoreFull(StoreError):
    """There is no room left. Nothing that was acknowledged is lost, and writing goes on when there is room again."""


class StoreLocked(StoreError):
    """Another process has kept the store to itself for too long. The same call may succeed later."""


class StoreCorrupt(StoreError):
    """The database file is damaged, or none of ours."""


# SQLite's primary result codes, and those of input and output that stand for a write that found no room.
BUSY, LOCKED, READONLY, FAILED_IO, CORRUPT, FULL, CANT_OPEN, NO_DATABASE = 5, 6, 8, 10, 11, 13, 14, 26
NO_ROOM = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
}
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def explained(folder: str | os.PathLike[str], error: sqlite3.Error | OSError) -> StoreError:
    """The error as people need it: which folder, why, and what to do."""
    store = f"The run store in {folder}"
    if isinstance(error, OSError):
        return _full(store, error) if error.errno in FULL_DISK else _closed_folder(store, error)
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF == FULL or code in NO_ROOM:
        return _full(store, error)
    if code & 0xFF in (BUSY, LOCKED):
        return StoreLocked(
            f"{store} is kept locked by another process ({error}). Try again; if it stays so, end the process that "
            f"holds {Path(folder) / 'fulgurite.db'} open."
        )
    if code & 0xFF in (CORRUPT, NO_DATABASE):
        return StoreCorrupt(
            f"{store} is damaged ({error}). End what uses it, move fulgurite.db away, and get out what can be read "
            "with: sqlite3 damaged.db .recover | sqlite3 fulgurite.db. Files that were kept (blobs) are not affected."
        )
    if code & 0xFF in (READONLY, CANT_OPEN):
        return _closed_folder(store, error)
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return NotFound(
            f"{store} has no longer what this belongs to: it was deleted meanwhile. Name one that is there."
        )
    return StoreError(f"{store} can't be used: {error}.")


def _full(store: str, error: Exception) -> StoreFull:
    return StoreFull(
        f"{store} has no room to write: the disk is full, or a quota or a limit of file sizes is reached ({error}). "
        "What was acknowledged is kept. Make room; writing then goes on by itself."
    )


def _closed_folder(store: str, error: Exception) -> StoreError:
    return StoreError(
        f"{store} can't be opened or written to: {error}. Name a folder that can be, with --data or $FULGURITE_DIR."
    )
