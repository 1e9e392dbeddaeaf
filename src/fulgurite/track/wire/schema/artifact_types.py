"""Artifacts and their collections as the client sees them. Much of this is checked there: it must not be null."""

import mimetypes
from typing import Any

from fulgurite.track.store.artifacts import Artifact as StoredArtifact
from fulgurite.track.store.collections import PORTFOLIO, Collection
from fulgurite.track.store.collections import Type as StoredType
from fulgurite.track.store.contents import Entry
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.members import LATEST, Member
from fulgurite.track.store.members import Alias as StoredAlias
from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.ids import outer
from fulgurite.track.wire.schema.artifact_order import arranged
from fulgurite.track.wire.schema.context import PAGE, Context, connection, iso

INHERITED = -2  # what a time to live of "as the collection has it" is in answers


class ArtifactType(Node):
    """A type of artifacts in a project."""

    description = None

    def __init__(self, context: Context, stored: tuple[Any, StoredType]) -> None:
        self._context = context
        self._project, self._stored = stored
        self.id = outer("ArtifactType", self._stored.id)
        self.name = self._stored.name
        self.createdAt = iso(self._stored.created_at)

    def artifactCollections(
        self, first: int | None = None, after: str | None = None, filters: str = "{}", order: str = ""
    ) -> Any:
        found = self._context.store.artifacts.collections.of(self._project, self.name)
        return collections(self._context, found, first, after, filters, order)

    def artifactCollection(self, name: str) -> Any:
        found = find_collection(self._context, self._project, name)
        return found if found is not None and found.defaultArtifactType["name"] == self.name else None

    def artifactSequence(self, name: str) -> Any:
        """Null for a portfolio: that is how clients up to 0.21 tell the two apart."""
        found = self.artifactCollection(name)
        return found if isinstance(found, ArtifactSequence) else None

    def artifact(self, name: str) -> "Artifact | None":
        """A version of that type by name and alias, as clients up to 0.16 ask for one's files."""
        found = member_called(self._context, self._project, name)
        shown = None if found is None else found.artifact()
        return shown if shown is not None and shown.artifactType()["name"] == self.name else None


class ArtifactCollection(Node):
    """A series of artifacts; which sort of it, its two subclasses say."""

    state = "READY"

    def __init__(self, context: Context, stored: Collection) -> None:
        self._context, self._stored = context, stored
        self.id = outer("ArtifactCollection", stored.id)
        self.name, self.description = stored.name, stored.description
        self.createdAt, self.updatedAt = iso(stored.created_at), iso(stored.updated_at)
        self.defaultArtifactType = {"name": stored.type}
        self.project = context.show("Project", stored.project)

    def tags(self) -> Any:
        return connection(self._context.store.artifacts.collections.tags.of(self._stored.id), Tag)

    def aliases(self, first: int | None = None, after: str | None = None) -> Any:
        found = self._context.store.artifacts.members.aliases_in(self._stored)
        return connection(found, lambda each: ArtifactAlias(self._context, each), first, after)

    def artifactMembership(self, aliasName: str = LATEST) -> "ArtifactCollectionMembership | None":
        try:
            found = self._context.store.artifacts.members.find(self._stored, aliasName)
        except NotFound:
            return None
        return ArtifactCollectionMembership(self._context, found)

    def artifactMemberships(
        self, first: int | None = None, after: str | None = None, filters: str = "{}", order: str = ""
    ) -> Any:
        show = ArtifactCollectionMembership
        return connection(self._members(filters, order), lambda each: show(self._context, each), first, after)

    def artifacts(
        self, first: int | None = None, after: str | None = None, filters: str = "{}", order: str = ""
    ) -> Any:
        members = self._members(filters, order)
        page = connection(members, lambda each: each, first, after)
        return {**page, "edges": [self._version(**edge) for edge in page["edges"]]}

    def latestArtifact(self) -> "Artifact | None":
        found = self._context.store.artifacts.latest(self._stored)
        return None if found is None else Artifact(self._context, found)

    def _version(self, node: Member, cursor: str) -> dict[str, Any]:
        artifact = self._context.store.artifacts.by_id(node.artifact_id)
        return {"version": f"v{node.number}", "node": Artifact(self._context, artifact), "cursor": cursor}

    def _members(self, filters: str, order: str) -> list[Member]:
        members = self._context.store.artifacts.members.of(self._stored)
        return arranged(members, self._about, filters, order)

    def _about(self, member: Member) -> dict[str, Any]:
        """What versions are chosen and put in order by."""
        artifacts = self._context.store.artifacts
        artifact = artifacts.by_id(member.artifact_id)
        return {
            "version": member.number,
            "state": artifact.state,
            "created_at": artifact.created_at,
            "updated_at": artifact.updated_at,
            "size": artifact.size,
            "digest": artifact.digest,
            "description": artifact.description,
            "metadata": artifact.metadata,
            "tags": artifacts.tags.of(artifact.id),
            "alias": [alias.name for alias in artifacts.members.aliases(artifact.id, member.collection_id)],
        }


