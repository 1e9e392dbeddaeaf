"""Files that are whole or not there, here or at an address, and folders that are numbered."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fulgurite.base.optional import require


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb", **open_kwargs: Any) -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path``; on success it is flushed to disk and takes the name, on error it vanishes.

    Missing folders are made. Readers see the old file or the new one, never a part; the rename itself is flushed too.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with open(descriptor, mode, **open_kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


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
