"""Runs that a CSVLogger wrote: a folder with ``metrics.csv`` and, mostly, ``hparams.yaml``."""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fulgurite.base.errors import DataError
from fulgurite.track.store.runs import FINISHED, Run
from fulgurite.track.store.store import Store

ROWS = 5_000  # kept in one transaction
STEP_NAMES = ("step", "trainer/global_step", "_step")


def find(folder: Path) -> list[Path]:
    """The folders at or below ``folder`` that a CSVLogger wrote to."""
    return sorted(path.parent for path in Path(folder).rglob("metrics.csv"))


def take(store: Store, folder: Path, project: str) -> Run:
    """Keep one such folder as a run of ``project``. Taken again, it is the same run with what is new.

    Raises ``DataError`` if the file has no header or no column of steps.
    """
    # The table has no times: the files' own are as near as one can come.
    times = [path.stat().st_mtime for path in (folder / "metrics.csv", folder / "hparams.yaml") if path.exists()]
    run, _ = store.runs.open(
        store.runs.project(project, create=True),
        hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8],
        source="csv",
        created_at=min(times),
        display_name=f"{folder.parent.name}/{folder.name}",
        config=hyperparameters(folder / "hparams.yaml"),
        facts={"folder": str(folder.resolve())},
    )
    batch: list[tuple[int, dict[str, Any]]] = []
    summary: dict[str, Any] = {}
    for step, row in _rows(folder / "metrics.csv"):
        batch.append((step, row))
        summary.update(row)
        if len(batch) == ROWS:
            store.history.append(run.id, batch)
            batch = []
    store.history.append(run.id, batch)
    store.runs.update(run, summary=summary)
    return store.runs.update(store.end(run, 0, FINISHED), ended_at=max(times), seen_at=max(times))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows as (step, values). Several rows of one step, which Lightning writes, become one in the store."""
    try:
        yield from _table(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no table of text in UTF-8, as a CSVLogger writes it: {error}.") from error


def _table(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        step = next((name for name in STEP_NAMES if name in (table.fieldnames or ())), None)
        if step is None:
            raise DataError(f"{path}: there is no column of steps. Expected one of {', '.join(STEP_NAMES)}.")
        for number, row in enumerate(table, start=2):
            try:
                at = int(float(row.pop(step)))
            except (TypeError, ValueError, OverflowError):
                raise DataError(f"{path}, line {number}: the step is no number.") from None
            yield at, {name: _value(cell) for name, cell in row.items() if name is not None and cell not in ("", None)}


def _value(cell: Any) -> Any:
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return cell
    return int(number) if number.is_integer() and cell.lstrip("-").isdigit() else number


def hyperparameters(path: Path) -> dict[str, Any]:
    """What a logger wrote to ``hparams.yaml``; empty where there is none."""
    import yaml  # late: only where such a file is read

    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        # A tag of some Python class, or no text at all; it is kept as it is, so that nothing is lost.
        return {"hparams.yaml": path.read_text(encoding="utf-8", errors="replace")}
    return found if isinstance(found, dict) else {}
