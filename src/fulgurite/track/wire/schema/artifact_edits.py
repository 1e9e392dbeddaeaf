"""What people change of artifacts and collections: aliases, tags, words, links; and what they delete."""

from typing import Any

from fulgurite.track.store.artifacts import Artifact as StoredArtifact
from fulgurite.track.store.collections import PORTFOLIO, Collection
from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.members import NUMBERED
from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.ids import inner
from fulgurite.track.wire.schema.artifact_types import Artifact, ArtifactCollectionMembership, Tag, show_collection
from fulgurite.track.wire.schema.artifact_writes import time_to_live, wanted
from fulgurite.track.wire.schema.context import Context


class ArtifactChanges(Node):
    """Mutations of versions."""

    _context: Context

    def updateArtifact(self, input: dict[str, Any]) -> dict[str, Any]:
        """Change what is said of a version; what is null stays. Clients before 0.22 give all its aliases."""
        artifacts = self._context.store.artifacts
        artifact = artifacts.by_id(inner("Artifact", input["artifactID"]))
        said = {name: input[name] for name in ("description", "metadata") if input.get(name) is not None}
        if input.get("ttlDurationSeconds") is not None:
            said["ttl"] = time_to_live(input["ttlDurationSeconds"])
        with self._context.store.database.writing():
            artifacts.tags.add(artifact.id, [tag["tagName"] for tag in input.get("tagsToAdd") or ()])
            artifacts.tags.remove(artifact.id, [tag["tagName"] for tag in input.get("tagsToDelete") or ()])
            if input.get("aliases") is not None:
                self._replace_aliases(artifact, input["aliases"])
            return {"artifact": Artifact(self._context, artifacts.update(artifact, **said))}

    def _replace_aliases(self, artifact: StoredArtifact, asked: list[dict[str, Any]]) -> None:
        members, sequence = self._context.store.artifacts.members, self._collection_of(artifact)
        names = [each["alias"] for each in asked if not NUMBERED.fullmatch(each["alias"])]
        others = [each.name for each in members.aliases(artifact.id, sequence.id) if each.name not in names]
        members.unpoint(sequence.id, artifact.id, others)
        members.point(sequence, artifact.id, names)

    def addAliases(self, input: dict[str, Any]) -> dict[str, Any]:
        artifact = inner("Artifact", input["artifactID"])
        with self._context.store.database.writing():
            for each in input["aliases"]:
                self._context.store.artifacts.members.point(
                    self._with_alias(each), artifact, wanted({"aliases": [each]})
                )
        return {"success": True}

    def deleteAliases(self, input: dict[str, Any]) -> dict[str, Any]:
        artifact = inner("Artifact", input["artifactID"])
        with self._context.store.database.writing():
            for each in input["aliases"]:
                self._context.store.artifacts.members.unpoint(self._with_alias(each).id, artifact, [each["alias"]])
        return {"success": True}

    def deleteArtifact(self, input: dict[str, Any]) -> dict[str, Any]:
        artifacts = self._context.store.artifacts
        artifact = artifacts.by_id(inner("Artifact", input["artifactID"]))
        deleted = artifacts.delete(artifact, with_aliases=bool(input.get("deleteAliases")))
        return {"artifact": Artifact(self._context, deleted)}

    def linkArtifact(self, input: dict[str, Any]) -> dict[str, Any]:
        """Put a version into a portfolio, which is made where there is none, as its project is."""
        artifacts = self._context.store.artifacts
        artifact = self._linked_one(input)
        if input.get("artifactPortfolioID"):
            portfolio = artifacts.collections.by_id(inner("ArtifactCollection", input["artifactPortfolioID"]))
        else:
            entity = input.get("entityName") or self._context.entity
            project = self._context.store.runs.project(input["projectName"], entity, create=True)
            kind = self._collection_of(artifact).type
            portfolio = artifacts.collections.open(project, input["artifactPortfolioName"], kind, PORTFOLIO)
        member = artifacts.members.add(portfolio, artifact.id, wanted(input))
        return {
            "versionIndex": member.number,
            "artifactMembership": ArtifactCollectionMembership(self._context, member),
        }

    def unlinkArtifact(self, input: dict[str, Any]) -> dict[str, Any]:
        artifacts = self._context.store.artifacts
        artifact = inner("Artifact", input["artifactID"])
        portfolio = inner("ArtifactCollection", input["artifactPortfolioID"])
        if artifacts.collections.by_id(portfolio).kind != PORTFOLIO:
            raise StoreError("A version can't be unlinked from where it was logged. Delete it instead.")
        found = [each for each in artifacts.members.places(artifact) if each.collection_id == portfolio]
        if not found:
            raise NotFound("The artifact is not linked to that collection.")
        artifacts.members.remove(found[0])
        return {"success": True}

    def _linked_one(self, input: dict[str, Any]) -> StoredArtifact:
        artifacts = self._context.store.artifacts
        if input.get("artifactID"):
            return artifacts.by_id(inner("Artifact", input["artifactID"]))
        return artifacts.by_client(input["clientID"])

    def _with_alias(self, alias: dict[str, Any]) -> Collection:
        """The collection that an alias is in."""
        entity = alias.get("entityName") or self._context.entity
        project = self._context.store.runs.project(alias["projectName"], entity)
        return self._context.store.artifacts.collections.find(project, alias["artifactCollectionName"])

    def _collection_of(self, artifact: StoredArtifact) -> Collection:
        return self._context.store.artifacts.collections.by_id(artifact.collection_id)


