"""Artifacts of the real client that have more than two gigabytes in one file."""

import json
import re
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from support.track_server import served

SIZE = 2_200_000_000
MEMORY = 150_000_000  # bytes that the server may need beyond what it has at the start

# The file has holes, so that it costs the disk nothing; what is in it tells its parts apart.
LOG = """
import os, wandb

with open("big.bin", "wb") as file:
    for place in range(0, {size}, 50_000_000):
        file.seek(place)
        file.write(place.to_bytes(8, "little") * 500)
    file.truncate({size})
with wandb.init(project="big", id="b") as run:
    artifact = wandb.Artifact("big", "dataset")
    artifact.add_file("big.bin", policy="immutable", skip_cache=True)
    logged = run.log_artifact(artifact).wait()
    print(logged.size)
"""
DOWNLOAD = """
import hashlib, os, wandb
from pathlib import Path

def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

folder = wandb.Api().artifact("big/big:latest").download("got", skip_cache=True)
print(digest("big.bin") == digest(Path(folder) / "big.bin"))
"""


@pytest.fixture
def folder():
    """One that goes away at once: pytest keeps its own for a while, and these hold gigabytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("in_parts", [True, False], ids=["in-parts", "in-one-piece"])
def test_a_big_file_comes_back_bit_by_bit(folder, in_parts):
    """In parts as the client likes it, and in one piece; the server stays small, and answers others meanwhile."""
    with served(folder, in_parts=in_parts) as server:
        before = peak_memory(reset=True)
        with Waits(server.url) as waits:
            assert server.client(LOG.format(size=SIZE), timeout=420).split() == [str(SIZE)]
            assert server.client(DOWNLOAD, timeout=420).split() == ["True"]
        needed = peak_memory() - before

        kept = [path.stat().st_size for path in (folder / "data" / "blobs").rglob("*") if path.is_file()]
        assert max(kept) == SIZE
        assert [path for name in ("coming", "parts") for path in (folder / "data" / name).glob("*")] == []
    print(f"memory {needed / 1e6:.0f} MB, longest wait {waits.longest:.2f} s")
    assert needed < MEMORY
    assert waits.longest < 5.0


class Waits:
    """Asks a server for a trifle again and again, and knows how long it had to wait at most."""

    def __init__(self, url: str) -> None:
        self._url, self.longest = f"{url}/graphql", 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def _ask(self):
        body = json.dumps({"query": "{ viewer { entity } }"}).encode()
        while not self._stop.wait(0.1):
            asked = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
            start = time.monotonic()
            urllib.request.urlopen(asked, timeout=60).read()
            self.longest = max(self.longest, time.monotonic() - start)


def peak_memory(reset: bool = False) -> int:
    """The most memory (bytes) that this process, in which the server runs, has had since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
