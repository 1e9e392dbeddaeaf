"""Where the runs of this machine are kept."""

import os
from pathlib import Path

from fulgurite.base.optional import available

FOLDER = "FULGURITE_DIR"


def data_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The data folder: ``given``, or $FULGURITE_DIR, or ``.fulgurite`` in the user's home. Not made here."""
    return Path(given or os.environ.get(FOLDER) or "~/.fulgurite").expanduser().absolute()


def unusable(folder: Path) -> str | None:
    """Why no store can be kept in ``folder``, in a sentence; None if it seems that one can. Nothing is made."""
    for module in ("sqlite3", "_sqlite3"):
        if not available(module):
            return "This Python was built without sqlite3, so there is no run store."
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        return f"The run store can't be kept in {folder}: {there} is no folder."
    if not os.access(there, os.W_OK | os.X_OK):
        return f"The run store can't be kept in {folder}: {there} can't be written to."
    return None
