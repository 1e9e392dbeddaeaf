"""Bodies as the API tells them, and as the process reads them that the API starts for each."""

import base64

import numpy as np
import pytest

from fulgurite.track.server.solids.__main__ import read


@pytest.fixture
def asked(client, store, run):
    """Logs a file and asks for the body in it, as the pages do."""

    def ask(kind, content, name, **headers):
        content = content if isinstance(content, bytes) else content.encode()
        store.blobs.put(run.id, name, store.blobs.keep_bytes(content))
        return client.get(f"/api/projects/local/p/runs/abc/{kind}", params={"name": name}, headers=headers)

    return ask


@pytest.fixture
def told(tmp_path):
    """What the readers tell of a file; quicker than a process for each."""

    def tell(kind, content, name):
        path = tmp_path / "content"  # without an ending, as in the store
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(kind, path, name.rpartition(".")[2])

    return tell


@pytest.fixture
def numbers():
    """Numbers as they were sent, as an array."""
    return lambda sent: np.frombuffer(base64.b64decode(sent["bdata"]), f"<{sent['dtype']}")
