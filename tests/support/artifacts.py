"""Artifacts put into a store directly, as the wandb client would have."""

import json

from fulgurite.track.store.contents import FULL


def logged(store, project, name, kind, files, run=None, references=(), aliases=(), **known):
    """A new version of an artifact with these files (name: bytes), made by a run."""
    artifacts = store.artifacts
    sequence = artifacts.collections.open(project, name, kind)
    blobs = {each: store.blobs.keep_bytes(content) for each, content in files.items()}
    listed = {each: {"digest": blob.md5, "size": blob.size} for each, blob in blobs.items()}
    listed.update({each: {"digest": ref, "ref": ref, "size": 7} for each, ref in references})
    digest = json.dumps(listed, sort_keys=True)
    artifact = artifacts.open(sequence, digest, run.id if run else None, aliases, **known)
    for each, blob in blobs.items():
        artifacts.contents.take(artifact.id, each, blob)
    manifest = artifacts.contents.expect(artifact.id, FULL, None)
    text = json.dumps({"version": 1, "contents": listed}).encode()
    artifacts.contents.take_manifest(manifest.id, store.blobs.keep_bytes(text))
    return artifacts.commit(artifact)
