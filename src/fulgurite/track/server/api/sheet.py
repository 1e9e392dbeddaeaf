"""The runs of a project as the rows of one table, kept in memory and renewed by what has changed."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from fulgurite.track.server.api.about import About, Blocks
from fulgurite.track.store.database import Database
from fulgurite.track.store.listing import Listing
from fulgurite.track.store.runs import LIVING, Project, Run

PROJECTS = 4  # whose sheets are kept
RECENT = 200  # runs that say which columns are shown unless others are asked for

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
TIMES = {"created"}  # in seconds since 1970


class Entry:
    """A run and the leaves of its config and summary by column name.

    These are read when they are asked for: a page that shows the newest of thousands of runs needs few of them.
    """

    __slots__ = ("run", "_cells")

    def __init__(self, run: Run) -> None:
        self.run = run
        self._cells: Mapping[str, Any] | None = None

    @property
    def cells(self) -> Mapping[str, Any]:
        cells = self._cells
        if cells is None:
            cells = self._cells = cells_of(self.run)
        return cells

    def value(self, column: str) -> Any:
        """None where the run has no such value."""
        own = OWN.get(column)
        return own(self.run) if own is not None else self.cells.get(column)


class Sheet:
    """The rows of one project that are not deleted."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.version = 0
        self._lock = Lock()
        self._all, self._recent = Blocks(), Blocks()

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
                    entries[run.id] = Entry(run)
                else:
                    entries.pop(run.id, None)
            self.entries, self.version = entries, version

    def columns(self) -> dict[str, About]:
        """What is known of each column of config and summary, in the order in which runs have brought them."""
        return self._told(self._all, self.entries)

    def recent_columns(self) -> dict[str, About]:
        """The same of the newest runs alone: told at once, however many runs there are."""
        entries = self.entries
        return self._told(self._recent, {id: entries[id] for id in sorted(entries)[-RECENT:]})

    def _told(self, blocks: Blocks, entries: Mapping[int, Entry]) -> dict[str, About]:
        return blocks.columns([(id, entry.run.version, entry) for id, entry in entries.items()])

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
    found: dict[str, Any] = {}
    # Not `run.config`: it would be kept beside its leaves.
    _spread(json.loads(run.texts["config"]), "config.", found)
    _spread(json.loads(run.texts["summary"]), "summary.", found)
    return found


def _spread(values: Mapping[str, Any], above: str, found: dict[str, Any]) -> None:
    for name, value in values.items():
        if type(value) is not dict:
            found[above + name] = value
        elif "_type" in value:
            found[above + name] = {"_type": value["_type"]}
        elif value:
            _spread(value, f"{above}{name}.", found)
