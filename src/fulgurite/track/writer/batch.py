"""What is on its way to the store: rows, lines, files and what is said of the run, since the last time."""

import base64
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulgurite.track.store.console import Line
from fulgurite.track.store.errors import NotFound

if TYPE_CHECKING:
    from fulgurite.track.store.runs import Run
    from fulgurite.track.store.store import Store

Row = tuple[int, float, dict[str, Any]]

log = logging.getLogger("fulgurite.track")


@dataclass(slots=True, frozen=True)
class Kept:
    """A file to keep under ``name``: its content, or where it lies. One that is ``lent`` is deleted when it is kept."""

    name: str
    content: bytes | None = None
    path: str | None = None
    lent: bool = False


@dataclass(slots=True)
class Batch:
    """``rows`` are (step, seconds since 1970, values), ``system`` the same at milliseconds since 1970.

    The numbers of ``lines`` count from the writer's first one. ``end`` is (exit code, state).
    """

    rows: list[Row] = field(default_factory=list)
    system: list[Row] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    files: list[Kept] = field(default_factory=list)
    end: tuple[int, str | None] | None = None

    def __len__(self) -> int:
        return len(self.rows) + len(self.system) + len(self.lines) + len(self.files)

    def __bool__(self) -> bool:
        return bool(len(self) or self.config or self.summary or self.facts or self.end)

    def weight(self) -> int:
        """What it takes of memory, counted in rows: a file is as many as it has kilobytes."""
        return len(self) + sum(len(kept.content) // 1000 for kept in self.files if kept.content is not None)

    def add(self, later: "Batch") -> None:
        """Take in what came later."""
        self.rows += later.rows
        self.system += later.system
        self.lines += later.lines
        self.files += later.files
        self.config |= later.config
        self.summary |= later.summary
        self.facts |= later.facts
        self.end = later.end or self.end

    def drop_oldest(self, keep: int) -> int:
        """Keep the newest ``keep`` rows, lines and samples each; return how many went."""
        before = len(self)
        self.rows, self.system, self.lines = self.rows[-keep:], self.system[-keep:], self.lines[-keep:]
        return before - len(self)

    def last_values(self) -> dict[str, Any]:
        """What the summary gets from the rows, unless something else is said."""
        found: dict[str, Any] = {}
        for step, moment, row in self.rows:
            found.update(row, _step=step, _timestamp=moment)
        return found


@dataclass(slots=True, frozen=True)
class Target:
    """The run that batches are for: where it is, and what is said of it when it is made (``known``: `Runs.update`)."""

    project: str
    entity: str
    run: str
    created_at: float
    source: str
    known: dict[str, Any]

    def opened(self, store: "Store") -> "tuple[Run, bool]":
        """The run, and whether it had to be made."""
        project = store.runs.project(self.project, self.entity, create=True)
        try:
            return store.runs.find(project, self.run), False
        except NotFound:
            said = {**self.known, "source": self.source, "created_at": self.created_at}
            return store.runs.open(project, self.run, **said)


def deliver(store: "Store", run: "Run", batch: Batch, first_line: int = 0) -> "Run":
    """Write a batch to the store, in one transaction, and return the run as it is then. May be done twice."""
    # Late: numpy is needed where rows are packed, and not before.
    from fulgurite.track.store.history import SYSTEM

    # Contents first: writing large files must not keep others from the database.
    blobs = [(kept.name, _content(store, kept)) for kept in batch.files]
    with store.database.writing():
        run = store.runs.by_id(run.id)
        if batch.rows:
            store.history.append(run.id, _timed(batch.rows, run.created_at))
        if batch.system:
            store.history.append(run.id, _timed(batch.system, run.created_at), SYSTEM)
        if batch.lines:
            store.console.write(run.id, (_numbered(line, first_line) for line in batch.lines))
        for name, blob in blobs:
            if blob is not None:
                store.blobs.put(run.id, name, blob)
        run = _said(store, run, batch)
    for kept in batch.files:
        if kept.lent and kept.path:
            Path(kept.path).unlink(missing_ok=True)
    # Ending makes the run compact, which may take a while: others may write meanwhile.
    return run if batch.end is None else store.end(run, *batch.end)


def _content(store: "Store", kept: Kept) -> Any:
    if kept.content is not None:
        return store.blobs.keep_bytes(kept.content)
    try:
        return store.blobs.keep_file(kept.path or "")
    except FileNotFoundError:
        # It was deleted between two tries, or kept by an earlier one.
        return None
    except OSError as error:
        # The store says what is wrong with itself in its own way: this is the file, and a second try would be the same.
        log.warning("The file %s can't be read, so that the run does not have it: %s", kept.path, error)
        return None


def _timed(rows: list[Row], start: float) -> "Any":
    return ((step, {**row, "_timestamp": moment, "_runtime": moment - start}) for step, moment, row in rows)


def _numbered(line: Line, first: int) -> Line:
    return Line(line.number + first, line.stream, line.written_at, line.label, line.line)


def _said(store: "Store", run: "Run", batch: Batch) -> "Run":
    said: dict[str, Mapping[str, Any]] = {}
    summary = batch.last_values()
    if summary:
        summary["_runtime"] = summary["_timestamp"] - run.created_at
    summary |= batch.summary
    for name, values in (("config", batch.config), ("summary", summary), ("facts", batch.facts)):
        if values:
            said[name] = {**getattr(run, name), **values}
    return store.runs.update(run, **said) if said else run


def as_plain(batch: Batch) -> dict[str, Any]:
    """The batch as plain data for JSON."""
    plain = asdict(batch)
    for kept in plain["files"]:
        if kept["content"] is not None:
            kept["content"] = base64.b64encode(kept["content"]).decode()
    return {name: value for name, value in plain.items() if value}


def from_plain(plain: Mapping[str, Any]) -> Batch:
    """The batch that `as_plain` made this of."""
    batch = Batch(**plain)
    batch.rows = [(step, moment, row) for step, moment, row in batch.rows]
    batch.system = [(step, moment, row) for step, moment, row in batch.system]
    batch.lines = [Line(**line) for line in plain.get("lines", ())]
    batch.files = [
        Kept(**{**kept, "content": None if kept["content"] is None else base64.b64decode(kept["content"])})
        for kept in plain.get("files", ())
    ]
    batch.end = tuple(batch.end) if batch.end else None  # type: ignore[assignment]
    return batch
