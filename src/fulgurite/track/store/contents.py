"""What is in an artifact: the files that arrive for it, its manifests, and the entries that come of both."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fulgurite.track.store.blobs import Blob, Blobs
from fulgurite.track.store.collections import Collection
from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound, StoreError

FULL, PATCH, INCREMENTAL = "FULL", "PATCH", "INCREMENTAL"
TOLD = 3  # names in a message


@dataclass(slots=True, frozen=True)
class Entry:
    """A file of an artifact; or a reference, which has an address (``ref``) and no content here."""

    name: str
    digest: str
    size: int
    ref: str | None
    sha256: str | None


@dataclass(slots=True, frozen=True)
class Manifest:
    """A list of files: all of them, or what one writer adds to others' (``kind``). ``sha256`` once it has arrived."""

    id: int
    artifact_id: int
    kind: str
    base_id: int | None
    sha256: str | None


@dataclass(slots=True, frozen=True)
class Whole:
    """What an artifact's manifests come to."""

    manifest: Blob
    digest: str
    entries: list[Entry]


class Contents:
    """The contents of all artifacts of a store."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database, self._blobs = database, blobs

    def expect(self, artifact: int, kind: str, base: int | None) -> Manifest:
        """Announce a manifest. A full one is announced twice by the client: it is the same."""
        with self._database.writing():
            same = [each for each in self.manifests(artifact) if each.kind == kind == FULL]
            if same:
                return same[0]
            id = self._database.insert(
                "INSERT INTO artifact_manifest (artifact_id, kind, base_id) VALUES (?, ?, ?)",
                (artifact, kind, base),
            )
            return self.manifest(id)

    def manifest(self, id: int) -> Manifest:
        row = self._database.first("SELECT * FROM artifact_manifest WHERE id = ?", (id,))
        if row is None:
            raise NotFound(f"There is no manifest with the number {id}.")
        return Manifest(**dict(row))

    def manifests(self, artifact: int) -> list[Manifest]:
        rows = self._database.query("SELECT * FROM artifact_manifest WHERE artifact_id = ? ORDER BY id", (artifact,))
        return [Manifest(**dict(row)) for row in rows]

    def take_manifest(self, id: int, blob: Blob) -> None:
        """Keep the list that was announced under that number. Raises ``NotFound`` if nothing waits for it."""
        with self._database.writing():
            self._blobs.blob(blob.sha256)
            self.manifest(id)
            self._database.write("UPDATE artifact_manifest SET sha256 = ? WHERE id = ?", (blob.sha256, id))

    def take(self, artifact: int, name: str, blob: Blob) -> None:
        """Keep a content for an artifact that is being written. Raises ``NotFound`` if either is gone."""
        with self._database.writing():
            self._blobs.blob(blob.sha256)
            if self._database.first("SELECT id FROM artifact WHERE id = ? AND state = 'PENDING'", (artifact,)) is None:
                raise NotFound(f"The artifact that {name!r} was sent for is no longer being written.")
            self._database.write(
                "INSERT INTO artifact_upload (artifact_id, name, sha256) VALUES (?, ?, ?) "
                "ON CONFLICT (artifact_id, name) DO UPDATE SET sha256 = excluded.sha256",
                (artifact, name, blob.sha256),
            )

    def take_known(self, artifact: int, name: str, md5: str) -> bool:
        """Keep a content that is here already for an artifact; whether there was one with that MD5."""
        with self._database.writing():
            known = self._blobs.by_md5(md5)
            if known is not None:
                self.take(artifact, name, known)
        return known is not None

    def arrived(self, artifact: int) -> dict[str, Blob]:
        """What has come for an artifact that is being written, by name."""
        rows = self._database.query(
            "SELECT artifact_upload.name, blob.sha256, blob.md5, blob.size FROM artifact_upload "
            "JOIN blob ON blob.sha256 = artifact_upload.sha256 WHERE artifact_id = ?",
            (artifact,),
        )
        return {row["name"]: Blob(row["sha256"], row["md5"], row["size"]) for row in rows}

    def whole(self, artifact: int, digest: str) -> Whole:
        """What the artifact's manifests come to. Raises ``StoreError`` if one or a file has not arrived."""
        manifests = self.manifests(artifact)
        if not manifests or any(each.sha256 is None for each in manifests):
            raise StoreError("The artifact's list of files has not arrived whole. Log the artifact again.")
        full = [each for each in manifests if each.kind == FULL]
        if full:
            assert full[-1].sha256 is not None, "it was looked for above"
            blob = self._blobs.blob(full[-1].sha256)
            return Whole(blob, digest, self._entries(artifact, self._listed(blob.sha256)))
        merged = self._merged(manifests)
        return Whole(
            self._blobs.keep_bytes(json.dumps(merged, separators=(",", ":")).encode()),
            digest_of(merged["contents"]),
            self._entries(artifact, merged),
        )

    def keep(self, artifact: int, whole: Whole) -> None:
        """Make it the artifact's content for good."""
        with self._database.writing():
            for sha256 in {whole.manifest.sha256, *(entry.sha256 for entry in whole.entries if entry.sha256)}:
                self._blobs.blob(sha256)
            self._database.write_many(
                "INSERT INTO artifact_entry (artifact_id, name, digest, size, ref, sha256) VALUES (?, ?, ?, ?, ?, ?)",
                [(artifact, each.name, each.digest, each.size, each.ref, each.sha256) for each in whole.entries],
            )
            self._clear(artifact, "artifact_manifest", "artifact_upload", "artifact_parts")

    def entries(
        self, artifact: int, names: Sequence[str] | None = None, start: int = 0, count: int = -1
    ) -> list[Entry]:
        """The artifact's files by name: those named, or ``count`` of them from the one at ``start`` on."""
        if names is not None:
            found = (self._files(artifact, "AND name = ?", name) for name in names)
            return [entry for entries in found for entry in entries]
        return self._files(artifact, "ORDER BY name LIMIT ? OFFSET ?", (1 << 62) if count < 0 else count, start)

    def by_md5(self, collection: Collection, md5: str) -> Blob:
        """A content with that MD5 (base 64) that a version in the collection has. Raises ``NotFound``."""
        row = self._database.first(
            "SELECT blob.sha256, blob.md5, blob.size FROM blob "
            "JOIN artifact_entry ON artifact_entry.sha256 = blob.sha256 "
            "JOIN artifact_member ON artifact_member.artifact_id = artifact_entry.artifact_id "
            "WHERE blob.md5 = ? AND artifact_member.collection_id = ?",
            (md5, collection.id),
        )
        if row is None:
            raise NotFound(f"No version of {collection.name} has a file with the MD5 {md5}.")
        return Blob(**dict(row))

    def forget(self, artifact: int) -> None:
        """Let go of all of an artifact's contents; the next sweep takes those that nobody else has."""
        with self._database.writing():
            self._clear(artifact, "artifact_entry", "artifact_manifest", "artifact_upload", "artifact_parts")

    def _clear(self, artifact: int, *tables: str) -> None:
        for table in tables:
            self._database.write(f"DELETE FROM {table} WHERE artifact_id = ?", (artifact,))

    def _files(self, artifact: int, where: str, *values: int | str) -> list[Entry]:
        rows = self._database.query(
            f"SELECT name, digest, size, ref, sha256 FROM artifact_entry WHERE artifact_id = ? {where}",
            (artifact, *values),
        )
        return [Entry(**dict(row)) for row in rows]

    def _listed(self, sha256: str) -> dict[str, Any]:
        listed = json.loads(self._blobs.path(sha256).read_bytes())
        if not isinstance(listed, dict) or not isinstance(listed.get("contents"), dict):
            raise StoreError("The artifact's list of files can't be read: it has no object named 'contents'.")
        return listed

    def _merged(self, manifests: Iterable[Manifest]) -> dict[str, Any]:
        """What several writers, or one on top of a version that is there, have listed; the later wins."""
        merged: dict[str, Any] = {}
        contents: dict[str, Any] = {}
        for each in manifests:
            if each.kind == INCREMENTAL and each.base_id is not None and not contents:
                base = self._database.first("SELECT manifest FROM artifact WHERE id = ?", (each.base_id,))
                contents.update(self._listed(base["manifest"])["contents"] if base and base["manifest"] else {})
            assert each.sha256 is not None, "whole() has looked"
            merged = self._listed(each.sha256)
            contents.update(merged["contents"])
        return {**merged, "contents": contents}

    def _entries(self, artifact: int, listed: Mapping[str, Any]) -> list[Entry]:
        arrived = self.arrived(artifact)
        entries = [self._entry(name, about, arrived.get(name)) for name, about in listed["contents"].items()]
        missing = [entry.name for entry in entries if entry.ref is None and entry.sha256 is None]
        if missing:
            raise StoreError(
                f"{len(missing)} of the artifact's {len(entries)} files have not arrived: "
                f"{', '.join(missing[:TOLD])}{', …' if len(missing) > TOLD else ''}. Log the artifact again."
            )
        return entries

    def _entry(self, name: str, about: Mapping[str, Any], arrived: Blob | None) -> Entry:
        ref, digest, size = about.get("ref"), about["digest"], about.get("size")
        if ref is not None:
            return Entry(name, digest, size or 0, ref, None)
        blob = arrived if arrived is not None and arrived.md5 == digest else self._blobs.by_md5(digest)
        return Entry(name, digest, blob.size if blob else 0, None, blob.sha256 if blob else None)


def digest_of(contents: Mapping[str, Any]) -> str:
    """W&B's digest of a list of files: which names have which digests."""
    md5 = hashlib.md5(b"wandb-artifact-manifest-v1\n", usedforsecurity=False)
    for name in sorted(contents):
        md5.update(f"{name}:{contents[name]['digest']}\n".encode())
    return md5.hexdigest()
