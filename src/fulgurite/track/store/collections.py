"""Named series of artifacts: sequences, into which versions are logged, and portfolios, to which they are linked."""

import time
from dataclasses import dataclass
from typing import Any

from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.runs import Project
from fulgurite.track.store.tags import Tags

SEQUENCE, PORTFOLIO = "sequence", "portfolio"


@dataclass(slots=True, frozen=True)
class Type:
    """What kind of artifacts a project has, such as "model": a word of its users."""

    id: int
    name: str
    created_at: float


@dataclass(slots=True, frozen=True)
class Collection:
    """A series of artifacts of one ``type``; its name is unique in its project. ``kind``: a sequence or a portfolio."""

    id: int
    project: Project
    type: str
    name: str
    kind: str
    description: str | None
    next_number: int
    created_at: float
    updated_at: float


COLLECTIONS = """
SELECT artifact_collection.*, artifact_type.name AS type, project.entity, project.name AS project_name,
    project.description AS project_description, project.created_at AS project_created_at
FROM artifact_collection
JOIN artifact_type ON artifact_type.id = artifact_collection.type_id
JOIN project ON project.id = artifact_collection.project_id
"""


class Collections:
    """All collections of a store, and the types of what is in them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.tags = Tags(database, "artifact_collection_tag", "artifact_collection")

    def types(self, project: Project) -> list[Type]:
        """The types that a project's artifacts have, by name."""
        rows = self._database.query(
            "SELECT id, name, created_at FROM artifact_type WHERE project_id = ? ORDER BY name", (project.id,)
        )
        return [Type(**dict(row)) for row in rows]

    def find(self, project: Project, name: str) -> Collection:
        """The collection of that name. Raises ``NotFound``."""
        row = self._database.first(
            f"{COLLECTIONS} WHERE artifact_collection.project_id = ? AND artifact_collection.name = ?",
            (project.id, name),
        )
        if row is None:
            raise NotFound(f"There is no artifact {name!r} in {project.entity}/{project.name}.")
        return _collection(row)

    def by_id(self, id: int) -> Collection:
        row = self._database.first(f"{COLLECTIONS} WHERE artifact_collection.id = ?", (id,))
        if row is None:
            raise NotFound(f"There is no collection with the number {id}.")
        return _collection(row)

    def of(self, project: Project, type: str | None = None) -> list[Collection]:
        """The project's collections, the newest first; all of them, or those of one type."""
        rows = self._database.query(
            f"{COLLECTIONS} WHERE artifact_collection.project_id = ? AND (? IS NULL OR artifact_type.name = ?) "
            "ORDER BY artifact_collection.id DESC",
            (project.id, type, type),
        )
        return [_collection(row) for row in rows]

    def open(self, project: Project, name: str, type: str, kind: str = SEQUENCE) -> Collection:
        """The collection of that name, made if it is not there. Raises ``StoreError`` if it is one of another sort."""
        with self._database.writing():
            try:
                found = self.find(project, name)
            except NotFound:
                found = self._make(project, name, type, kind)
        if (found.type, found.kind) != (type, kind):
            raise StoreError(
                f"{project.entity}/{project.name}/{name} is a {found.kind} of type {found.type!r}, but a {kind} "
                f"of type {type!r} was asked for. Use another name."
            )
        return found

    def _make(self, project: Project, name: str, type: str, kind: str) -> Collection:
        now = time.time()
        self._database.write(
            "INSERT INTO artifact_collection (project_id, type_id, name, kind, created_at, updated_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (project.id, self._type(project, type), name, kind, now, now),
        )
        return self.find(project, name)

    def _type(self, project: Project, name: str) -> int:
        """The row of a type, made if it is not there."""
        self._database.write(
            "INSERT INTO artifact_type (project_id, name, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (project.id, name, time.time()),
        )
        return next(type.id for type in self.types(project) if type.name == name)

    def describe(self, collection: Collection, name: str | None = None, description: str | None = None) -> Collection:
        """Give it another name or description; what is None stays. Raises ``StoreError`` if the name is taken."""
        name = name or collection.name
        with self._database.writing():
            if name != collection.name and any(each.name == name for each in self.of(collection.project)):
                raise StoreError(
                    f"There is already a collection {name!r} in {collection.project.name}. Use another name."
                )
            self._database.write(
                "UPDATE artifact_collection SET name = ?, description = ?, updated_at = ? WHERE id = ?",
                (name, collection.description if description is None else description, time.time(), collection.id),
            )
            return self.by_id(collection.id)

    def retype(self, collection: Collection, type: str) -> Collection:
        """Say that what is in it is of another type."""
        with self._database.writing():
            self._database.write(
                "UPDATE artifact_collection SET type_id = ?, updated_at = ? WHERE id = ?",
                (self._type(collection.project, type), time.time(), collection.id),
            )
            return self.by_id(collection.id)

    def forget(self, collection: Collection) -> None:
        """Take an empty collection out of the tables."""
        with self._database.writing():
            self.tags.clear(collection.id)
            self._database.write("DELETE FROM artifact_collection WHERE id = ?", (collection.id,))


def _collection(row: Any) -> Collection:
    fields = dict(row)
    project = Project(
        id=fields.pop("project_id"),
        entity=fields.pop("entity"),
        name=fields.pop("project_name"),
        description=fields.pop("project_description"),
        created_at=fields.pop("project_created_at"),
    )
    del fields["type_id"]
    return Collection(project=project, **fields)
