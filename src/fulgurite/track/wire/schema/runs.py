"""Projects and runs as the client sees them."""

import functools
import json
import mimetypes
from typing import Any

from fulgurite.track.store.blobs import RunFile
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import Project as StoredProject
from fulgurite.track.store.runs import Run as StoredRun
from fulgurite.track.wire.facts import OWN, to_client
from fulgurite.track.wire.filters import Candidate, read_filter, read_order
from fulgurite.track.wire.graphql import Node, as_json
from fulgurite.track.wire.ids import outer
from fulgurite.track.wire.patterns import like
from fulgurite.track.wire.schema.artifacts import ProjectArtifacts, RunArtifacts
from fulgurite.track.wire.schema.context import PAGE, Context, connection, iso
from fulgurite.track.wire.schema.history import RunHistory
from fulgurite.track.wire.schema.sweeps import ProjectSweeps, RunSweeps

MOST = 1000  # runs or files in one page


class Entity(Node):
    """Who owns projects: a user or a team; here only a name."""

    available = isPaid = readOnly = readOnlyAdmin = isTeam = privateOnly = False
    codeSavingEnabled = True
    entityType = "user"
    defaultAccess = "PRIVATE"
    photoUrl = ""
    storageBytes = 0
    limits = "{}"

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self.name = name
        self.id = outer("Entity", 1)
        self.organization = {"name": name, "orgEntity": {"name": name}}  # registries are an organization's
        self.members = [{"id": outer("User", 1), "username": name, "name": name, "admin": True, "pending": False,
                         "accountType": "MEMBER"}]  # fmt: skip

    def projects(self, first: int = PAGE, after: str | None = None) -> Any:
        found = self._context.store.runs.projects(self.name)
        return connection(found, lambda each: Project(self._context, each), first, after)


class User(Node):
    """The one who asks."""

    flags = json.dumps({"code_saving_enabled": True})
    admin = True
    email = None
    deletedAt = None

    def __init__(self, context: Context) -> None:
        self.id = outer("User", 1)
        self.name = self.username = context.user
        self.entity = context.entity
        self.teams = connection([context.entity], lambda name: {"name": name})
        self.apiKeys = connection([], lambda each: each)


class Project(ProjectArtifacts, ProjectSweeps, Node):
    """A project and what can be asked about its runs."""

    isBenchmark = False
    readOnly = False
    access = "PRIVATE"
    views = "{}"
    tags: list[str] = []

    def __init__(self, context: Context, stored: StoredProject) -> None:
        self._context, self._stored = context, stored
        self.id = outer("Project", stored.id)
        self.internalId = str(stored.id)
        self.name, self.entityName = stored.name, stored.entity
        self.description = stored.description
        self.createdAt = iso(stored.created_at)
        self.entity = Entity(context, stored.entity)
        self._accepted = functools.cache(self._accepts)

    def user(self) -> User:
        return User(self._context)

    def allViews(self, first: int = PAGE, after: str | None = None) -> Any:
        """Reports: none are kept here."""
        return connection([], lambda each: each, first, after)

    def run(self, name: str) -> "Run | None":
        try:
            return Run(self._context, self._context.store.runs.find(self._stored, name))
        except NotFound:
            return None

    def bucket(self, name: str, missingOk: bool = False) -> "Run | None":
        return self.run(name)

    def runCount(self, filters: str = "{}") -> int:
        return len(self._found(filters))

    def runs(self, filters: str = "{}", order: str = "", first: int = PAGE, after: str | None = None) -> Any:
        """A page of the runs that the filters let through; only its own are read whole."""
        ids = self._found(filters, order)
        start, count = int(after or 0), max(min(first, MOST), 0)
        whole = {run.id: run for run in self._context.store.search.runs(self._stored, ids[start : start + count])}
        return connection(ids, lambda id: Run(self._context, whole[id]), count, after)

    def _found(self, filters: str, order: str = "") -> list[int]:
        """The ids of the runs that the filters let through, in order."""
        accepted = self._accepted(filters)
        by = read_order(order)
        rows = self._context.store.search.columns(self._stored, by.columns)
        return [each.row["id"] for each in by.sorted(Candidate(row) for row in rows if row["id"] in accepted)]

    def _accepts(self, filters: str) -> frozenset[int]:
        wanted = read_filter(filters)
        rows = self._context.store.search.columns(self._stored, wanted.columns)
        return frozenset(row["id"] for row in rows if wanted.accepts(Candidate(row)))


