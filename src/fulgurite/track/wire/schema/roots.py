"""Where every document begins: what can be asked, and what can be changed."""

from collections.abc import Callable
from typing import Any

from fulgurite.track.store.errors import NotFound
from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.introspection import described
from fulgurite.track.wire.schema import artifacts, sweeps
from fulgurite.track.wire.schema.context import PAGE, Context, connection
from fulgurite.track.wire.schema.edits import RunEdits
from fulgurite.track.wire.schema.runs import Entity, File, Project, Run, User
from fulgurite.track.wire.schema.sweep_edits import SweepEdits

OWN_FEATURES = ("STRUCTURED_CONSOLE_LOGS", "FILESTREAM_GZIP", "MARK_RUN_FILES_UPLOADED", "SWEEPS_LOCAL_SCHEDULER")
FEATURES = (*OWN_FEATURES, *artifacts.FEATURES)


class ServerInfo(Node):
    """What this server can do."""

    features = [{"name": name, "isEnabled": True} for name in FEATURES]
    cliVersionInfo = {"min_cli_version": "0.16.0", "max_cli_version": "99.0.0"}
    latestLocalVersionInfo = None


class Query(artifacts.ArtifactQueries, sweeps.SweepQueries, Node):
    """All that can be asked."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def viewer(self) -> User:
        return User(self._context)

    def users(self, query: str = "") -> Any:
        """The users with that name: there is one, who asks."""
        found = [User(self._context)] if query in ("", self._context.user) else []
        return connection(found, lambda each: each)

    def serverInfo(self) -> ServerInfo:
        return ServerInfo()

    def entity(self, name: str = "") -> Entity:
        return Entity(self._context, name or self._context.entity)

    def project(self, name: str = "", entityName: str = "") -> Project | None:
        try:
            found = self._context.store.runs.project(name, entityName or self._context.entity)
        except NotFound:
            return None
        return Project(self._context, found)

    model = project

    def models(self, entityName: str = "", first: int = PAGE, after: str | None = None) -> Any:
        found = self._context.store.runs.projects(entityName or self._context.entity)
        return connection(found, lambda each: Project(self._context, each), first, after)

    projects = models


class Mutation(RunEdits, artifacts.ArtifactEdits, SweepEdits):
    """All that can be changed."""


TYPES: dict[str, Callable[[Context, Any], Any]] = {
    "Run": Run,
    "Project": Project,
    "File": File,
    **artifacts.TYPES,
    **sweeps.TYPES,
}

DESCRIBED = {**TYPES, "Query": Query, "Mutation": Mutation, "ServerInfo": ServerInfo, "Entity": Entity, "User": User}


def describe(name: str) -> Any:
    """The type of that name, for clients that ask what this server can do."""
    return described(name, DESCRIBED)


def roots(context: Context) -> dict[str, Node]:
    """Where a document of either kind begins."""
    return {"query": Query(context), "mutation": Mutation(context)}
