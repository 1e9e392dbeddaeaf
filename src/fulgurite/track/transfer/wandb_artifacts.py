"""Artifacts that a run logged while it was offline: what the client would have sent, taken from where it put it."""

import json
import logging

from fulgurite.track.store.blobs import Blob
from fulgurite.track.store.contents import FULL
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store
from fulgurite.track.wire.offline.manifest import entries_of
from fulgurite.track.wire.offline.records import Artifact, ManifestEntry

log = logging.getLogger("fulgurite.track")


def take_artifact(store: Store, run: Run, recorded: Artifact) -> None:
    """Make it a version of its collection; one with the same digest is there already. Says so if a file is gone.

    The client keeps copies of the files in a folder of its own (``$WANDB_DATA_DIR``), which may have been emptied.
    """
    try:
        entries = list(entries_of(recorded))
        kept = {entry.path: store.blobs.keep_file(entry.local_path) for entry in entries if not entry.reference}
    except OSError as error:
        log.warning("Artifact %s of run %s is left out, for a file of it is gone: %s", recorded.name, run.name, error)
        return
    artifacts = store.artifacts
    with store.database.writing():
        sequence = artifacts.collections.open(run.project, recorded.name, recorded.type)
        artifact = artifacts.open(
            sequence,
            recorded.digest,
            run.id,
            recorded.aliases,
            description=recorded.description or None,
            metadata=json.dumps(recorded.metadata),
            client_id=recorded.client_id or None,
        )
        if artifact.number is None:
            manifest = artifacts.contents.expect(artifact.id, FULL, None)
            artifacts.contents.take_manifest(manifest.id, _manifest(store, recorded, entries))
            for name, blob in kept.items():
                artifacts.contents.take(artifact.id, name, blob)
            artifacts.commit(artifact)
        if recorded.tags:
            artifacts.tags.add(artifact.id, recorded.tags)


def _manifest(store: Store, recorded: Artifact, entries: list[ManifestEntry]) -> Blob:
    """The list of files as the client writes it when it is online."""
    listed = {
        "version": 1,
        "storagePolicy": recorded.storage.get("policy") or "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": {entry.path: _listed(entry) for entry in entries},
    }
    return store.blobs.keep_bytes(json.dumps(listed).encode())


def _listed(entry: ManifestEntry) -> dict[str, object]:
    about: dict[str, object] = {"digest": entry.digest, "size": entry.size}
    if entry.reference:
        about["ref"] = entry.reference
    if entry.extra:
        about["extra"] = entry.extra
    return about