class Run(RunHistory, RunArtifacts, RunSweeps, Node):
    """A run: what was said of it, and what it logged."""

    readOnly = False
    branch = None

    def __init__(self, context: Context, stored: StoredRun) -> None:
        self._context, self._stored = context, stored
        self.id = outer("Run", stored.id)
        self.internalId = str(stored.id)
        self.projectId = str(stored.project.id)
        self.name, self.displayName = stored.name, stored.display_name or stored.name
        self.notes, self.group, self.groupName, self.jobType = (
            stored.notes,
            stored.group_name,
            stored.group_name,
            stored.job_type,
        )
        self.description = stored.notes
        self.tags, self.state, self.sweepName = stored.tags, stored.state, stored.sweep
        self.exitCode, self.stopped = stored.exit_code, stored.stop_asked
        self.createdAt, self.heartbeatAt = iso(stored.created_at), iso(stored.seen_at)
        self.updatedAt = self.heartbeatAt
        self.historyLineCount, self.eventsLineCount = stored.row_count, stored.event_count
        self.computeSeconds = int((stored.ended_at or stored.seen_at) - stored.created_at)
        self.host, self.jobProgram, self.jobRepo, self.commit = (
            stored.facts.get(name) for name in ("host", "program", "repo", "commit")
        )

    def config(self) -> str:
        return as_json(to_client(self._stored.config, self._stored.facts.get(OWN, {})))

    def summaryMetrics(self, keys: list[str] | None = None) -> str:
        summary = self._stored.summary
        return as_json(summary if keys is None else {key: summary[key] for key in keys if key in summary})

    def wandbConfig(self, keys: list[str] | None = None) -> str:
        """What the client keeps for itself in the configuration; ``t`` must be there for a run to be resumed."""
        own = {"t": {}, **self._stored.facts.get(OWN, {})}
        return as_json(own if keys is None else {key: own.get(key) for key in keys})

    def project(self) -> Project:
        return Project(self._context, self._stored.project)

    def entity(self) -> Entity:
        return Entity(self._context, self._stored.project.entity)

    def user(self) -> User:
        return User(self._context)

    def fileCount(self) -> int:
        return len(self._context.store.blobs.files(self._stored.id))

    def files(
        self, names: list[str] | None = None, pattern: str = "", first: int = PAGE, after: str | None = None
    ) -> Any:
        """A page of the run's files: all, those of some names, or those whose names are like an SQL pattern."""
        found = self._context.store.blobs.files(self._stored.id)
        if names:
            asked = {name.removeprefix("./") for name in names}
            found = [each for each in found if each.name in asked]
        elif pattern:
            fits = like(pattern)
            found = [each for each in found if fits.fullmatch(each.name)]
        show = self._context.show
        return connection(found, lambda each: show("File", (self._stored.id, each)), max(min(first, MOST), 0), after)


class File(Node):
    """One of a run's files."""

    def __init__(self, context: Context, stored: tuple[int, RunFile]) -> None:
        self._context = context
        self._run, self._stored = stored
        file = self._stored
        self.id = outer("File", f"{self._run}:{file.name}")
        self.name = self.displayName = file.name
        self.sizeBytes = file.blob.size
        self.md5 = self.digest = file.blob.md5
        self.mimetype = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        self.updatedAt = iso(file.updated_at)
        self.directUrl = context.addresses.download(file.blob.sha256, file.name)

    def url(self, upload: bool = False) -> str | None:
        return self.uploadUrl() if upload else self.directUrl

    def uploadUrl(self) -> str | None:
        """Where other content can be put in its place; null for a reader."""
        if not self._context.may_write:
            return None
        return self._context.addresses.upload(run=self._run, name=self._stored.name)
