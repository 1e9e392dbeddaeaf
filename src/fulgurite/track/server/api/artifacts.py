"""Artifacts: the collections of a project, their versions, what is said of them, and where they come from."""

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.ancestry import Ancestry, LineageShape
from fulgurite.track.server.api.artifact_shapes import (
    ArtifactLinkShape,
    CollectionShape,
    VersionShape,
    WholeVersionShape,
    artifact_link,
    collection_shape,
    link_of,
    metadata_of,
    version_shape,
)
from fulgurite.track.server.api.described import tells, whole
from fulgurite.track.server.api.runs import project_of, run_of
from fulgurite.track.server.api.shapes import answer
from fulgurite.track.store.artifacts import Artifact
from fulgurite.track.store.collections import Collection
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.lineage import INPUT, OUTPUT
from fulgurite.track.store.members import LATEST, NUMBERED, Member
from fulgurite.track.store.store import Store
from fulgurite.track.store.tags import Tags

PAGE, MOST = 100, 1000
STEPS, MOST_STEPS = 4, 12
TEXT = (str, type(None))


def collection_of(store: Store, request: Request) -> Collection:
    """The collection that the address names. Raises ``NotFound``, also where its type is another one."""
    kind, name = asked.name(request, "type"), asked.name(request, "name")
    found = store.artifacts.collections.find(project_of(store, request), name)
    if found.type != kind:
        raise NotFound(f"There is no artifact {name!r} of type {kind!r}; the one of that name is a {found.type}.")
    return found


def member_of(store: Store, request: Request) -> tuple[Collection, Member]:
    """The version that the address names, by v3, an alias, or its digest. Raises ``NotFound``."""
    collection = collection_of(store, request)
    return collection, store.artifacts.members.find(collection, asked.name(request, "version"))


