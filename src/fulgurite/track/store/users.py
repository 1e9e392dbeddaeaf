"""Who may use a store that others can reach, and with which keys. A key itself is never kept, only its hash."""

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass

from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound, StoreError

ADMIN, WRITER, READER = ROLES = ("admin", "writer", "reader")
NAME = re.compile(r"[\w.@+-]{1,100}")
PREFIX = "fulgurite-"  # the client takes one word before the secret, and at least 40 characters in it


@dataclass(slots=True, frozen=True)
class User:
    """Somebody with a key: an admin manages users, a writer logs and edits, a reader only looks."""

    id: int
    name: str
    role: str
    created_at: float
    revoked_at: float | None = None

    @property
    def may_write(self) -> bool:
        return self.role in (ADMIN, WRITER)

    @property
    def may_manage(self) -> bool:
        return self.role == ADMIN


LOCAL = User(0, "local", ADMIN, 0.0)  # who asks where no keys are demanded


class Users:
    """The users of a store, each with one key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, role: str) -> str:
        """Make a user and return the key, which is shown only now. Raises ``StoreError`` if the name can't be used."""
        if role not in ROLES:
            raise StoreError(f"There is no role {role!r}. There is: {', '.join(ROLES)}.")
        if not NAME.fullmatch(name):
            raise StoreError(f"{name!r} can't be a user's name. Use letters, digits and . _ @ + - (100 at most).")
        key = PREFIX + secrets.token_hex(24)
        with self._database.writing():
            if any(each.name == name for each in self.all()):
                raise StoreError(f"{name!r} has a key already. Revoke it first: fulgurite ui keys revoke {name}")
            self._database.write(
                "INSERT INTO access_key (name, role, hash, created_at) VALUES (?, ?, ?, ?)",
                (name, role, _hash(key), time.time()),
            )
        return key

    def all(self) -> list[User]:
        """The users whose keys are good, in the order in which they came."""
        rows = self._database.query(
            "SELECT id, name, role, created_at, revoked_at FROM access_key WHERE revoked_at IS NULL ORDER BY id"
        )
        return [User(**dict(row)) for row in rows]

    def revoke(self, name: str) -> None:
        """Make the user's key worthless, and every session that was opened with it. Raises ``NotFound``."""
        with self._database.writing():
            done = self._database.write(
                "UPDATE access_key SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL", (time.time(), name)
            )
        if not done.rowcount:
            known = ", ".join(each.name for each in self.all()) or "nobody"
            raise NotFound(f"No user {name!r} has a key. Known: {known}.")

    def with_key(self, key: str) -> User | None:
        """Whose key that is. How long the answer takes tells nothing of the keys that are there."""
        asked, found = _hash(key), None
        for row in self._database.query("SELECT id, hash FROM access_key WHERE revoked_at IS NULL"):
            if hmac.compare_digest(row["hash"], asked):
                found = row["id"]
        return None if found is None else self.by_id(found)

    def by_id(self, id: int) -> User | None:
        """The user with that number, if the key is still good."""
        return next((each for each in self.all() if each.id == id), None)


def _hash(key: str) -> str:
    # The secret is 192 random bits: a slow hash, as for passwords, would add nothing.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
