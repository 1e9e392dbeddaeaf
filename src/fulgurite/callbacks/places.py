"""Where checkpoint files lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.paths import is_url

if TYPE_CHECKING:
    from fulgurite.trainer import Trainer


def absolute(folder: str | Path | None) -> str | None:
    """``folder`` with ``~`` and links resolved; None stays None."""
    if folder is None:
        return None
    if is_url(folder):
        raise MisconfigurationException(
            f"dirpath={str(folder)!r} is a remote address; checkpoints go to local folders. "
            "Mount it, or upload from a callback."
        )
    return os.path.realpath(os.path.expanduser(str(folder)))


def check_local(folder: str) -> None:
    """Refuse an address that the trainer or its logger brought in."""
    if is_url(folder):
        raise MisconfigurationException(
            f"{folder!r} is a remote address, which default_root_dir or the logger's save_dir gives; ModelCheckpoint "
            "keeps local folders only. Pass ModelCheckpoint(dirpath=<a local folder>), or enable_checkpointing=False "
            "and call trainer.save_checkpoint(<address>) yourself."
        )


def default_folder(trainer: Trainer) -> str:
    """``<save_dir>/<name>/<version>/checkpoints`` of the first logger, else ``<default_root_dir>/checkpoints``."""
    if not trainer.loggers:
        return os.path.join(trainer.default_root_dir, "checkpoints")
    logger = trainer.loggers[0]
    version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
    parts = [str(part) for part in (logger.name, version) if part is not None]
    return os.path.join(logger.save_dir or trainer.default_root_dir, *parts, "checkpoints")


def check_writable(folder: str) -> None:
    """Raise ``MisconfigurationException`` where ``folder`` cannot be written: now, not at the first save."""
    nearest = Path(folder)
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        reason = f"{nearest} is a file"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        reason = f"there is no permission to write in {nearest}"
    else:
        return
    raise MisconfigurationException(
        f"Checkpoints are to go to {folder}, but {reason}. Pass ModelCheckpoint(dirpath=...) or "
        "Trainer(default_root_dir=...) with a folder that can be written."
    )


def is_inside(path: str, folder: str | None) -> bool:
    """Whether ``path`` itself, be it a link or not, lies under ``folder``; dots and links on the way are followed."""
    place = Path(path).parent.resolve()
    return folder is not None and Path(folder).resolve() in (place, *place.parents)


def link(target: str, path: str) -> None:
    """Make ``path`` a relative link to ``target``, in one step; a copy where links are not allowed (Windows)."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.symlink(os.path.relpath(target, os.path.dirname(path)), temporary)
    except OSError:
        shutil.copyfile(target, temporary)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    os.replace(temporary, path)
