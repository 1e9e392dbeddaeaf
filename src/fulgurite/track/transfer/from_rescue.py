"""Runs, or parts of them, that a training could not put into the store: the files that it said they are in."""

from pathlib import Path

from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store
from fulgurite.track.writer.rescue import NAME, bring_in


def find(path: Path) -> list[Path]:
    """The rescue files below ``path``, or that file itself."""
    if path.is_file():
        return [path] if path.match(NAME.format("*")) else []
    return sorted(path.rglob(NAME.format("*")))


def take(store: Store, file: Path, project: str) -> Run:
    """Put what the file holds into its run; the run's own project counts."""
    return bring_in(store, file)
