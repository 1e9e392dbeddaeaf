"""Artifacts as the API tells them."""

import json
from typing import Any, TypedDict

from fulgurite.track.store.artifacts import Artifact
from fulgurite.track.store.catalog import Holding
from fulgurite.track.store.collections import Collection
from fulgurite.track.store.contents import Entry
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store
from fulgurite.track.wire.contents import media_type


class CollectionShape(TypedDict):
    """A named series of artifacts. ``kind`` is sequence, or portfolio for one that others' versions are linked to.

    ``last`` is the number of its last version, null where it has none; ``size`` are the bytes of all of them.
    """

    name: str
    type: str
    kind: str
    description: str | None
    tags: list[str]
    versions: int
    last: int | None
    size: int
    created_at: float
    updated_at: float


class RunLinkShape(TypedDict):
    """A run that something refers to; a deleted one has no page."""

    entity: str
    project: str
    name: str
    display_name: str
    state: str
    deleted: bool


class VersionShape(TypedDict):
    """A version of an artifact. ``number`` 3 is called v3; ``digest`` stands for its files and their names."""

    id: int
    number: int
    aliases: list[str]
    tags: list[str]
    digest: str
    description: str | None
    size: int
    files: int
    created_at: float
    made_by: RunLinkShape | None


class WholeVersionShape(VersionShape):
    """A version on its own page. ``source`` is where it was logged: [entity, project, type, name, number]."""

    entity: str
    project: str
    type: str
    name: str
    kind: str
    metadata: Any
    ttl: int | None
    step: int | None
    source: list[Any]
    makers: list[RunLinkShape]
    users: list[RunLinkShape]


class ArtifactLinkShape(TypedDict):
    """A version that something refers to, with what its address is made of."""

    entity: str
    project: str
    type: str
    name: str
    number: int
    aliases: list[str]
    size: int
    files: int
    created_at: float


class EntryShape(TypedDict):
    """A file of a version; ``ref`` is the address of one whose content is elsewhere, else null."""

    name: str
    size: int
    digest: str
    ref: str | None
    type: str


class FolderShape(TypedDict):
    """A folder in a version: its name below the one that was asked for, and what lies in it at any depth."""

    name: str
    files: int
    size: int


class ChangeShape(TypedDict):
    """A file whose content differs between two versions."""

    name: str
    before: int
    after: int


def collection_shape(collection: Collection, holding: Holding | None, tags: list[str]) -> CollectionShape:
    return {
        "name": collection.name,
        "type": collection.type,
        "kind": collection.kind,
        "description": collection.description,
        "tags": tags,
        "versions": holding.versions if holding else 0,
        "last": holding.last if holding else None,
        "size": holding.size if holding else 0,
        "created_at": collection.created_at,
        "updated_at": collection.updated_at,
    }


def run_link(run: Run) -> RunLinkShape:
    return {
        "entity": run.project.entity,
        "project": run.project.name,
        "name": run.name,
        "display_name": run.display_name or run.name,
        "state": run.state,
        "deleted": run.deleted_at is not None,
    }


def link_of(store: Store, run: int | None) -> RunLinkShape | None:
    """The run of that number, if it is still known."""
    try:
        return None if run is None else run_link(store.runs.by_id(run))
    except NotFound:
        return None


def artifact_link(store: Store, artifact: Artifact) -> ArtifactLinkShape:
    """An artifact where it was logged."""
    sequence = store.artifacts.collections.by_id(artifact.collection_id)
    return {
        "entity": sequence.project.entity,
        "project": sequence.project.name,
        "type": sequence.type,
        "name": sequence.name,
        "number": artifact.number or 0,
        "aliases": [each.name for each in store.artifacts.members.aliases(artifact.id, sequence.id)],
        "size": artifact.size,
        "files": artifact.file_count,
        "created_at": artifact.created_at,
    }


def version_shape(
    store: Store, artifact: Artifact, number: int, aliases: list[str], tags: list[str] | None = None
) -> VersionShape:
    """A version; ``number`` and ``aliases`` are those that it has in the collection that is looked at."""
    return {
        "id": artifact.id,
        "number": number,
        "aliases": aliases,
        "tags": store.artifacts.tags.of(artifact.id) if tags is None else tags,
        "digest": artifact.digest,
        "description": artifact.description,
        "size": artifact.size,
        "files": artifact.file_count,
        "created_at": artifact.created_at,
        "made_by": link_of(store, artifact.run_id),
    }


def metadata_of(artifact: Artifact) -> Any:
    """What was said of it, as JSON; a text where it is none."""
    try:
        return json.loads(artifact.metadata) if artifact.metadata else {}
    except ValueError:
        return artifact.metadata


def entry_shape(entry: Entry) -> EntryShape:
    return {
        "name": entry.name,
        "size": entry.size,
        "digest": entry.digest,
        "ref": entry.ref,
        "type": media_type(entry.name),
    }
