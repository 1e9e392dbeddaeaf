"""Big files that arrive in parts: each part lies in a file of its own until all are there and are put together."""

import base64
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from fulgurite.track.store.blobs import PIECE, Blob, Blobs, Incoming
from fulgurite.track.store.contents import Contents
from fulgurite.track.store.database import Database
from fulgurite.track.store.errors import NotFound, StoreError

LIFE = 2 * 86_400.0  # seconds: addresses of parts are worth nothing after one day


class Parts:
    """Uploads in parts. A part's name is its number and the MD5 of what is in it."""

    def __init__(self, database: Database, blobs: Blobs, contents: Contents) -> None:
        self._database, self._blobs, self._contents = database, blobs, contents
        self._folder = database.folder / "parts"
        self._joining: dict[str, Future[Blob]] = {}
        self._lock = threading.Lock()

    def begin(self, artifact: int, name: str, md5: str) -> str:
        """Expect the parts of an artifact's file, which has that MD5 (base 64) as a whole; return the upload's id."""
        self.clean()
        upload = secrets.token_hex(16)
        with self._database.explained:
            self._place(upload).mkdir(parents=True, mode=0o700)
        with self._database.writing():
            self._database.write(
                "INSERT INTO artifact_parts (id, artifact_id, name, md5, created_at) VALUES (?, ?, ?, ?, ?)",
                (upload, artifact, name, md5, time.time()),
            )
        return upload

    def keep(self, upload: str, number: int, content: Incoming, md5: str | None) -> str:
        """Keep what was written as a part and return its MD5 (hexadecimal). Raises ``StoreError`` if it is another."""
        part = content.done()
        if md5 is not None and part.md5 != md5:
            raise StoreError(f"Part {number} came with MD5 {part.md5}, but {md5} was announced. Send it again.")
        place = self._place(upload)
        if not place.is_dir():
            raise NotFound(f"There is no upload {upload} that part {number} belongs to. Log the artifact again.")
        digest = base64.b64decode(part.md5).hex()
        content.move(place / f"{number}-{digest}")
        return digest

    def size(self, upload: str) -> int:
        """How many bytes of it have arrived."""
        try:
            return sum(part.stat().st_size for part in self._place(upload).iterdir())
        except FileNotFoundError:
            return 0

    def join(self, upload: str, artifact: int, parts: Sequence[tuple[int, str]]) -> Blob:
        """Put the parts, given as (number, MD5 in hexadecimal), together and keep the whole for its artifact.

        Who asks again while that goes on, as a client does that has waited too long, waits for the same.
        Raises ``StoreError`` if a part is missing or the whole is not what was announced.
        """
        with self._lock:
            going_on = self._joining.get(upload)
            if going_on is None:
                mine = self._joining[upload] = Future()
        if going_on is not None:
            return going_on.result()
        try:
            blob = self._joined(upload, artifact, sorted(parts))
            mine.set_result(blob)
            return blob
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._joining[upload]

    def drop(self, upload: str) -> None:
        """Forget an upload and its parts."""
        shutil.rmtree(self._place(upload), ignore_errors=True)

    def clean(self, older_than: float = LIFE) -> None:
        """Forget uploads that were begun more than ``older_than`` seconds ago."""
        moment = time.time() - older_than
        for row in self._database.query("SELECT id FROM artifact_parts WHERE created_at < ?", (moment,)):
            self.drop(row["id"])
        with self._database.writing():
            self._database.write("DELETE FROM artifact_parts WHERE created_at < ?", (moment,))
        for place in self._folder.glob("*"):
            with suppress(OSError):  # another process cleans, too
                if place.stat().st_mtime < moment:
                    shutil.rmtree(place, ignore_errors=True)

    def _joined(self, upload: str, artifact: int, parts: Iterable[tuple[int, str]]) -> Blob:
        row = self._database.first(
            "SELECT name, md5 FROM artifact_parts WHERE id = ? AND artifact_id = ?", (upload, artifact)
        )
        if row is None:
            raise NotFound(f"There is no upload {upload}. Log the artifact again.")
        there = {path.name: path for path in self._place(upload).glob("*")}
        names = [f"{number}-{digest}" for number, digest in parts]
        arrived = self._contents.arrived(artifact).get(row["name"])
        if arrived is not None and arrived.md5 == row["md5"]:  # it was put together, but the answer got lost
            return arrived
        missing = [name.partition("-")[0] for name in names if name not in there]
        if missing:
            raise StoreError(f"{row['name']!r} is not whole: part {', '.join(missing)} has not arrived. Send it again.")
        with self._blobs.incoming() as content:
            for name in names:
                _append(there[name], content)
            blob = self._blobs.keep(content, row["md5"])
        self._contents.take(artifact, row["name"], blob)
        self.drop(upload)
        return blob

    def _place(self, upload: str) -> Path:
        """Where its parts lie. Clients say the id, so that only one that `begin` can have given becomes a path."""
        if not re.fullmatch("[0-9a-f]{32}", upload):
            raise NotFound(f"There is no upload {upload!r}. Log the artifact again.")
        return self._folder / upload


def _append(path: Path, content: Incoming) -> None:
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            content.write(piece)
