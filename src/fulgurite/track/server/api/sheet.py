"""The runs of a project as the rows of one table, kept in memory and renewed by what has changed."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from fulgurite.track.store.database import Database
from fulgurite.track.store.listing import Listing
from fulgurite.track.store.runs import LIVING, Project, Run

PROJECTS = 4  # whose sheets are kept
FEW = 12  # distinct values that are told of a column
LONGEST = 100  # characters of a text that counts as a value to choose from

NOT_FINITE = ("NaN", "Infinity", "-Infinity")

# What every run has, beside the leaves of its config and summary.
OWN: Mapping[str, Callable[[Run], Any]] = {
    "name": lambda run: run.display_name or run.name,
    "id": lambda run: run.name,
    "state": lambda run: run.state,
    "created": lambda run: run.created_at,
    "duration": lambda run: (run.ended_at or run.seen_at) - run.created_at,
    "group": lambda run: run.group_name,
    "job_type": lambda run: run.job_type,
    "sweep": lambda run: run.sweep,
    "tags": lambda run: run.tags,
    "notes": lambda run: run.notes,
    "rows": lambda run: run.row_count,
    "source": lambda run: run.source,
}


@dataclass(slots=True)
class Entry:
    """A run and the leaves of its config and summary by column name."""

    run: Run
    cells: Mapping[str, Any]

    def value(self, column: str) -> Any:
        """None where the run has no such value."""
        own = OWN.get(column)
        return own(self.run) if own is not None else self.cells.get(column)


@dataclass
class About:
    """What a column of config or summary holds over all runs. ``values`` is None if there are more than a few."""

    count: int = 0
    kinds: set[str] = field(default_factory=set)
    low: float = math.inf
    high: float = -math.inf
    values: set[Any] | None = field(default_factory=set)

    def take(self, value: Any) -> None:
        kind = kind_of(value)
        self.count += 1
        self.kinds.add(kind)
        if kind == "number" and type(value) is not str:
            self.low, self.high = min(self.low, value), max(self.high, value)
        if self.values is not None:
            if kind == "other" or (kind == "text" and len(value) > LONGEST):
                self.values = None
            elif value not in self.values:
                self.values = {*self.values, value} if len(self.values) < FEW else None

    @property
    def kind(self) -> str:
        return next(iter(self.kinds)) if len(self.kinds) == 1 else "other"


class Sheet:
    """The rows of one project that are not deleted."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.version = 0
        self._lock = Lock()
        self._about: tuple[int, dict[str, About]] = (-1, {})

    def renew(self, listing: Listing, project: Project) -> None:
        """Take in what has changed since the last look."""
        with self._lock:
            version = listing.version(project)
            if version < self.version:  # the newest runs were purged
                self.entries, self.version = {}, 0
            if version == self.version:
                return
            # Readers go on with the old rows meanwhile.
            entries = dict(self.entries)
            for run in listing.changed(project, self.version):
                if run.deleted_at is None:
                    entries[run.id] = Entry(run, cells_of(run))
                else:
                    entries.pop(run.id, None)
            self.entries, self.version = entries, version

    def columns(self) -> dict[str, About]:
        """What is known of each column of config and summary, in the order in which runs have brought them."""
        entries, version = self.entries, self.version
        if self._about[0] != version:
            about: dict[str, About] = {}
            for entry in entries.values():
                for name, value in entry.cells.items():
                    known = about.get(name)
                    if known is None:
                        known = about[name] = About()
                    if value is not None:
                        known.take(value)
            self._about = version, about
        return self._about[1]

    def living(self) -> int:
        """How many runs go on: their state and duration change without a new version."""
        return sum(entry.run.state in LIVING for entry in self.entries.values())


class Sheets:
    """The sheets of the projects that were looked at last."""

    def __init__(self, database: Database) -> None:
        self._database, self._listing = database, Listing(database)
        self._known: OrderedDict[int, Sheet] = OrderedDict()
        self._lock = Lock()

    def of(self, project: Project) -> Sheet:
        """The project's sheet as it is now."""
        with self._lock:
            sheet = self._known.pop(project.id, None) or Sheet()
            self._known[project.id] = sheet
            if len(self._known) > PROJECTS:
                self._known.popitem(last=False)
        with self._database.reading():
            sheet.renew(self._listing, project)
        return sheet


def cells_of(run: Run) -> dict[str, Any]:
    """The leaves of config and summary. Of media only the kind is told."""
    return dict([*_leaves("config.", run.config), *_leaves("summary.", run.summary)])


def _leaves(above: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if type(value) is not dict:
            yield above + name, value
        elif "_type" in value:
            yield above + name, {"_type": value["_type"]}
        elif value:
            yield from _leaves(f"{above}{name}.", value)


def kind_of(value: Any) -> str:
    """number, boolean, text, or other. Numbers that are not finite may be kept as texts, since JSON has none."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float) or value in NOT_FINITE:
        return "number"
    return "text" if isinstance(value, str) else "other"
