"""Files that are whole or not there, here or at an address, and folders that are numbered."""

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from fulgurite.base.optional import require

try:
    import fcntl
except ImportError:  # Windows lets nobody remove a file that is open
    fcntl = None  # type: ignore[assignment]

TORN = re.compile(r"\..+\.\w{8}\.tmp")
JUST_MADE = 2.0  # seconds that a file may be without its lock
_cleaned: set[Path] = set()


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb", **open_kwargs: Any) -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path``; on success it is flushed to disk and takes the name, on error it vanishes.

    Missing folders are made. Readers see the old file or the new one, never a part; the rename itself is flushed too.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_torn(target.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with open(descriptor, mode, **open_kwargs) as file:
            hold(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def hold(file: IO[Any]) -> bool:
    """Show other processes that somebody is still writing; False if somebody else is, or can't be asked.

    The system takes it away when we are killed.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is locked, or the file system has no locks
        return False
    return True


def _remove_torn(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left in ``folder``; looked for once a process."""
    if folder in _cleaned:
        return
    _cleaned.add(folder)
    for torn in folder.glob(".*.tmp"):
        if TORN.fullmatch(torn.name):
            remove_if_torn(torn)


def remove_if_torn(path: Path) -> None:
    """Remove an unfinished file that nobody writes to any more. Where a file system has no locks, none is."""
    with suppress(OSError), open(path, "rb") as file:
        # A new one may be between its making and its lock.
        if time.time() - os.fstat(file.fileno()).st_mtime > JUST_MADE and hold(file):
            path.unlink()


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is an address such as ``s3://…``, and no place in a local file system."""
    return re.match(r"\w[\w+.-]+://", os.fspath(path)) is not None


def remove(path: str | os.PathLike[str]) -> None:
    """Delete the file at a path or address, if it is there."""
    if not is_url(path):
        Path(path).unlink(missing_ok=True)
        return
    files, name = require("fsspec", "remote").core.url_to_fs(os.fspath(path))
    if files.exists(name):
        files.rm_file(name)


def next_version(folder: str | os.PathLike[str], prefix: str = "version_") -> int:
    """One more than the highest ``prefix<number>`` in ``folder``; 0 where there is none."""
    if not os.path.isdir(folder):
        return 0
    numbers = [re.fullmatch(rf"{re.escape(prefix)}(\d+)", entry) for entry in os.listdir(folder)]
    return max((int(found[1]) for found in numbers if found), default=-1) + 1


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
