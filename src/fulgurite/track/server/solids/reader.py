"""Has a body read by another process, which may take only so much memory and time."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from fulgurite.track.server.solids.shapes import LARGEST, MESHES, MOLECULES, Busy, NoSolid
from fulgurite.track.wire.bodies import TooLarge

PATIENCE = 30.0  # seconds
ENDINGS = {"mesh": MESHES, "molecule": MOLECULES}
FAULT = b'{"error":'
MANY = "Others are being read. Ask again later."
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # each more takes address space
_reading = threading.Lock()  # one at a time: some of the largest would leave nothing for other requests
_waiting = threading.BoundedSemaphore(12)  # who waits holds a thread, of which other requests need some


def ending_of(kind: str, name: str) -> str:
    """The ending of a name. Raises ``NoSolid`` where bodies of that ``kind`` aren't read from such files."""
    ending = name.lower().rpartition(".")[2]
    if ending not in ENDINGS[kind]:
        known = ", ".join(f".{each}" for each in ENDINGS[kind])
        raise NoSolid(f"{name[-200:]!r} is not drawn: a {kind} is read from {known}.")
    return ending


def read_solid(kind: str, path: Path, name: str) -> bytes:
    """The ``mesh`` or ``molecule`` in the file at ``path`` as JSON. Raises ``NoSolid``, ``TooLarge`` and ``Busy``."""
    ending, size = ending_of(kind, name), path.stat().st_size
    if size > LARGEST[kind]:
        raise TooLarge(f"It has {size:,} bytes; a {kind} of up to {LARGEST[kind]:,} is drawn.")
    if not _waiting.acquire(blocking=False):
        raise Busy(MANY)
    try:
        if not _reading.acquire(timeout=PATIENCE):
            raise Busy(MANY)
        try:
            return _told(kind, path, ending)
        finally:
            _reading.release()
    finally:
        _waiting.release()


def _told(kind: str, path: Path, ending: str) -> bytes:
    words = [sys.executable, "-P", "-m", "fulgurite.track.server.solids", kind, str(path.absolute()), ending]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, env={**os.environ, **ONE_THREAD}
        )
    except subprocess.TimeoutExpired:
        raise NoSolid(f"Reading it took more than {PATIENCE:.0f} s.") from None
    if done.returncode:
        raise NoSolid(f"Its reader ended: {_reason(done)}.")
    if done.stdout.startswith(FAULT):
        raise NoSolid(json.loads(done.stdout)["error"])
    return done.stdout


def _reason(done: "subprocess.CompletedProcess[bytes]") -> str:
    if done.returncode < 0:
        return f"{signal.Signals(-done.returncode).name}, it took too much time or memory, or the file is damaged"
    return (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["without a word"])[-1][-200:]
