"""Words that are stuck to things."""

import time
from collections.abc import Iterable

from fulgurite.track.store.database import Database


class Tags:
    """The tags of one kind of thing: ``table`` has the columns owner_id and name, ``owners`` the column updated_at."""

    def __init__(self, database: Database, table: str, owners: str) -> None:
        self._database, self._table, self._owners = database, table, owners

    def of(self, owner: int) -> list[str]:
        rows = self._database.query(f"SELECT name FROM {self._table} WHERE owner_id = ? ORDER BY name", (owner,))
        return [row["name"] for row in rows]

    def add(self, owner: int, names: Iterable[str]) -> None:
        """Stick tags to a thing; one that it has already stays."""
        with self._database.writing():
            self._database.write_many(
                f"INSERT INTO {self._table} (owner_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [(owner, name) for name in names],
            )
            self._touch(owner)

    def remove(self, owner: int, names: Iterable[str]) -> None:
        """Take tags away; one that it doesn't have is no mistake."""
        with self._database.writing():
            self._database.write_many(
                f"DELETE FROM {self._table} WHERE owner_id = ? AND name = ?", [(owner, name) for name in names]
            )
            self._touch(owner)

    def clear(self, owner: int) -> None:
        with self._database.writing():
            self._database.write(f"DELETE FROM {self._table} WHERE owner_id = ?", (owner,))

    def _touch(self, owner: int) -> None:
        self._database.write(f"UPDATE {self._owners} SET updated_at = ? WHERE id = ?", (time.time(), owner))
