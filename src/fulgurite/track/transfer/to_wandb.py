"""Runs as offline runs of the W&B client, which its own `wandb sync` sends to any W&B server."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fulgurite.base.optional import require
from fulgurite.track.store.history import STEP
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store
from fulgurite.track.transfer.exporting import write_console
from fulgurite.track.transfer.names import as_path

ROWS = 10_000  # rows in memory at once


def write_offline(store: Store, runs: Iterable[Run], folder: str | os.PathLike[str]) -> list[Path]:
    """Write each run to ``folder/wandb/offline-run-…`` with the official client, and return those folders.

    Rows keep their steps and times, and files their names. The client has no way to be given system metrics and
    console lines of another process: console lines go along as ``console.log``, system metrics stay behind.

    Raises ``MissingExtra`` if the wandb package is not there.
    """
    wandb = require("wandb", "wandb")
    Path(folder).mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True, disable_code=True, silent=True
    )
    return [_written(wandb, settings, store, run, Path(folder).absolute()) for run in runs]


def _written(wandb: Any, settings: Any, store: Store, run: Run, folder: Path) -> Path:
    opened = wandb.init(
        mode="offline",
        dir=folder,
        project=run.project.name,
        id=run.name,
        name=run.display_name,
        notes=run.notes,
        group=run.group_name,
        job_type=run.job_type,
        tags=run.tags,
        config=run.config,
        reinit="create_new",
        settings=settings,
    )
    try:
        for file in store.blobs.files(run.id):
            _put(opened, file.name, store.blobs.path(file.blob.sha256))
        for row in _rows(store, run):
            opened.log(row, step=row.pop(STEP))
        write_console(store, run, Path(opened.dir) / "console.log")
        opened.save(str(Path(opened.dir) / "console.log"), base_path=opened.dir, policy="end")
        opened.summary.update({name: value for name, value in run.summary.items() if not name.startswith("_")})
        written = Path(opened.settings.sync_dir)
    finally:
        opened.finish(exit_code=run.exit_code or 0)
    return written


def _put(opened: Any, name: str, path: Path) -> None:
    target = Path(opened.dir) / as_path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    opened.save(str(target), base_path=opened.dir, policy="end")


def _rows(store: Store, run: Run) -> Iterable[dict[str, Any]]:
    steps = store.history.read(run.id, STEP).steps
    for start in range(0, len(steps), ROWS):
        part = steps[start : start + ROWS]
        yield from store.history.rows(run.id, int(part[0]), int(part[-1]))
