"""The secret that signs addresses and sessions: made once for a store, readable by its owner only."""

import os
import secrets
from pathlib import Path

from fulgurite.base.paths import sync_folder
from fulgurite.track.store.errors import StoreError

SIZE = 32


def secret_of(folder: Path) -> bytes:
    """The secret in ``folder``; it is whole from the moment it is there. Raises ``StoreError`` if it was damaged."""
    path = folder / "secret"
    if not path.exists():
        _make(path)
    secret = path.read_bytes()
    if len(secret) != SIZE:
        raise StoreError(
            f"{path} should hold {SIZE} bytes, but holds {len(secret)}. Delete it: a new one is made at the next "
            "start, and addresses and sessions that were given out before lose their worth."
        )
    return secret


def _make(path: Path) -> None:
    """Write it under another name and give it its own; whoever comes second takes the first one's."""
    draft = path.with_name(f".secret.{secrets.token_hex(8)}.tmp")
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(file.fileno())
        _take_name(draft, path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _take_name(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not path.exists():
            os.replace(draft, path)
