"""One application out of all parts."""

import os
import secrets

from starlette.applications import Starlette

from fulgurite.track.store.store import Store
from fulgurite.track.wire.routes import Wire


def application(store: Store) -> Starlette:
    """The whole server over ``store``."""
    return Starlette(routes=Wire(store, secret_of(store)).routes())


def secret_of(store: Store) -> bytes:
    """The secret that signs addresses: made once for a store, readable by its owner only."""
    path = store.folder / "secret"
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    return path.read_bytes()