class ArtifactSequence(ArtifactCollection):
    """A collection into which versions are logged."""

    also = ("ArtifactCollection",)
    digestAlgorithm = "MANIFEST_MD5"


class ArtifactPortfolio(ArtifactCollection):
    """A collection to which versions are linked."""

    also = ("ArtifactCollection",)


class ArtifactCollectionMembership(Node):
    """A version's place in a collection."""

    def __init__(self, context: Context, stored: Member) -> None:
        self._context, self._stored = context, stored
        self.id = outer("ArtifactCollectionMembership", stored.id)
        self.versionIndex = stored.number
        self.createdAt = iso(stored.created_at)

    def aliases(self) -> list["ArtifactAlias"]:
        return aliases(self._context, self._stored)

    def artifactCollection(self) -> Any:
        found = self._context.store.artifacts.collections.by_id(self._stored.collection_id)
        return show_collection(self._context, found)

    def artifact(self) -> "Artifact":
        return Artifact(self._context, self._context.store.artifacts.by_id(self._stored.artifact_id))

    def files(self, names: list[str] | None = None, first: int | None = PAGE, after: str | None = None) -> Any:
        return self.artifact().files(names, first, after)


class Artifact(Node):
    """A version: what is said of it, where it came from, and its files."""

    ttlDurationSeconds: int
    digestAlgorithm = "MANIFEST_MD5"
    labels = "[]"

    def __init__(self, context: Context, stored: StoredArtifact) -> None:
        self._context, self._stored = context, stored
        self.id = outer("Artifact", stored.id)
        self.versionIndex = stored.number
        self.state, self.digest, self.size, self.fileCount = stored.state, stored.digest, stored.size, stored.file_count
        self.description, self.metadata, self.historyStep = stored.description, stored.metadata, stored.history_step
        self.ttlIsInherited = stored.ttl is None
        self.ttlDurationSeconds = INHERITED if stored.ttl is None else stored.ttl
        self.createdAt, self.updatedAt = iso(stored.created_at), iso(stored.updated_at)
        self.commitHash = stored.manifest[:20] if stored.manifest else None

    def storageBytes(self) -> int:
        entries = self._context.store.artifacts.contents.entries(self._stored.id)
        return sum(entry.size for entry in entries if entry.sha256 is not None)

    def artifactType(self) -> dict[str, str]:
        return {"name": self._sequence().type}

    def artifactSequence(self) -> Any:
        return show_collection(self._context, self._sequence())

    def aliases(self) -> list["ArtifactAlias"]:
        places = self._context.store.artifacts.members.places(self._stored.id)
        return [alias for place in places for alias in aliases(self._context, place)]

    def artifactMemberships(self, first: int | None = None, after: str | None = None) -> Any:
        places = self._context.store.artifacts.members.places(self._stored.id)
        return connection(places, lambda each: ArtifactCollectionMembership(self._context, each), first, after)

    def tags(self) -> list["Tag"]:
        return [Tag(name) for name in self._context.store.artifacts.tags.of(self._stored.id)]

    def createdBy(self) -> Any:
        made_by = [] if self._stored.run_id is None else self._runs([self._stored.run_id])
        return made_by[0] if made_by else None

    def usedBy(self) -> Any:
        found = self._runs(self._context.store.artifacts.lineage.users(self._stored.id))
        return connection(found, lambda run: run)

    def currentManifest(self) -> Any:
        if self._stored.manifest is None:
            return None
        address = self._context.addresses.download(self._stored.manifest, "wandb_manifest.json")
        return {"file": {"directUrl": address, "url": address}, "digest": self._stored.digest}

    def files(self, names: list[str] | None = None, first: int | None = PAGE, after: str | None = None) -> Any:
        """A page of its files, read from the store page by page: there may be a million."""
        contents, start = self._context.store.artifacts.contents, int(after or 0)
        if names is not None:
            found = contents.entries(self._stored.id, names)
            return connection(found, self._file, first, after)
        count = -1 if first is None else first
        edges = [
            {"node": self._file(entry), "cursor": str(start + i + 1)}
            for i, entry in enumerate(contents.entries(self._stored.id, None, start, count))
        ]
        stop = start + len(edges)
        page = {"__typename": "PageInfo", "endCursor": str(stop), "hasNextPage": stop < self._stored.file_count}
        return {"edges": edges, "pageInfo": page, "totalCount": self._stored.file_count}

    def filesByManifestEntries(self, entries: list[dict[str, Any]] | None = None) -> Any:
        """The addresses of files that the client knows from the manifest, in that order."""
        found = self._context.store.artifacts.contents.entries(
            self._stored.id, [entry["name"] for entry in entries or ()]
        )
        return connection(found, self._file)

    def _file(self, entry: Entry) -> "File":
        return File(self._context, entry, self.updatedAt)

    def _runs(self, numbers: list[int]) -> list[Any]:
        """The runs with those numbers, without those that were deleted."""
        runs = [self._context.store.runs.by_id(number) for number in numbers]
        return [self._context.show("Run", run) for run in runs if run.deleted_at is None]

    def _sequence(self) -> Collection:
        return self._context.store.artifacts.collections.by_id(self._stored.collection_id)


