"""Projects and runs as the client sees them."""

import json
import mimetypes
from typing import Any

from fulgurite.track.store.blobs import RunFile
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.history import STEP, SYSTEM
from fulgurite.track.store.paths import shown
from fulgurite.track.store.runs import Project as StoredProject
from fulgurite.track.store.runs import Run as StoredRun
from fulgurite.track.wire.facts import OWN, to_client
from fulgurite.track.wire.graphql import Node, as_json
from fulgurite.track.wire.ids import outer
from fulgurite.track.wire.schema.artifacts import ProjectArtifacts, RunArtifacts
from fulgurite.track.wire.schema.context import PAGE, Context, connection, iso
from fulgurite.track.wire.schema.sweeps import ProjectSweeps, RunSweeps

KINDS = {"d": "number", "q": "number", "b": "boolean", "j": "string"}


class Entity(Node):
    """Who owns projects: a user or a team; here only a name."""

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self.name = name
        self.id = outer("Entity", 1)
        self.organization = {"name": name, "orgEntity": {"name": name}}  # registries are an organization's

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

    def user(self) -> User:
        return User(self._context)

    def run(self, name: str) -> "Run | None":
        try:
            return Run(self._context, self._context.store.runs.find(self._stored, name))
        except NotFound:
            return None

    def bucket(self, name: str, missingOk: bool = False) -> "Run | None":
        return self.run(name)

    def runCount(self, filters: str = "{}") -> int:
        return len(self._context.store.runs.all(self._stored))

    def runs(self, filters: str = "{}", order: str = "", first: int | None = PAGE, after: str | None = None) -> Any:
        found = self._context.store.runs.all(self._stored)
        return connection(found, lambda each: Run(self._context, each), first, after)


class Run(RunArtifacts, RunSweeps, Node):
    """A run: what was said of it, and what it logged."""

    readOnly = False
    commit = None
    branch = None
    computeSeconds = 0

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
        self.host, self.jobProgram, self.jobRepo = (stored.facts.get(name) for name in ("host", "program", "repo"))

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

    def logLineCount(self) -> int:
        return self._context.store.console.count(self._stored.id)

    def historyTail(self) -> str:
        return self._tail(0)

    def eventsTail(self) -> str:
        return self._tail(SYSTEM)

    def _tail(self, stream: int) -> str:
        """The last row, as JSON of a list of JSON texts."""
        history = self._context.store.history
        keys = history.keys(self._stored.id, stream)
        last = max((each["last"] for each in keys.values()), default=None)
        rows = [] if last is None else history.rows(self._stored.id, last, last, stream=stream)
        return json.dumps([as_json(row) for row in rows])

    def systemMetrics(self) -> str:
        rows = json.loads(self.eventsTail())
        return rows[-1] if rows else "{}"

    def historyKeys(self) -> dict[str, Any]:
        known = self._context.store.history.keys(self._stored.id)
        keys = {
            shown(path): {
                "typeCounts": [{"type": KINDS[about["kinds"][0]], "count": about["count"]}],
                "monotonic": path in (STEP, "_timestamp", "_runtime"),
            }
            for path, about in known.items()
        }
        last = max((about["last"] for about in known.values()), default=-1)
        return {"keys": keys, "lastStep": last, "sets": []}

    def files(self, names: list[str] | None = None, first: int = PAGE, after: str | None = None) -> Any:
        found = self._context.store.blobs.files(self._stored.id)
        if names is not None:
            asked = {name.removeprefix("./") for name in names}
            found = [each for each in found if each.name in asked]
        return connection(found, lambda each: File(self._context, each), first, after)


class File(Node):
    """One of a run's files."""

    def __init__(self, context: Context, stored: RunFile) -> None:
        self.id = f"{stored.name}"
        self.name = self.displayName = stored.name
        self.sizeBytes = stored.blob.size
        self.md5 = stored.blob.md5
        self.digest = stored.blob.md5
        self.mimetype = mimetypes.guess_type(stored.name)[0] or "application/octet-stream"
        self.updatedAt = iso(stored.updated_at)
        self.url = self.directUrl = context.addresses.download(stored.blob.sha256, stored.name)
