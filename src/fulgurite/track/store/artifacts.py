"""Artifacts: sets of files that runs make and use, in versions."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fulgurite.track.store.blobs import Blobs
from fulgurite.track.store.catalog import Catalog
from fulgurite.track.store.collections import SEQUENCE, Collection, Collections
from fulgurite.track.store.contents import Contents
from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.lineage import Lineage
from fulgurite.track.store.members import LATEST, Members
from fulgurite.track.store.parts import Parts
from fulgurite.track.store.tags import Tags

PENDING, COMMITTED, DELETED = "PENDING", "COMMITTED", "DELETED"
FIELDS = ("description", "metadata", "ttl")
ABANDONED = 14 * 86_400.0  # seconds after which nobody will go on with an artifact that was never committed


KNOWN_AS = "SELECT artifact_id FROM artifact_known_as WHERE client_id = ?"


@dataclass(slots=True, frozen=True)
class Artifact:
    """An artifact: version ``number`` of the sequence ``collection_id`` once it is committed.

    ``digest`` stands for its files and their names, ``metadata`` is a JSON text, ``ttl`` in seconds as the client has
    it; ``run_id`` made it. Artifacts with one ``shared_id`` are written by several runs together.
    """

    id: int
    collection_id: int
    number: int | None
    state: str
    digest: str
    description: str | None
    metadata: str | None
    ttl: int | None
    history_step: int | None
    run_id: int | None
    client_id: str | None
    shared_id: str | None
    wanted_aliases: list[str]
    manifest: str | None
    size: int
    file_count: int
    created_at: float
    updated_at: float


class Artifacts:
    """All artifacts of a store; what they are made of and where they are is told by its parts."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self.collections = Collections(database)
        self.catalog = Catalog(database)
        self.members = Members(database)
        self.contents = Contents(database, blobs)
        self.parts = Parts(database, blobs, self.contents)
        self.lineage = Lineage(database)
        self.tags = Tags(database, "artifact_tag", "artifact")

    def open(
        self,
        sequence: Collection,
        digest: str,
        run: int | None = None,
        aliases: Iterable[str] = (),
        once: bool = True,
        shared_id: str | None = None,
        **known: Any,
    ) -> Artifact:
        """A new artifact to be filled and committed; or, with ``once``, the committed one that has the same digest.

        That one gets the aliases, and the run as one more that made it. With a ``shared_id`` it is the same artifact
        for all who name that, until it is committed. ``known``: description, metadata, ttl, history_step, client_id.
        """
        assert sequence.kind == SEQUENCE, "artifacts are logged into sequences and linked to portfolios"
        aliases = list(aliases)
        with self._database.writing():
            same = self._shared(sequence, shared_id) if shared_id else self._same(sequence, digest) if once else None
            if same is not None and same.state == COMMITTED:
                self.members.add(sequence, same.id, aliases)
                self.lineage.made(run, same.id)
            if same is not None:
                if known.get("client_id"):
                    self._called(same, known["client_id"])
                return self._wanted(same, aliases)
            now = time.time()
            id = self._database.insert(
                "INSERT INTO artifact (collection_id, state, digest, run_id, shared_id, wanted_aliases, description, "
                "metadata, ttl, history_step, client_id, created_at, updated_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(sequence.id, PENDING, digest, run, shared_id, json.dumps(aliases)),
                    *(known.get(name) for name in (*FIELDS, "history_step", "client_id")),
                    *(now, now),
                ),
            )
            return self.by_id(id)

    def commit(self, artifact: Artifact) -> Artifact:
        """Make what has arrived the next version of its sequence, and point ``latest`` and the wanted aliases at it.

        Committing again changes nothing. Raises ``StoreError`` if something has not arrived.
        """
        if artifact.state == COMMITTED:
            return artifact
        whole = self.contents.whole(artifact.id, artifact.digest)
        with self._database.writing():
            artifact = self.by_id(artifact.id)
            if artifact.state != PENDING:
                return artifact
            self.contents.keep(artifact.id, whole)
            sequence = self.collections.by_id(artifact.collection_id)
            member = self.members.add(sequence, artifact.id, artifact.wanted_aliases)
            self._database.write(
                "UPDATE artifact SET state = ?, number = ?, digest = ?, manifest = ?, size = ?, file_count = ?, "
                "updated_at = ? WHERE id = ?",
                (
                    *(COMMITTED, member.number, whole.digest, whole.manifest.sha256),
                    *(sum(entry.size for entry in whole.entries), len(whole.entries), time.time(), artifact.id),
                ),
            )
            self.lineage.made(artifact.run_id, artifact.id)
            return self.by_id(artifact.id)

    def by_id(self, id: int) -> Artifact:
        return self._one("WHERE id = ?", id)

    def by_client(self, client_id: str) -> Artifact:
        """The artifact that a client called by an id of its own. Raises ``NotFound``."""
        found = self._query("WHERE client_id = ? ORDER BY id DESC", client_id)
        found += self._query(f"WHERE id IN ({KNOWN_AS})", client_id)
        if not found:
            raise NotFound(f"There is no artifact {client_id}.")
        return next((each for each in found if each.state != DELETED), found[0])

    def update(self, artifact: Artifact, **said: Any) -> Artifact:
        """Change what is said of it: description, metadata, ttl."""
        assert said.keys() <= set(FIELDS), f"{sorted(said)} can't all be said of an artifact"
        setting = "".join(f"{name} = ?, " for name in said)
        with self._database.writing():
            self._database.write(
                f"UPDATE artifact SET {setting}updated_at = ? WHERE id = ?", (*said.values(), time.time(), artifact.id)
            )
            return self.by_id(artifact.id)

    def delete(self, artifact: Artifact, with_aliases: bool = False) -> Artifact:
        """Take it out of all collections and let go of its files. Its number is not given out again.

        Raises ``StoreError`` if aliases point at it and shall not be deleted.
        """
        with self._database.writing():
            names = list(dict.fromkeys(alias.name for alias in self.members.aliases(artifact.id)))
            if names and not with_aliases:
                raise StoreError(
                    f"Version v{artifact.number} has aliases: {', '.join(names)}. Take them away first, or delete it "
                    "together with them: delete(delete_aliases=True)."
                )
            for member in self.members.places(artifact.id):
                self.members.remove(member)
            self.contents.forget(artifact.id)
            self._database.write("DELETE FROM artifact_known_as WHERE artifact_id = ?", (artifact.id,))
            self._database.write(
                "UPDATE artifact SET state = ?, manifest = NULL, updated_at = ? WHERE id = ?",
                (DELETED, time.time(), artifact.id),
            )
            return self.by_id(artifact.id)

    def delete_of_run(self, run: int) -> None:
        """Delete what a run has made, also if aliases point at it; not what was there before it."""
        with self._database.writing():
            for artifact in self._query("WHERE run_id = ? AND state != ?", run, DELETED):
                self.delete(artifact, with_aliases=True)

    def delete_collection(self, collection: Collection) -> None:
        """Delete a sequence with all its versions, or a portfolio, but not what was linked to it."""
        with self._database.writing():
            if collection.kind == SEQUENCE:
                for artifact in self._query("WHERE collection_id = ? AND state != ?", collection.id, DELETED):
                    self.delete(artifact, with_aliases=True)
            for member in self.members.of(collection):
                self.members.remove(member)
            self.collections.forget(collection)

    def forget_abandoned(self, older_than: float = ABANDONED) -> int:
        """Let go of what was begun more than ``older_than`` seconds ago and never committed; return how many."""
        left = self._query("WHERE state = ? AND updated_at < ?", PENDING, time.time() - older_than)
        for artifact in left:
            self.delete(artifact)
        self.parts.clean(older_than)
        return len(left)

    def latest(self, sequence: Collection) -> Artifact | None:
        try:
            return self.by_id(self.members.find(sequence, LATEST).artifact_id)
        except NotFound:
            return None

    def _same(self, sequence: Collection, digest: str) -> Artifact | None:
        where = "WHERE collection_id = ? AND digest = ? AND state = ? ORDER BY number DESC"
        found = self._query(where, sequence.id, digest, COMMITTED)
        return found[0] if found else None

    def _shared(self, sequence: Collection, shared_id: str) -> Artifact | None:
        where = "WHERE collection_id = ? AND shared_id = ? AND state = ?"
        found = self._query(where, sequence.id, shared_id, PENDING)
        return found[0] if found else None

    def _wanted(self, artifact: Artifact, aliases: list[str]) -> Artifact:
        """Note that one more writer wants these aliases."""
        self._database.write(
            "UPDATE artifact SET wanted_aliases = ?, updated_at = ? WHERE id = ?",
            (json.dumps(list(dict.fromkeys([*artifact.wanted_aliases, *aliases]))), time.time(), artifact.id),
        )
        return self.by_id(artifact.id)

    def _called(self, artifact: Artifact, client_id: str) -> None:
        """Note an id that a client has for an artifact that it logged again."""
        self._database.write(
            "INSERT INTO artifact_known_as (client_id, artifact_id) VALUES (?, ?) "
            "ON CONFLICT (client_id) DO UPDATE SET artifact_id = excluded.artifact_id",
            (client_id, artifact.id),
        )

    def _one(self, where: str, value: int | str) -> Artifact:
        found = self._query(where, value)
        if not found:
            raise NotFound(f"There is no artifact {value}.")
        return found[0]

    def _query(self, where: str, *values: float | str) -> list[Artifact]:
        rows = (dict(row) for row in self._database.query(f"SELECT artifact.* FROM artifact {where}", values))
        return [Artifact(**{**row, "wanted_aliases": json.loads(row["wanted_aliases"])}) for row in rows]