class CollectionChanges(Node):
    """Mutations of collections."""

    _context: Context

    def updateArtifactSequence(self, input: dict[str, Any]) -> dict[str, Any]:
        return self._collection_described(input, input["artifactSequenceID"])

    def updateArtifactPortfolio(self, input: dict[str, Any]) -> dict[str, Any]:
        return self._collection_described(input, input["artifactPortfolioID"])

    def moveArtifactSequence(self, input: dict[str, Any]) -> dict[str, Any]:
        collections = self._context.store.artifacts.collections
        found = self._collection(input["artifactSequenceID"])
        moved = collections.retype(found, input["destinationArtifactTypeName"])
        return {"artifactCollection": show_collection(self._context, moved)}

    def deleteArtifactSequence(self, input: dict[str, Any]) -> dict[str, Any]:
        return self._collection_deleted(input["artifactSequenceID"])

    def deleteArtifactPortfolio(self, input: dict[str, Any]) -> dict[str, Any]:
        return self._collection_deleted(input["artifactPortfolioID"])

    def createArtifactCollectionTagAssignments(self, input: dict[str, Any]) -> dict[str, Any]:
        names = [tag["tagName"] for tag in input["tags"]]
        self._context.store.artifacts.collections.tags.add(self._collection_tagged(input).id, names)
        return {"tags": [Tag(name) for name in names]}

    def deleteArtifactCollectionTagAssignments(self, input: dict[str, Any]) -> dict[str, Any]:
        names = [tag["tagName"] for tag in input["tags"]]
        self._context.store.artifacts.collections.tags.remove(self._collection_tagged(input).id, names)
        return {"success": True}

    def _collection_described(self, input: dict[str, Any], id: str) -> dict[str, Any]:
        found = self._collection(id)
        changed = self._context.store.artifacts.collections.describe(found, input.get("name"), input.get("description"))
        return {"artifactCollection": show_collection(self._context, changed)}

    def _collection_deleted(self, id: str) -> dict[str, Any]:
        node = show_collection(self._context, self._collection(id))
        self._context.store.artifacts.delete_collection(self._collection(id))
        node.state = "DELETED"
        return {"artifactCollection": node}

    def _collection(self, id: str) -> Collection:
        return self._context.store.artifacts.collections.by_id(inner("ArtifactCollection", id))

    def _collection_tagged(self, input: dict[str, Any]) -> Collection:
        entity = input.get("entityName") or self._context.entity
        project = self._context.store.runs.project(input["projectName"], entity)
        return self._context.store.artifacts.collections.find(project, input["artifactCollectionName"])
