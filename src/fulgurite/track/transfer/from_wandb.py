"""The W&B client's offline runs, read as they are, also while they grow."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.history import STEP, SYSTEM, Row
from fulgurite.track.store.runs import ENTITY, Run, Runs
from fulgurite.track.store.store import Store
from fulgurite.track.transfer.wandb_artifacts import take_artifact
from fulgurite.track.wire.facts import OWN, UNNAMED
from fulgurite.track.wire.offline import records
from fulgurite.track.wire.offline.definitions import put
from fulgurite.track.wire.offline.runs import OfflineRun, find_runs
from fulgurite.track.writer.console import Screen

log = logging.getLogger("fulgurite.track")


def find(folder: Path) -> list[Path]:
    """The folders of offline runs in a ``wandb`` folder, or in the one above it."""
    return [found.folder for found in find_runs(folder)] if Path(folder).is_dir() else []


def take(store: Store, folder: Path, project: str = "") -> Run:
    """Keep all that is in the folder of one offline run, and return the run. Taken again, only what is new is read.

    ``project`` is for runs that name none. A run that was deleted for good is read anew. Raises ``NotFound`` if
    nothing that says which run it is has been written.
    """
    follower = Follower(store, folder, project, anew=True)
    while follower.pull():
        pass
    if follower.run is None:
        raise NotFound(f"{folder} does not say yet which run it is. Try again when the run has begun to log.")
    return store.runs.by_id(follower.run.id)


class Follower:
    """One offline run and how far it has been read. Where reading ends is kept in the store.

    One that was deleted for good stays away, unless it is wanted ``anew``.
    """

    def __init__(self, store: Store, folder: Path, project: str = "", anew: bool = False) -> None:
        number, place = store.sources.place(folder.resolve()) or (None, 0)
        gone = number is None and place > 0
        self._store, self._project = store, project
        self._source = OfflineRun(folder, offset=0 if gone else place)
        self.run: Run | None = None if number is None else store.runs.by_id(number)
        self._left_out = gone and not anew
        self._told = 0
        self._screen: Screen | None = None
        self._first_line = 0

    def pull(self) -> bool:
        """Take in what has been written since the last time; False if that is nothing."""
        found = [] if self._left_out else self._source.read()
        for damage in self._source.damages[self._told :]:
            log.warning("A part of an offline run could not be read and is left out: %s", damage)
        self._told = len(self._source.damages)
        if not found:
            return False
        self._keep_files(found)
        with self._store.database.writing():
            if self.run is not None:
                self.run = self._store.runs.by_id(self.run.id)
            taken = _Taken(self.run)
            for content in found:
                taken.add(content)
            self._write(taken)
        return True

    def _write(self, taken: "_Taken") -> None:
        """Put what was read, and the place up to which, into the store: all of it or nothing."""
        if self.run is None and taken.begun is None:
            return
        runs = self._store.runs
        if self.run is None:
            assert taken.begun is not None
            self.run = self._opened(taken.begun)
        if self._left_out:
            return
        self._store.history.append(self.run.id, taken.rows)
        self._store.history.append(self.run.id, taken.samples, SYSTEM)
        self._write_console(self.run, taken.texts)
        for alert in taken.alerts:
            runs.alert(self.run, alert.title, alert.text, alert.level)
        written_at = self._source.file.stat().st_mtime
        self.run = runs.update(self.run, **taken.said(), seen_at=written_at)
        if taken.exit_code is not None:
            self._store.end(self.run, taken.exit_code)
            self.run = runs.update(self.run, ended_at=written_at, seen_at=written_at)
        self._store.sources.note(self._source.folder.resolve(), self.run.id, self._source.offset)

    def _opened(self, begun: records.Run) -> Run:
        runs: Runs = self._store.runs
        project = runs.project(begun.project or self._project or UNNAMED, begun.entity or ENTITY, create=True)
        run, new = runs.open(project, begun.id, source="wandb offline", created_at=begun.started or time.time())
        # The client keeps a copy of what it sends: a run that has come from it directly is not read once more.
        self._left_out = run.source != "wandb offline" and not self._source.folder.name.startswith("offline-")
        if new and begun.branch_point is not None:
            try:
                parent = runs.find(project, begun.branch_point.run)
            except NotFound:
                log.warning("Run %s goes on from %s, which is not here.", begun.id, begun.branch_point.run)
            else:
                self._store.history.copy(parent.id, run.id, int(begun.branch_point.value))
        return run

    def _write_console(self, run: Run, texts: list[records.ConsoleText]) -> None:
        if texts and self._screen is None:
            self._screen, self._first_line = Screen(), self._store.console.count(run.id)
        for text in texts:
            assert self._screen is not None
            self._screen.write(text.stream, text.time or 0.0, text.text)
        if self._screen is not None:
            lines = (replace(line, number=line.number + self._first_line) for line in self._screen.changed())
            self._store.console.write(run.id, lines)

    def _keep_files(self, found: list[records.Content]) -> None:
        """Keep the artifacts, the files that are named, and at the end all that lie there: not each one is named."""
        ended = any(isinstance(content, records.Exit) for content in found)
        named = {file.path for content in found if isinstance(content, records.FilesSaved) for file in content.files}
        if self.run is None:
            # Which run it is may be said in this very batch.
            with self._store.database.writing():
                begun = next((content for content in found if isinstance(content, records.Run)), None)
                self.run = self._opened(begun) if begun is not None else None
        if self._left_out:
            return
        for name in self._source.saved() if ended else sorted(named):
            path = self._source.locate(name)
            if path is not None and self.run is not None:
                self._store.blobs.put(self.run.id, name, self._store.blobs.keep_file(path))
        for content in found:
            if isinstance(content, records.Artifact) and self.run is not None:
                take_artifact(self._store, self.run, content)


class _Taken:
    """What a batch of records says, put together for the store."""

    def __init__(self, run: Run | None) -> None:
        self.begun: records.Run | None = None
        self.rows: list[Row] = []
        self.samples: list[Row] = []
        self.texts: list[records.ConsoleText] = []
        self.alerts: list[records.Alert] = []
        self.exit_code: int | None = None
        self._config = dict(run.config) if run else {}
        self._summary = dict(run.summary) if run else {}
        self._facts = dict(run.facts) if run else {}
        self._fields: dict[str, Any] = {}

    def add(self, content: records.Content) -> None:
        take: Callable[[Any], None] | None = self._ways().get(type(content))
        if take is not None:
            take(content)

    def said(self) -> dict[str, Any]:
        """What is to be said of the run, as `Runs.update` takes it."""
        own = {**self._facts.get(OWN, {}), **self._config.pop(OWN, {})}
        facts = {**self._facts, OWN: own} if own else self._facts
        return {**self._fields, "config": self._config, "summary": self._summary, "facts": facts}

    def _ways(self) -> dict[type, Callable[[Any], None]]:
        return {
            records.Run: self._begin,
            records.Environment: self._take_environment,
            records.ConfigChange: lambda change: change.apply_to(self._config),
            records.SummaryChange: lambda change: change.apply_to(self._summary),
            records.HistoryRow: self._take_row,
            records.MetricDefinition: self._take_definition,
            records.SystemMetrics: self._take_sample,
            records.ConsoleText: self.texts.append,
            records.Alert: self.alerts.append,
            records.Exit: self._end,
        }

    def _begin(self, begun: records.Run) -> None:
        self.begun = begun
        begun.config.apply_to(self._config)
        begun.summary.apply_to(self._summary)
        said = {
            "display_name": begun.display_name,
            "notes": begun.notes,
            "group_name": begun.group,
            "job_type": begun.job_type,
            "sweep": begun.sweep,
            "tags": list(begun.tags),
        }
        self._fields |= {name: value for name, value in said.items() if value}
        if begun.host:
            self._facts["host"] = begun.host
        if begun.git is not None:
            self._facts["git"] = {"remote": begun.git.remote, "commit": begun.git.commit}

    def _take_environment(self, environment: records.Environment) -> None:
        self._facts["environment"] = {**self._facts.get("environment", {}), **environment.values}
        for name in ("host", "program"):
            if environment.values.get(name):
                self._facts[name] = environment.values[name]

    def _take_row(self, row: records.HistoryRow) -> None:
        step = row.values.get(STEP, row.step)
        if step is not None:
            self.rows.append((int(step), row.values))

    def _take_sample(self, sample: records.SystemMetrics) -> None:
        """System metrics under the names that the client gives them when it is online."""
        values = {name if name.startswith("system.") else f"system.{name}": v for name, v in sample.values.items()}
        self.samples.append((int(sample.time * 1000), {**values, "_timestamp": sample.time}))

    def _take_definition(self, definition: records.MetricDefinition) -> None:
        """Keep it in the form in which the client sends it when it is online."""
        put(definition, self._facts.setdefault(OWN, {}).setdefault("m", []))

    def _end(self, end: records.Exit) -> None:
        self.exit_code = end.code if end.complete else None
