"""Older W&B clients, each in an environment of its own that is made once and kept."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# They were made for numpy 1, and the oldest ones import pkg_resources.
BESIDE = ("numpy<2", "setuptools<80")


def python_of(version: str) -> str:
    """The interpreter of an environment with that version of ``wandb``.

    Environments lie in $FULGURITE_CLIENTS or ``~/.cache/fulgurite/clients``; making one takes about ten seconds.
    """
    folder = Path(os.environ.get("FULGURITE_CLIENTS") or Path.home() / ".cache" / "fulgurite" / "clients")
    place = folder / version
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make(version, place)
    return str(place / "bin" / "python")


def _make(version: str, place: Path) -> None:
    """Made under another name first: one that is there is whole."""
    coming = Path(tempfile.mkdtemp(dir=place.parent, prefix=f"{version}."))
    try:
        subprocess.run([sys.executable, "-m", "venv", coming], check=True)
        install = [coming / "bin" / "python", "-m", "pip", "install", "-q", f"wandb=={version}", *BESIDE]
        subprocess.run(install, check=True, timeout=600)
        os.rename(coming, place)
    except OSError:
        if not place.exists():  # else another process was quicker
            raise
    finally:
        shutil.rmtree(coming, ignore_errors=True)
