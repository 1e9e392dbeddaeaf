"""Where a logged table lies: in a file of its run, or in the artifact that W&B's client makes of it.

The client writes each table twice. In the run's file a picture is the word "Image"; the one in the artifact
``run-<run>-<key>`` names the pictures, which lie beside it. A row of the history has both, as `path` and as
`artifact_path`.
"""

import re
from dataclasses import dataclass

from fulgurite.track.store.artifacts import COMMITTED, Artifact
from fulgurite.track.store.collections import Collection
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

ADDRESS = re.compile(r"wandb-(client-)?artifact://([^/:]+)(?::[^/]*)?/(.+)", re.DOTALL)


@dataclass(frozen=True)
class InArtifact:
    """A table in version ``artifact.number`` of ``collection``; ``sha256`` is its content's."""

    artifact: Artifact
    collection: Collection
    sha256: str


def in_artifact(store: Store, run: Run, address: str) -> InArtifact | None:
    """What an `artifact_path` names; None where it is not there, not yet, no longer, or in another project."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        return None
    by_client, id, name = found.groups()
    try:
        artifact = store.artifacts.by_client(id) if by_client else store.artifacts.by_id(_number(id))
        collection = store.artifacts.collections.by_id(artifact.collection_id)
    except (NotFound, ValueError, OverflowError):
        return None
    if artifact.state != COMMITTED or collection.project.id != run.project.id:
        return None
    entries = store.artifacts.contents.entries(artifact.id, [name])
    if not entries or entries[0].sha256 is None:
        return None
    return InArtifact(artifact, collection, entries[0].sha256)


def _number(id: str) -> int:
    """The number in a server's id of an artifact: "Artifact:7" in hexadecimal digits."""
    kind, _, number = bytes.fromhex(id).decode().partition(":")
    if kind != "Artifact":
        raise ValueError(f"{id!r} is no id of an artifact.")
    return int(number)
