"""Files: each content once, whole, and never at a place that a name says."""

import base64
import errno
import hashlib
import os
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fulgurite.base import paths
from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.store import Store


def files_in(folder):
    """Every file's path and content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def age(store, seconds):
    """Let all contents have come so long ago."""
    with store.database.writing():
        store.database.write("UPDATE blob SET created_at = created_at - ?", (seconds,))
    for path in (store.folder / "blobs").rglob("*"):
        os.utime(path, (time.time() - seconds,) * 2)


def test_a_content_is_kept_once(store, run, tmp_path):
    """Under as many names as there are, and found by its hashes."""
    (tmp_path / "file").write_bytes(b"weights")
    first, second = store.blobs.keep_bytes(b"weights"), store.blobs.keep_file(tmp_path / "file")
    store.blobs.put(run.id, "a.bin", first)
    store.blobs.put(run.id, "sub/b.bin", second)

    assert first == second == store.blobs.by_md5(md5(b"weights")) == store.blobs.blob(first.sha256)
    assert store.blobs.by_md5(md5(b"weights"), size=6) is None
    assert [file.name for file in store.blobs.files(run.id)] == ["a.bin", "sub/b.bin"]
    assert list(files_in(store.folder / "blobs").values()) == [b"weights"]
    assert files_in(store.folder / "coming") == {}


def test_a_content_that_is_not_what_was_announced_is_refused(store):
    """With both hashes; nothing of it stays."""
    with pytest.raises(StoreError, match="Send them again"), store.blobs.incoming() as content:
        content.write(b"torn")
        store.blobs.keep(content, md5(b"whole"))

    assert files_in(store.folder / "blobs") == files_in(store.folder / "coming") == {}


def test_a_file_that_is_not_there_is_the_callers_error(store, tmp_path):
    """The store is not to blame."""
    with pytest.raises(FileNotFoundError):
        store.blobs.keep_file(tmp_path / "none")

    assert files_in(store.folder / "coming") == {}


def test_a_file_may_be_replaced_and_removed(store, run):
    old, new = store.blobs.keep_bytes(b"old"), store.blobs.keep_bytes(b"new")
    store.blobs.put(run.id, "a", old)
    store.blobs.put(run.id, "a", new)
    assert store.blobs.file(run.id, "a").blob == new

    store.blobs.remove(run.id, "a")

    with pytest.raises(NotFound, match="'a'"):
        store.blobs.file(run.id, "a")


@given(
    st.text(min_size=1) | st.sampled_from(["../../x", "/etc/x", "C:\\x", "a/../../x", "\0", ".", "\udcff", "x" * 5000])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_no_name_leads_out_of_the_folder(store, run, name):
    """A name is kept as text; the disk sees hashes only."""
    before = set(store.folder.parent.rglob("*"))
    store.blobs.put(run.id, name, store.blobs.keep_bytes(b"content"))

    assert store.blobs.file(run.id, name).blob.size == 7
    new = set(store.folder.parent.rglob("*")) - before
    sha256 = hashlib.sha256(b"content").hexdigest()
    assert {path.name for path in new} <= {sha256, sha256[:2]}
    with pytest.raises(NotFound):
        store.blobs.path(name)


def test_what_nobody_refers_to_is_swept(store, run):
    """When it is an hour old; what came again, or is a run's file, stays."""
    used, free, again = (store.blobs.keep_bytes(data) for data in (b"used", b"free", b"again"))
    store.blobs.put(run.id, "a", used)
    assert store.blobs.sweep() == 0
    age(store, 4000)
    store.blobs.keep_bytes(b"again")

    assert store.blobs.sweep() == 1

    assert sorted(files_in(store.folder / "blobs").values()) == [b"again", b"used"]
    assert store.blobs.by_md5(free.md5) is None
    assert store.blobs.blob(again.sha256) == again
    assert store.blobs.keep_bytes(b"free") == free
    assert store.blobs.path(free.sha256).read_bytes() == b"free"


def test_a_file_without_a_row_is_swept(store):
    """It is left where a process was killed between the two."""
    kept = store.blobs.keep_bytes(b"kept")
    with store.database.writing():
        store.database.write("DELETE FROM blob")
    store.blobs.sweep()
    assert store.blobs.path(kept.sha256).exists()

    age(store, 4000)
    store.blobs.sweep()

    assert files_in(store.folder / "blobs") == {}


UPLOAD = """
import sys
from fulgurite.track.store.store import Store
store = Store(sys.argv[1])
with store.blobs.incoming() as content:
    content.write(b"half" * 100_000)
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="asks who holds a lock")
def test_what_a_killed_process_left_is_removed_at_the_next_start(tmp_path):
    """And not what a living one is still writing."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([sys.executable, "-c", UPLOAD, str(tmp_path)], **pipes) for _ in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == "written\n"
    writers[0].kill()
    writers[0].wait()
    Store(tmp_path)
    assert len(files_in(tmp_path / "coming")) == 2  # both were touched just now
    for path in (tmp_path / "coming").iterdir():
        os.utime(path, (time.time() - 100,) * 2)

    Store(tmp_path)

    assert len(files_in(tmp_path / "coming")) == 1
    writers[1].communicate("")
    assert writers[1].returncode == 0
    assert files_in(tmp_path / "coming") == {}


@pytest.mark.skipif(paths.fcntl is None, reason="this system has no such locks")
def test_a_file_system_without_locks_takes_contents(store, monkeypatch):
    """Some network file systems have none."""

    def without(file, what):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(paths.fcntl, "flock", without)

    assert store.blobs.keep_bytes(b"content").size == 7
