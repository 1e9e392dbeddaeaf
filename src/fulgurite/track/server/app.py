"""One application out of all parts."""

import os
import secrets

from starlette.applications import Starlette

from fulgurite.track.store.store import Store
from fulgurite.track.wire.routes import Wire
from fulgurite.track.wire.uploads import LARGEST


def application(store: Store, largest: int = LARGEST, in_parts: bool = True) -> Starlette:
    """The whole server over ``store``. A file that is sent to it may have ``largest`` bytes.

    With ``in_parts=False`` big files come in one piece, for proxies that can't do otherwise.
    """
    return Starlette(routes=Wire(store, secret_of(store), largest, in_parts).routes())


def secret_of(store: Store) -> bytes:
    """The secret that signs addresses: made once for a store, readable by its owner only."""
    path = store.folder / "secret"
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    return path.read_bytes()
