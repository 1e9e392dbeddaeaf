"""What the client does to log an artifact, and to use one."""

from typing import Any

from fulgurite.track.store.artifacts import Artifact as StoredArtifact
from fulgurite.track.store.contents import FULL, Manifest
from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.members import NUMBERED
from fulgurite.track.store.runs import Run as StoredRun
from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.ids import inner, outer
from fulgurite.track.wire.schema.artifact_types import Artifact
from fulgurite.track.wire.schema.context import Context, connection

# The client's names of what is said of a new artifact, and ours.
SAID = {"description": "description", "metadata": "metadata", "historyStep": "history_step", "clientID": "client_id"}
INHERIT = -1  # what a time to live of "as the collection has it" is in requests


class ArtifactWrites(Node):
    """Mutations of runs that log and use artifacts."""

    _context: Context

    def createArtifact(self, input: dict[str, Any]) -> dict[str, Any]:
        """Begin an artifact, or answer with the one that has the same digest: it is committed, and nothing is sent."""
        artifacts, runs = self._context.store.artifacts, self._context.store.runs
        project = runs.project(input["projectName"], input.get("entityName") or self._context.entity, create=True)
        name = input.get("artifactCollectionName") or input["artifactCollectionNames"][0]
        sequence = artifacts.collections.open(project, name, input["artifactTypeName"])
        run = self._logging_run(input) if input.get("runName") else None
        artifact = artifacts.open(
            sequence,
            input["digest"],
            None if run is None else run.id,
            wanted(input),
            once=bool(input.get("enableDigestDeduplication", True)),
            shared_id=input.get("distributedID"),
            ttl=time_to_live(input.get("ttlDurationSeconds")),
            **{ours: input.get(theirs) for theirs, ours in SAID.items()},
        )
        if input.get("tags"):
            artifacts.tags.add(artifact.id, [tag["tagName"] for tag in input["tags"]])
        return {"artifact": Artifact(self._context, artifact)}

    def createArtifactManifest(self, input: dict[str, Any]) -> dict[str, Any]:
        base = inner("Artifact", input["baseArtifactID"]) if input.get("baseArtifactID") else None
        artifact = self._artifact(input["artifactID"])
        manifest = self._context.store.artifacts.contents.expect(artifact.id, input.get("type") or FULL, base)
        return {"artifactManifest": self._manifest_place(manifest)}

    def updateArtifactManifest(self, input: dict[str, Any]) -> dict[str, Any]:
        contents = self._context.store.artifacts.contents
        return {
            "artifactManifest": self._manifest_place(
                contents.manifest(inner("ArtifactManifest", input["artifactManifestID"]))
            )
        }

    def createArtifactFiles(self, input: dict[str, Any]) -> dict[str, Any]:
        """Addresses for an artifact's files, in the order in which they are asked for; none for what is here."""
        with self._context.store.database.writing():
            return {"files": connection(input["artifactFiles"], self._file_place)}

    def completeMultipartUploadArtifact(self, input: dict[str, Any]) -> dict[str, Any]:
        parts, upload = self._context.store.artifacts.parts, input["uploadID"]
        if input.get("completeMultipartAction") == "Abort":
            parts.drop(upload)
            return {"digest": None}
        arrived = [(int(part["partNumber"]), part["hexMD5"].strip('"')) for part in input["completedParts"]]
        return {"digest": parts.join(upload, inner("Artifact", input["artifactID"]), arrived).md5}

    def commitArtifact(self, input: dict[str, Any]) -> dict[str, Any]:
        committed = self._context.store.artifacts.commit(self._artifact(input["artifactID"]))
        return {"artifact": Artifact(self._context, committed)}

    def useArtifact(self, input: dict[str, Any]) -> dict[str, Any]:
        artifact = self._artifact(input["artifactID"])
        self._context.store.artifacts.lineage.used(self._logging_run(input).id, artifact.id, input.get("usedAs"))
        return {"artifact": Artifact(self._context, artifact)}

    def _file_place(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Where one file goes."""
        artifact, name, md5 = inner("Artifact", asked["artifactID"]), asked["name"], asked.get("md5")
        place = {"artifact": {"id": asked["artifactID"]}, "storagePath": name, "displayName": name, "uploadHeaders": []}
        if md5 and self._context.store.artifacts.contents.take_known(artifact, name, md5):
            return {**place, "uploadUrl": None, "uploadMultipartUrls": None}
        address = self._context.addresses.upload(artifact=artifact, name=name, md5=md5)
        parts = asked.get("uploadPartsInput") if self._context.in_parts and md5 else None
        return {**place, "uploadUrl": address, "uploadMultipartUrls": self._part_places(artifact, name, md5, parts)}

    def _part_places(self, artifact: int, name: str, md5: Any, parts: list[dict[str, Any]] | None) -> Any:
        if not parts:
            return None
        upload = self._context.store.artifacts.parts.begin(artifact, name, md5)
        address = self._context.addresses.upload
        return {
            "uploadID": upload,
            "uploadUrlParts": [
                {
                    "partNumber": part["partNumber"],
                    "uploadUrl": address(upload=upload, part=part["partNumber"], md5=part.get("hexMD5")),
                }
                for part in parts
            ],
        }

    def _manifest_place(self, manifest: Manifest) -> dict[str, Any]:
        id = outer("ArtifactManifest", manifest.id)
        address = self._context.addresses.upload(manifest=manifest.id)
        return {"id": id, "type": manifest.kind, "file": {"id": id, "uploadUrl": address, "uploadHeaders": []}}

    def _artifact(self, id: str) -> StoredArtifact:
        return self._context.store.artifacts.by_id(inner("Artifact", id))

    def _logging_run(self, input: dict[str, Any]) -> StoredRun:
        runs = self._context.store.runs
        project = runs.project(input["projectName"], input.get("entityName") or self._context.entity)
        return runs.find(project, input["runName"])


def wanted(input: dict[str, Any]) -> list[str]:
    """The aliases that a request names. Raises ``StoreError`` for one that is none."""
    names = [each["alias"] for each in input.get("aliases") or ()]
    for name in names:
        if NUMBERED.fullmatch(name):
            raise StoreError(f"{name!r} can't be an alias: the server numbers versions v0, v1, … by itself.")
    return names


def time_to_live(asked: int | None) -> int | None:
    return None if asked in (None, INHERIT) else asked
