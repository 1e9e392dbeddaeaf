"""Where the runs of this machine are kept."""

import hashlib
import os
from pathlib import Path

from fulgurite.base.optional import available
from fulgurite.base.paths import atomic_write

FOLDER = "FULGURITE_DIR"
HOME_FOLDER = "~/.fulgurite"
NOTED = "noted"


def data_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The data folder: ``given``, or $FULGURITE_DIR, or ``.fulgurite`` in the user's home. Not made here.

    A user without a home has it in the working folder.
    """
    named = given or os.environ.get(FOLDER)
    try:
        return Path(named or HOME_FOLDER).expanduser().absolute()
    except RuntimeError:
        # Whoever has no home, as some users of containers have none, keeps runs where he works.
        return Path(named or Path(HOME_FOLDER).name).absolute()


def unusable(folder: Path) -> str | None:
    """Why no store can be kept in ``folder``, in a sentence; None if it seems that one can. Nothing is made."""
    for module in ("sqlite3", "_sqlite3"):
        if not available(module):
            return "This Python was built without sqlite3, so there is no run store."
    try:
        there = next(each for each in (folder, *folder.parents) if each.exists())
    except OSError as error:
        return f"The run store can't be kept in {folder}: it can't be looked at ({error.strerror})."
    if not there.is_dir():
        return f"The run store can't be kept in {folder}: {there} is no folder."
    if not os.access(there, os.W_OK | os.X_OK):
        return f"The run store can't be kept in {folder}: {there} can't be written to."
    return None


def note_folder(folder: str | os.PathLike[str], data: Path | None = None) -> None:
    """Note that the W&B client keeps runs in ``folder``: `fulgurite ui` then shows them, wherever it is started."""
    here = os.path.abspath(folder)
    name = hashlib.sha256(here.encode()).hexdigest()[:16]
    with atomic_write((data or data_folder()) / NOTED / name, "w", encoding="utf-8") as file:
        file.write(here)


def noted_folders(data: Path) -> list[Path]:
    """The folders that were noted and are still there."""
    noted = (Path(path.read_text(encoding="utf-8")) for path in sorted((data / NOTED).glob("[0-9a-f]*")))
    return [folder for folder in noted if folder.is_dir()]