class File(Node):
    """A file of an artifact, or a reference in it."""

    def __init__(self, context: Context, stored: Entry, updated_at: str | None) -> None:
        self.id = outer("File", stored.name)
        self.name = self.displayName = stored.name
        self.storagePath = f"wandb_artifacts/{stored.sha256}" if stored.sha256 else None
        self.sizeBytes = stored.size
        self.digest = self.md5 = stored.digest
        self.mimetype = mimetypes.guess_type(stored.name)[0] or "application/octet-stream"
        self.updatedAt = updated_at
        self.url = self.directUrl = (
            context.addresses.download(stored.sha256, stored.name) if stored.sha256 else stored.ref
        )


class ArtifactAlias(Node):
    """A name that points at a version."""

    def __init__(self, context: Context, stored: StoredAlias) -> None:
        self._context, self._stored = context, stored
        self.id = outer("ArtifactAlias", stored.id)
        self.alias = stored.name

    def artifactCollection(self) -> Any:
        found = self._context.store.artifacts.collections.by_id(self._stored.collection_id)
        return show_collection(self._context, found)


class Tag(Node):
    """A word that is stuck to an artifact or a collection."""

    def __init__(self, name: str) -> None:
        self.id, self.name = outer("Tag", name), name


def aliases(context: Context, member: Member) -> list[ArtifactAlias]:
    """The aliases of a version in one collection, with ``v3`` among them, which old clients demand there."""
    found = context.store.artifacts.members.aliases(member.artifact_id, member.collection_id)
    numbered = StoredAlias(-member.id, member.collection_id, f"v{member.number}", member.artifact_id)
    return [ArtifactAlias(context, each) for each in (*found, numbered)]


def show_collection(context: Context, stored: Collection) -> ArtifactCollection:
    kind = ArtifactPortfolio if stored.kind == PORTFOLIO else ArtifactSequence
    return kind(context, stored)


def find_collection(context: Context, project: Any, name: str) -> ArtifactCollection | None:
    try:
        return show_collection(context, context.store.artifacts.collections.find(project, name))
    except NotFound:
        return None


def member_called(context: Context, project: Any, name: str) -> ArtifactCollectionMembership | None:
    """A version by its collection's name and an alias: ``name:latest``."""
    collection, _, alias = name.partition(":")
    found = find_collection(context, project, collection)
    return None if found is None else found.artifactMembership(alias or LATEST)


def collections(
    context: Context, found: list[Collection], first: int | None, after: str | None, filters: str, order: str
) -> Any:
    """A page of collections, chosen and put in order as the client asks."""

    def about(each: Collection) -> dict[str, Any]:
        return {
            "name": each.name,
            "type": each.type,
            "description": each.description,
            "created_at": each.created_at,
            "updated_at": each.updated_at,
            "tags": context.store.artifacts.collections.tags.of(each.id),
        }

    chosen = arranged(found, about, filters, order)
    return connection(chosen, lambda each: show_collection(context, each), first, after)
