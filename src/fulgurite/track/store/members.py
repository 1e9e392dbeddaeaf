"""Which artifacts are in which collection: under which number, and which aliases point at them there."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from fulgurite.track.store.collections import Collection
from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound, StoreError

LATEST = "latest"
NUMBERED = re.compile(r"v(\d+)")


@dataclass(slots=True, frozen=True)
class Member:
    """An artifact's place in a collection: ``number`` 3 is what users call v3."""

    id: int
    collection_id: int
    artifact_id: int
    number: int
    created_at: float


@dataclass(slots=True, frozen=True)
class Alias:
    """A name that points at one artifact of a collection."""

    id: int
    collection_id: int
    name: str
    artifact_id: int


class Members:
    """What is in the collections of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, collection: Collection) -> list[Member]:
        """What is in a collection, the highest number first."""
        return self._query("WHERE collection_id = ? ORDER BY number DESC", collection.id)

    def places(self, artifact: int) -> list[Member]:
        """Where an artifact is: in its own sequence first, then in portfolios."""
        return self._query("WHERE artifact_id = ? ORDER BY id", artifact)

    def by_id(self, id: int) -> Member:
        return self._one(self._query("WHERE id = ?", id), f"the number {id}")

    def find(self, collection: Collection, name: str = LATEST) -> Member:
        """The member that an alias, ``v3`` or a digest names. Raises ``NotFound``."""
        if found := self._query(
            "WHERE collection_id = ? AND artifact_id IN "
            "(SELECT artifact_id FROM artifact_alias WHERE collection_id = ? AND name = ?)",
            *(collection.id, collection.id, name),
        ):
            return found[0]
        numbered = NUMBERED.fullmatch(name)
        if numbered:
            found = self._query("WHERE collection_id = ? AND number = ?", collection.id, int(numbered[1]))
        else:
            found = self._query(
                "WHERE collection_id = ? AND artifact_id IN (SELECT id FROM artifact WHERE digest = ?) "
                "ORDER BY number DESC",
                *(collection.id, name),
            )
        return self._one(found, f"{collection.name}:{name}")

    def add(self, collection: Collection, artifact: int, aliases: Iterable[str]) -> Member:
        """Put an artifact into a collection under the next number, and point ``latest`` and the aliases at it.

        One that is there already keeps its number.
        """
        with self._database.writing():
            found = self._query("WHERE collection_id = ? AND artifact_id = ?", collection.id, artifact)
            if not found:
                self._database.write(
                    "INSERT INTO artifact_member (collection_id, artifact_id, number, created_at) "
                    "SELECT id, ?, next_number, ? FROM artifact_collection WHERE id = ?",
                    (artifact, time.time(), collection.id),
                )
                self._database.write(
                    "UPDATE artifact_collection SET next_number = next_number + 1, updated_at = ? WHERE id = ?",
                    (time.time(), collection.id),
                )
                found = self._query("WHERE collection_id = ? AND artifact_id = ?", collection.id, artifact)
            self.point(collection, artifact, [LATEST, *aliases])
        return found[0]

    def remove(self, member: Member) -> None:
        """Take it out of the collection, with the aliases; ``latest`` goes to the highest number that is left."""
        with self._database.writing():
            names = [alias.name for alias in self.aliases(member.artifact_id, member.collection_id)]
            self.unpoint(member.collection_id, member.artifact_id, names)
            self._database.write("DELETE FROM artifact_member WHERE id = ?", (member.id,))
            left = self._query("WHERE collection_id = ? ORDER BY number DESC LIMIT 1", member.collection_id)
            if LATEST in names and left:
                self._point(member.collection_id, left[0].artifact_id, [LATEST])

    def aliases(self, artifact: int, collection: int | None = None) -> list[Alias]:
        """The aliases of an artifact, in all collections or in one."""
        rows = self._database.query(
            "SELECT id, collection_id, name, artifact_id FROM artifact_alias WHERE artifact_id = ? "
            "AND (? IS NULL OR collection_id = ?) ORDER BY id",
            (artifact, collection, collection),
        )
        return [Alias(**dict(row)) for row in rows]

    def aliases_in(self, collection: Collection) -> list[Alias]:
        rows = self._database.query(
            "SELECT id, collection_id, name, artifact_id FROM artifact_alias WHERE collection_id = ? ORDER BY id",
            (collection.id,),
        )
        return [Alias(**dict(row)) for row in rows]

    def point(self, collection: Collection, artifact: int, names: Iterable[str]) -> None:
        """Make aliases point at an artifact of the collection, wherever they pointed before."""
        names = list(dict.fromkeys(names))
        if wrong := [name for name in names if NUMBERED.fullmatch(name) or not name or set(name) & set("/:")]:
            raise StoreError(f"{wrong[0]!r} can't be an alias: v0, v1, … are versions, and / and : divide names.")
        if not self._query("WHERE collection_id = ? AND artifact_id = ?", collection.id, artifact):
            raise NotFound(f"The artifact is not in {collection.name}, so that no alias there can point at it.")
        with self._database.writing():
            self._point(collection.id, artifact, names)

    def unpoint(self, collection: int, artifact: int, names: Iterable[str]) -> None:
        """Take aliases away from an artifact; those that point elsewhere stay."""
        with self._database.writing():
            self._database.write_many(
                "DELETE FROM artifact_alias WHERE collection_id = ? AND artifact_id = ? AND name = ?",
                [(collection, artifact, name) for name in names],
            )

    def _point(self, collection: int, artifact: int, names: Iterable[str]) -> None:
        self._database.write_many(
            "INSERT INTO artifact_alias (collection_id, name, artifact_id) VALUES (?, ?, ?) "
            "ON CONFLICT (collection_id, name) DO UPDATE SET artifact_id = excluded.artifact_id",
            [(collection, name, artifact) for name in names],
        )

    def _query(self, where: str, *values: int | str) -> list[Member]:
        rows = self._database.query(
            f"SELECT id, collection_id, artifact_id, number, created_at FROM artifact_member {where}", values
        )
        return [Member(**dict(row)) for row in rows]

    @staticmethod
    def _one(found: list[Member], name: str) -> Member:
        if not found:
            raise NotFound(f"There is no artifact {name}.")
        return found[0]
