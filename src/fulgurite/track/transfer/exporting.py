"""Runs as plain files for any other tool: tables as Parquet or CSV, and JSON, text and the files themselves."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from fulgurite.base.paths import sync_folder
from fulgurite.track.store.history import HISTORY, SYSTEM
from fulgurite.track.store.lineage import INPUT, OUTPUT
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store
from fulgurite.track.tables import write_history
from fulgurite.track.transfer.names import as_file_name, as_path

Format = Literal["parquet", "csv"]
SAID = (
    "name", "display_name", "notes", "group_name", "job_type", "sweep", "tags", "state", "exit_code", "source",
    "created_at", "seen_at", "ended_at", "row_count", "event_count", "config", "summary", "facts",
)  # fmt: skip
LINES = 10_000  # console lines in memory at once


def export(
    store: Store,
    runs: Iterable[Run],
    folder: str | os.PathLike[str],
    format: Format = "parquet",
    files: bool = True,
    told: Callable[[Path], object] = lambda path: None,
) -> list[Path]:
    """Write each run to ``folder/PROJECT/RUN`` and return those folders; a former export of a run is replaced whole.

    A run's folder has ``run.json`` (all that is said of it), ``history`` and ``system`` as tables, ``console.log``,
    and its ``files`` and ``artifacts`` unless they are not wanted. ``told`` hears of each folder that is done.

    Raises ``MissingExtra`` if Parquet is asked for and pyarrow is not there.
    """
    done = []
    for run in runs:
        target = Path(folder) / as_file_name(run.project.name) / as_file_name(run.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".export-", dir=target.parent))
        try:
            _write(store, run, fresh, format, files)
            fresh.chmod(0o755)
            _take_the_place(fresh, target)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        told(target)
        done.append(target)
    return done


def described(run: Run) -> dict[str, Any]:
    """All that is said of a run, as ``run.json`` has it."""
    about = {name: getattr(run, name) for name in SAID}
    return {"entity": run.project.entity, "project": run.project.name, **about}


def _write(store: Store, run: Run, folder: Path, format: Format, files: bool) -> None:
    made, used = (store.artifacts.lineage.of(run.id, role) for role in (OUTPUT, INPUT))
    about = {
        **described(run),
        "alerts": store.runs.alerts(run),
        "artifacts": [_artifact(store, id) for id in made],
        "used": [_artifact(store, id) for id in used],
    }
    text = json.dumps(about, indent=2)
    (folder / "run.json").write_text(text + "\n", encoding="utf-8")
    write_history(store.history, run.id, folder / f"history.{format}", HISTORY)
    write_history(store.history, run.id, folder / f"system.{format}", SYSTEM)
    write_console(store, run, folder / "console.log")
    for file in store.blobs.files(run.id) if files else ():
        path = folder / "files" / as_path(file.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.blobs.path(file.blob.sha256), path)
    for id in made if files else ():
        _write_artifact(store, id, folder / "artifacts")


def _artifact(store: Store, id: int) -> dict[str, Any]:
    """What ``run.json`` says of an artifact; ``files`` are names and sizes, or references to elsewhere."""
    artifact = store.artifacts.by_id(id)
    collection = store.artifacts.collections.by_id(artifact.collection_id)
    entries = store.artifacts.contents.entries(id)
    return {
        "name": collection.name,
        "type": collection.type,
        "version": f"v{artifact.number}",
        "aliases": [alias.name for alias in store.artifacts.members.aliases(id, collection.id)],
        "metadata": json.loads(artifact.metadata or "{}"),
        "digest": artifact.digest,
        "files": {entry.name: entry.ref or entry.size for entry in entries},
    }


def _write_artifact(store: Store, id: int, folder: Path) -> None:
    """Copy an artifact's files to ``folder/NAME/VERSION``; references stay where they lead."""
    about = _artifact(store, id)
    for entry in store.artifacts.contents.entries(id):
        if entry.sha256 is not None:
            path = folder / as_file_name(about["name"]) / about["version"] / as_path(entry.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.blobs.path(entry.sha256), path)


def write_console(store: Store, run: Run, path: Path) -> None:
    """Write what a run printed to ``path``; no file where it printed nothing."""
    lines = store.console.read(run.id, most=LINES)
    if not lines:
        return
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        while lines:
            file.writelines(f"{line.line}\n" for line in lines)
            lines = store.console.read(run.id, lines[-1].number + 1, LINES)


def _take_the_place(fresh: Path, target: Path) -> None:
    """Put a finished folder where a former one may be: readers find one of them, whole."""
    if target.exists():
        former = Path(tempfile.mkdtemp(prefix=".former-", dir=target.parent)) / "it"
        os.replace(target, former)
        os.replace(fresh, target)
        shutil.rmtree(former.parent)
    else:
        os.replace(fresh, target)
    sync_folder(target.parent)
