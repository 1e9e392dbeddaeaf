"""Where the runs of this machine are kept."""

import os
from pathlib import Path

FOLDER = "FULGURITE_DIR"


def data_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The data folder: ``given``, or $FULGURITE_DIR, or ``.fulgurite`` in the user's home. Not made here."""
    return Path(given or os.environ.get(FOLDER) or "~/.fulgurite").expanduser().absolute()
