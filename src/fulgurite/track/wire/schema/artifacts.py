"""Where artifacts are asked for, and where they are changed."""

from collections.abc import Callable
from typing import Any

from fulgurite.track.store.artifacts import DELETED
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.lineage import INPUT, OUTPUT
from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.ids import inner, outer
from fulgurite.track.wire.schema.artifact_edits import ArtifactChanges, CollectionChanges
from fulgurite.track.wire.schema.artifact_types import (
    Artifact,
    ArtifactCollectionMembership,
    ArtifactType,
    collections,
    find_collection,
    member_called,
    show_collection,
)
from fulgurite.track.wire.schema.artifact_writes import ArtifactWrites
from fulgurite.track.wire.schema.context import PAGE, Context, connection

# What the client does with artifacts only where a server says that it can.
FEATURES = (
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
    "ARTIFACT_TAGS",
    "CLIENT_IDS",
    "LARGE_FILENAMES",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
)


class ProjectArtifacts(Node):
    """What can be asked about a project's artifacts."""

    _context: Context
    _stored: Any

    def artifactTypes(self, first: int | None = None, after: str | None = None) -> Any:
        found = self._context.store.artifacts.collections.types(self._stored)
        return connection(found, lambda each: ArtifactType(self._context, (self._stored, each)), first, after)

    def artifactType(self, name: str) -> ArtifactType | None:
        found = [each for each in self._context.store.artifacts.collections.types(self._stored) if each.name == name]
        return ArtifactType(self._context, (self._stored, found[0])) if found else None

    def artifactCollections(
        self, first: int | None = None, after: str | None = None, filters: str = "{}", order: str = ""
    ) -> Any:
        found = self._context.store.artifacts.collections.of(self._stored)
        return collections(self._context, found, first, after, filters, order)

    def artifactCollection(self, name: str) -> Any:
        return find_collection(self._context, self._stored, name)

    def artifactCollectionMembership(self, name: str) -> ArtifactCollectionMembership | None:
        return member_called(self._context, self._stored, name)

    def artifact(self, name: str) -> Artifact | None:
        found = self.artifactCollectionMembership(name)
        return None if found is None else found.artifact()


class RunArtifacts(Node):
    """What can be asked about a run's artifacts."""

    _context: Context
    _stored: Any

    def outputArtifacts(self, first: int | None = PAGE, after: str | None = None) -> Any:
        return self._artifacts(OUTPUT, first, after)

    def inputArtifacts(self, first: int | None = PAGE, after: str | None = None) -> Any:
        return self._artifacts(INPUT, first, after)

    def _artifacts(self, role: str, first: int | None, after: str | None) -> Any:
        artifacts = self._context.store.artifacts
        found = artifacts.lineage.of(self._stored.id, role)
        return connection(found, lambda each: Artifact(self._context, artifacts.by_id(each)), first, after)


class ArtifactQueries(Node):
    """What can be asked about artifacts from the top."""

    _context: Context

    def artifact(self, id: str) -> Artifact | None:
        try:
            found = self._context.store.artifacts.by_id(inner("Artifact", id))
        except NotFound:
            return None
        return None if found.state == DELETED else Artifact(self._context, found)

    def artifactCollection(self, id: str) -> Any:
        try:
            found = self._context.store.artifacts.collections.by_id(inner("ArtifactCollection", id))
        except NotFound:
            return None
        return show_collection(self._context, found)

    def clientIDMapping(self, clientID: str) -> dict[str, str] | None:
        """The artifact that a client has called by an id of its own before it knew ours."""
        try:
            return {"serverID": outer("Artifact", self._context.store.artifacts.by_client(clientID).id)}
        except NotFound:
            return None


class ArtifactEdits(ArtifactWrites, ArtifactChanges, CollectionChanges):
    """Mutations of artifacts."""


TYPES: dict[str, Callable[[Context, Any], Any]] = {"Artifact": Artifact, "ArtifactType": ArtifactType}