class ArtifactRoutes:
    """Addresses over the artifacts of one store."""

    def __init__(self, store: Store) -> None:
        self._store, self._artifacts = store, store.artifacts

    def routes(self) -> list[BaseRoute]:
        project = "/projects/{entity}/{project}"
        collection = project + "/artifacts/{type}/{name}"
        version = collection + "/{version}"
        return [
            Route(project + "/artifacts", self.collections, methods=["GET"]),
            Route(collection, self.collection, methods=["GET"]),
            Route(collection, self.describe, methods=["PATCH"]),
            Route(version, self.version, methods=["GET"]),
            Route(version, self.edit, methods=["PATCH"]),
            Route(version + "/lineage", self.lineage, methods=["GET"]),
            Route(project + "/runs/{run}/artifacts", self.of_run, methods=["GET"]),
        ]

    @tells({"collections": list[CollectionShape]})
    def collections(self, request: Request) -> Response:
        """The artifacts of a project, those that changed last first."""
        project = project_of(self._store, request)
        holdings = self._artifacts.catalog.of(project)
        found = [self._shape(each, holdings.get(each.id)) for each in self._artifacts.collections.of(project)]
        return answer({"collections": sorted(found, key=lambda each: -each["updated_at"])})

    @tells(
        {"collection": CollectionShape, "versions": list[VersionShape], "more": bool},
        query={"first": whole("how many versions", PAGE), "before": whole("only versions below this number")},
    )
    def collection(self, request: Request) -> Response:
        """One artifact and its versions, the highest first."""
        first, before = asked.integer(request, "first", PAGE, 1, MOST), asked.integer(request, "before", 2**62)
        with self._store.database.reading():
            found = collection_of(self._store, request)
            members = [each for each in self._artifacts.members.of(found) if each.number < before]
            aliases = self._aliases(found)
            versions = [
                version_shape(
                    self._store,
                    self._artifacts.by_id(each.artifact_id),
                    each.number,
                    aliases.get(each.artifact_id, []),
                )
                for each in members[:first]
            ]
            shape = self._whole_collection(found)
        return answer({"collection": shape, "versions": versions, "more": len(members) > first})

    @tells(CollectionShape, body={"description": str | None, "tags": list[str]})
    async def describe(self, request: Request) -> Response:
        """Change what is said of an artifact as a whole: its description and its tags."""
        said = await asked.fields(request, {"description": TEXT, "tags": list})
        return answer(await run_in_threadpool(self._describe, request, said))

    def _describe(self, request: Request, said: Mapping[str, Any]) -> CollectionShape:
        with self._store.database.writing():
            found = collection_of(self._store, request)
            if "tags" in said:
                _retag(self._artifacts.collections.tags, found.id, asked.texts(said, "tags"))
            if "description" in said:
                self._artifacts.collections.describe(found, description=said["description"] or "")
            return self._whole_collection(self._artifacts.collections.by_id(found.id))

    @tells(WholeVersionShape)
    def version(self, request: Request) -> Response:
        """One version, named by v3, an alias, or its digest."""
        with self._store.database.reading():
            return answer(self._whole(*member_of(self._store, request)))

    @tells(WholeVersionShape, body={"aliases": list[str], "tags": list[str], "description": str | None})
    async def edit(self, request: Request) -> Response:
        """Change what is said of a version.

        `aliases` are all that shall point at it here; they leave the versions at which they pointed before. `latest` is
        taken away from a version only by giving it to another one.
        """
        said = await asked.fields(request, {"aliases": list, "tags": list, "description": TEXT})
        return answer(await run_in_threadpool(self._edit, request, said))

    def _edit(self, request: Request, said: Mapping[str, Any]) -> WholeVersionShape:
        with self._store.database.writing():
            collection, member = member_of(self._store, request)
            if "aliases" in said:
                self._realias(collection, member, asked.texts(said, "aliases"))
            if "tags" in said:
                _retag(self._artifacts.tags, member.artifact_id, asked.texts(said, "tags"))
            if "description" in said:
                artifact = self._artifacts.by_id(member.artifact_id)
                self._artifacts.update(artifact, description=said["description"])
            return self._whole(collection, member)

    def _realias(self, collection: Collection, member: Member, names: list[str]) -> None:
        members = self._artifacts.members
        before = [each.name for each in members.aliases(member.artifact_id, collection.id)]
        if LATEST in before and LATEST not in names:
            raise asked.BadRequest(f"{LATEST!r} always points at a version. Give it to another one instead.")
        members.unpoint(collection.id, member.artifact_id, [each for each in before if each not in names])
        members.point(collection, member.artifact_id, [each for each in names if each not in before])

    @tells(LineageShape, query={"steps": whole("how many steps before and after it, from 1 to 12", STEPS)})
    def lineage(self, request: Request) -> Response:
        """The runs that made and used a version, what else they used and made, and so on."""
        steps = asked.integer(request, "steps", STEPS, 1, MOST_STEPS)
        with self._store.database.reading():
            _, member = member_of(self._store, request)
            return answer(Ancestry(self._store, member.artifact_id).walk(steps))

    @tells({"made": list[ArtifactLinkShape], "used": list[ArtifactLinkShape]})
    def of_run(self, request: Request) -> Response:
        """What a run has made and what it has used, in the order in which it did."""
        with self._store.database.reading():
            run = run_of(self._store, request)
            made, used = (
                [artifact_link(self._store, self._artifacts.by_id(each)) for each in found]
                for found in (self._artifacts.lineage.of(run.id, role) for role in (OUTPUT, INPUT))
            )
        return answer({"made": made, "used": used})

    def _shape(self, collection: Collection, holding: Any) -> CollectionShape:
        return collection_shape(collection, holding, self._artifacts.collections.tags.of(collection.id))

    def _whole_collection(self, collection: Collection) -> CollectionShape:
        return self._shape(collection, self._artifacts.catalog.of(collection.project).get(collection.id))

    def _aliases(self, collection: Collection) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for alias in self._artifacts.members.aliases_in(collection):
            found.setdefault(alias.artifact_id, []).append(alias.name)
        return found

    def _whole(self, collection: Collection, member: Member) -> WholeVersionShape:
        artifact = self._artifacts.by_id(member.artifact_id)
        aliases = [each.name for each in self._artifacts.members.aliases(artifact.id, collection.id)]
        lineage = self._artifacts.lineage
        makers, users = (
            [link for each in found if (link := link_of(self._store, each)) is not None]
            for found in (lineage.makers(artifact.id), lineage.users(artifact.id))
        )
        return {
            **version_shape(self._store, artifact, member.number, aliases),
            "entity": collection.project.entity,
            "project": collection.project.name,
            "type": collection.type,
            "name": collection.name,
            "kind": collection.kind,
            "metadata": metadata_of(artifact),
            "ttl": artifact.ttl,
            "step": artifact.history_step,
            "source": self._source(artifact),
            "makers": makers,
            "users": users,
        }

    def _source(self, artifact: Artifact) -> list[Any]:
        sequence = self._artifacts.collections.by_id(artifact.collection_id)
        return [sequence.project.entity, sequence.project.name, sequence.type, sequence.name, artifact.number]


def _retag(tags: Tags, owner: int, names: list[str]) -> None:
    """Make these all the tags of a thing."""
    if wrong := [each for each in names if not each.strip() or NUMBERED.fullmatch(each)]:
        raise asked.BadRequest(f"{wrong[0]!r} can't be a tag: it must be a word, and none like v3.")
    before = tags.of(owner)
    tags.remove(owner, [each for each in before if each not in names])
    tags.add(owner, [each for each in names if each not in before])
