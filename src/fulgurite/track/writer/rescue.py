"""A file for what the store can't take: one line that names the run, then a line of JSON for each batch."""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulgurite.track.store.errors import StoreError
from fulgurite.track.writer.batch import Batch, Target, as_plain, deliver, from_plain

if TYPE_CHECKING:
    from fulgurite.track.store.runs import Run
    from fulgurite.track.store.store import Store

FORMAT = 1
NAME = "fulgurite-rescue-{}.jsonl"
BROUGHT_IN = "brought_in"  # the fact that says which files were, and where their lines begin


def rescue_file(folder: str | os.PathLike[str], run: str) -> Path:
    """Where the rows of a run go that the store can't take."""
    # An id may hold characters that a file's name may not.
    plain = "".join(each if each.isalnum() or each in "-_." else "_" for each in run)
    return Path(folder, NAME.format(plain))


def set_aside(path: Path, target: Target, first_line: int | None, batch: Batch) -> None:
    """Add a batch to the file, flushed to the disk. ``first_line`` is the number of its line 0, if it is known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "fulgurite_rescue": FORMAT,
        "id": secrets.token_hex(4),
        "target": asdict(target),
        "first_line": first_line,
    }
    # A line that a dying process left unfinished shall not swallow the next one.
    lines = ["" if path.exists() else json.dumps(head), json.dumps(as_plain(batch), default=str)]
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())


def bring_in(store: "Store", path: str | os.PathLike[str]) -> "Run":
    """Put what a rescue file holds into the store and return its run. May be done twice; the file stays.

    Raises ``StoreError`` if it is no such file.
    """
    lines = _lines(Path(path))
    head = next(lines, None)
    if not isinstance(head, dict) or head.get("fulgurite_rescue") != FORMAT:
        raise StoreError(f"{path} is no rescue file of Fulgurite (fulgurite-rescue-<run>.jsonl).")
    try:
        run, made = Target(**head["target"]).opened(store)
        first_line = head["first_line"]
        if first_line is None:
            first_line = _first_line(store, run, head["id"], made)
        for plain in lines:
            run = deliver(store, run, from_plain(plain), first_line)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged: it says what no run says ({error!r}). What stands before that is kept."
        ) from error
    return run


def _first_line(store: "Store", run: "Run", file: str, made: bool) -> int:
    """Below which of the run's lines those of the file belong: noted, since the file may come again."""
    known = run.facts.get(BROUGHT_IN, {})
    if file not in known:
        known = {**known, file: 0 if made else store.console.count(run.id)}
        store.runs.update(run, facts={**run.facts, BROUGHT_IN: known})
    return int(known[file])


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                if line.strip():
                    yield json.loads(line)
            except ValueError:
                # The process ended while it wrote this line.
                continue
