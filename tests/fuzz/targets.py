"""What reads bytes of others, each as a function of the bytes: it returns, or raises an error of the project's.

Anything else that comes out is a defect, and so is code that runs. The tests here call them with drawn bytes, and
``explore.py`` with bytes that it finds by looking at which lines they reach.
"""

import io
import json
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fulgurite.base.errors import CheckpointError, DataError

#: What a file that is only read has no business to ask the system for.
FORBIDDEN = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "ftplib.", "urllib.", "webbrowser.", "winreg.")
ALLOWED = {"os.listdir", "os.scandir", "os.putenv", "os.unsetenv", "os.remove"}
_ran: list[str] = []
_watched = False


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _watched and event.startswith(FORBIDDEN) and event not in ALLOWED:
        _ran.append(f"{event}{arguments!r}")


@contextmanager
def nothing_runs() -> Iterator[None]:
    """Fail if the block starts a process, opens a connection or changes folders and files."""
    global _watched
    if not getattr(sys, "_audited_by_targets", False):
        sys.addaudithook(_note)
        sys._audited_by_targets = True  # type: ignore[attr-defined]  # a hook stays for good: one is enough
    _ran.clear()
    _watched = True
    try:
        yield
    finally:
        _watched = False
    assert not _ran, f"the file made these calls: {_ran}"


def archive(pickled: bytes, **more: bytes) -> bytes:
    """A file as `torch.save` writes it, around any pickle; its sums are right."""
    records = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n", **more}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as whole:
        for name, data in records.items():
            whole.writestr(zipfile.ZipInfo(f"archive/{name}"), data)
    return file.getvalue()


def checkpoint(data: bytes) -> None:
    """A checkpoint file that is these bytes."""
    from fulgurite.base.format import read

    with nothing_runs():
        try:
            read(io.BytesIO(data))
        except CheckpointError as error:
            assert str(error)


def pickled(data: bytes) -> None:
    """A sound archive around a pickle that is these bytes."""
    checkpoint(archive(data, **{"data/0": bytes(8)}))


def rows(data: bytes) -> None:
    """A CSV file."""
    from fulgurite.anomaly.reading import read

    try:
        read(io.BytesIO(data))
    except DataError as error:
        assert str(error)


def records(data: bytes) -> None:
    """The record of an offline W&B run: as a file, and as the content of one sound record."""
    from fulgurite.track.wire.offline.recordlog import RecordLog
    from fulgurite.track.wire.offline.records import decode
    from support.record_log import log_of

    with tempfile.TemporaryDirectory() as folder:
        for content in (data, log_of([data]), log_of([])[:7] + data):
            path = Path(folder, "run-x.wandb")
            path.write_bytes(content)
            try:
                for record in RecordLog(path).read():
                    _decode(decode, record)
            except DataError as error:
                assert str(error)


def _decode(decode: Callable[[bytes], object], record: bytes) -> None:
    try:
        repr(decode(record))
    except ValueError:
        pass  # counted as damage by whoever reads the run


def document(data: bytes) -> None:
    """A GraphQL document and its variables, asked of an empty store."""
    from fulgurite.track.wire.graphql import as_json, execute
    from fulgurite.track.wire.schema.roots import describe, roots

    size = struct.unpack("<H", data[:2])[0] if len(data) >= 2 else 0
    text, rest = data[2 : 2 + size].decode("utf-8", "replace"), data[2 + size :].decode("utf-8", "replace")
    try:
        variables = json.loads(rest)
    except (ValueError, RecursionError):
        variables = None
    begin = roots(_context())
    answer = execute(text, variables if isinstance(variables, dict) else None, None, begin, describe)
    assert "data" in json.loads(as_json(answer))
    for error in answer.get("errors", ()):
        assert not error["message"].startswith(FAULTS), (text, error)


#: Python's own errors in an answer: a mistake of ours, not of whoever asks.
FAULTS = ("AttributeError", "KeyError", "TypeError", "IndexError", "AssertionError", "UnboundLocal", "RecursionError")
_contexts: list[object] = []


def _context() -> object:
    from fulgurite.track.store.store import Store
    from fulgurite.track.wire.addresses import Addresses
    from fulgurite.track.wire.schema.context import Context
    from fulgurite.track.wire.schema.roots import TYPES

    if not _contexts:
        store = Store(Path(tempfile.mkdtemp(prefix="fuzz-store-")))
        _contexts.append(Context(store, Addresses(b"s" * 32, "http://127.0.0.1/"), TYPES))
    return _contexts[0]


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (checkpoint, pickled, rows, records, document)
}
