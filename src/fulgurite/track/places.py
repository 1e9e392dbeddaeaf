"""Where the runs of this machine are kept."""

import hashlib
import os
from pathlib import Path

from fulgurite.base.paths import atomic_write

FOLDER = "FULGURITE_DIR"
NOTED = "noted"


def data_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The data folder: ``given``, or $FULGURITE_DIR, or ``.fulgurite`` in the user's home. Not made here."""
    return Path(given or os.environ.get(FOLDER) or "~/.fulgurite").expanduser().absolute()


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
