"""Older W&B clients and other programs that tests need, each in an environment of its own, made once and kept."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# They were made for numpy 1, and the oldest ones import pkg_resources.
BESIDE = ("numpy<2", "setuptools<80")


def python_of(version: str) -> str:
    """The interpreter of an environment with that version of ``wandb``."""
    return str(environment(version, f"wandb=={version}", *BESIDE) / "python")


def environment(name: str, *packages: str) -> Path:
    """The folder of the programs of an environment that has these packages.

    Environments lie in $FULGURITE_CLIENTS or ``~/.cache/fulgurite/clients``; making one takes from ten seconds to a
    minute.
    """
    folder = Path(os.environ.get("FULGURITE_CLIENTS") or Path.home() / ".cache" / "fulgurite" / "clients")
    place = folder / name
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make(place, packages)
    return place / "bin"


def _make(place: Path, packages: tuple[str, ...]) -> None:
    """Made under another name first: one that is there is whole."""
    coming = Path(tempfile.mkdtemp(dir=place.parent, prefix=f"{place.name}."))
    try:
        subprocess.run([sys.executable, "-m", "venv", coming], check=True)
        subprocess.run([coming / "bin" / "python", "-m", "pip", "install", "-q", *packages], check=True, timeout=600)
        os.rename(coming, place)
    except OSError:
        if not place.exists():  # else another process was quicker
            raise
    finally:
        shutil.rmtree(coming, ignore_errors=True)
