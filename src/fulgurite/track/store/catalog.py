"""What a project's collections hold, counted in one look at the tables."""

from dataclasses import dataclass

from fulgurite.track.store.database import Database
from fulgurite.track.store.runs import Project


@dataclass(slots=True, frozen=True)
class Holding:
    """How many versions a collection has, the number of the last one, and the bytes of all their files together."""

    versions: int
    last: int
    size: int


class Catalog:
    """The collections of a store, from afar."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, project: Project) -> dict[int, Holding]:
        """What each of the project's collections holds, by their row numbers; empty ones are left out."""
        rows = self._database.query(
            "SELECT artifact_member.collection_id, COUNT(*) AS versions, MAX(artifact_member.number) AS last, "
            "SUM(artifact.size) AS size FROM artifact_member "
            "JOIN artifact ON artifact.id = artifact_member.artifact_id "
            "JOIN artifact_collection ON artifact_collection.id = artifact_member.collection_id "
            "WHERE artifact_collection.project_id = ? GROUP BY artifact_member.collection_id",
            (project.id,),
        )
        return {row["collection_id"]: Holding(row["versions"], row["last"], row["size"]) for row in rows}
