"""Transactions, what goes wrong in them, and who may share a folder."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fulgurite.track.store import database as database_module
from fulgurite.track.store.database import Database, is_network_folder
from fulgurite.track.store.errors import NotFound, StoreCorrupt, StoreError, StoreFull, StoreLocked
from fulgurite.track.store.schema import STEPS
from fulgurite.track.store.store import Store

ADD = "INSERT INTO project (entity, name, created_at) VALUES ('local', ?, 0)"


@pytest.fixture
def database(store):
    return store.database


def names(database):
    return [row["name"] for row in database.query("SELECT name FROM project ORDER BY name")]


def test_a_block_that_fails_leaves_nothing(database):
    with pytest.raises(KeyError), database.writing():
        database.write(ADD, ("a",))
        raise KeyError

    assert names(database) == []


def test_an_inner_block_that_fails_takes_back_its_own_part(database):
    """Who catches its error keeps the rest."""
    with database.writing():
        database.write(ADD, ("before",))
        with pytest.raises(KeyError), database.writing():
            database.write(ADD, ("inside",))
            raise KeyError
        database.write(ADD, ("after",))

    assert names(database) == ["after", "before"]


def test_a_commit_that_fails_is_an_error_and_leaves_nothing(database):
    """The next block is a transaction of its own, not the rest of the failed one."""
    with pytest.raises(NotFound, match="no longer what this belongs to"), database.writing():
        database.query("PRAGMA defer_foreign_keys = ON")
        database.write(ADD, ("a",))
        database.write("INSERT INTO run (project_id, name, source, created_at, seen_at) VALUES (77, 'x', 'y', 0, 0)")

    with database.writing():
        database.write(ADD, ("b",))

    assert names(Database(database.folder)) == ["b"]


def test_statements_outside_a_block_are_our_own_mistake(database):
    with pytest.raises(AssertionError, match="writing"):
        database.write(ADD, ("a",))
    with pytest.raises(AssertionError, match="reading"), database.reading(), database.writing():
        pass

    assert names(database) == []


def test_a_reader_sees_one_moment(database):
    """Whatever another thread commits meanwhile."""
    with database.reading():
        before = names(database)
        other = threading.Thread(target=lambda: put(database, "a"))
        other.start()
        other.join()
        assert names(database) == before == []

    assert names(database) == ["a"]


def put(database, name):
    with database.writing():
        database.write(ADD, (name,))


def test_a_full_disk_is_told_and_writing_goes_on_when_there_is_room(database):
    """What was acknowledged before is there; of what failed, nothing is."""
    put(database, "kept")
    (pages,) = database.first("PRAGMA page_count")
    database.query(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(StoreFull, match=f"{database.folder}.*Make room"):
        put(database, "x" * 100_000)
    database.query("PRAGMA max_page_count = 100000")
    put(database, "later")

    assert names(Database(database.folder)) == ["kept", "later"]


def test_nothing_is_written_after_a_full_disk_ended_the_transaction(database):
    """Also if somebody catches the error inside the block and goes on."""
    (pages,) = database.first("PRAGMA page_count")
    database.query(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(StoreError), database.writing():
        database.write(ADD, ("first",))
        with pytest.raises(StoreFull):
            put(database, "x" * 100_000)
        database.query("PRAGMA max_page_count = 100000")
        database.write(ADD, ("second",))

    assert names(database) in ([], ["first", "second"])


def test_a_store_that_another_process_keeps_locked_is_told(tmp_path):
    """After as long as we were told to wait."""
    store = Store(tmp_path, patience=0.05)
    other = sqlite3.connect(tmp_path / "fulgurite.db")
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreLocked, match=f"{tmp_path}.*Try again"):
        store.runs.project("p", create=True)
    other.close()

    assert store.runs.project("p", create=True).name == "p"


def test_a_damaged_file_is_told(tmp_path):
    """At opening and at reading, with the way to get out what can be read."""
    (tmp_path / "fulgurite.db").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StoreCorrupt, match="damaged.*recover"):
        Store(tmp_path)

    store = Store(tmp_path / "other")
    put(store.database, "x" * 1_000_000)
    store.close()
    with open(tmp_path / "other" / "fulgurite.db", "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (os.path.getsize(file.name) - 4096))
    with pytest.raises(StoreCorrupt, match="damaged"):
        Store(tmp_path / "other").runs.projects()


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="can't be opened.*FULGURITE_DIR"):
        Store(tmp_path / "file")


def test_a_closed_store_says_so(store):
    store.close()

    with pytest.raises(StoreError, match="is closed"):
        store.runs.projects()


def test_halves_of_characters_are_written_out(database):
    """No text in a database can hold them: they come from names of files that are no UTF-8."""
    put(database, "a\udcff")
    with database.writing():
        database.write_many(ADD, [("b\udcff",)])

    assert names(database) == ["a\\udcff", "b\\udcff"]
    assert database.first("SELECT name FROM project WHERE name = ?", ("a\udcff",)) is not None


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
def test_threads_that_are_gone_keep_no_file_open(database):
    """A server's threads come and go."""
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        thread = threading.Thread(target=put, args=(database, str(number)))
        thread.start()
        thread.join()

    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert len(names(database)) == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_both_sides_of_a_fork_may_write(database):
    """Even while another thread is writing: workers of a loader are made at any moment."""
    done = threading.Event()
    written = []

    def write():
        while not done.is_set():
            put(database, f"thread {len(written)}")
            written.append(None)
            time.sleep(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    children = [fork(database, number) for number in range(5)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 5
    done.set()
    thread.join()
    put(database, "parent")

    found = names(Database(database.folder))
    assert found[:6] == [f"child {number}" for number in range(5)] + ["parent"]
    assert len(found) == 6 + len(written)


def fork(database, number):
    """A process that writes once; it ends by itself."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        code = 1
        try:
            put(database, f"child {number}")
            code = 0
        finally:
            os._exit(code)
    return child


OPEN = """
import sys
from fulgurite.track.store.store import Store
sys.stdin.readline()
store = Store(sys.argv[1])
run, _ = store.runs.open(store.runs.project("p", create=True), sys.argv[2])
for step in range(40):
    store.history.append(run.id, [(step, {"y": float(step)})])
"""


def test_many_processes_open_a_new_folder_at_once(tmp_path):
    """One of them makes the tables, and all of them write."""
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(tmp_path / "new"), str(number)], stdin=subprocess.PIPE)
        for number in range(6)
    ]
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.close()

    assert [process.wait(100) for process in processes] == [0] * 6
    store = Store(tmp_path / "new")
    runs = store.runs.all(store.runs.project("p"))
    assert sorted(run.name for run in runs) == list("012345")
    for run in runs:
        assert store.history.read(run.id, "y").values() == list(range(40))


def test_sixteen_threads_write_to_one_store(store):
    """Each its own run, and all of them one run in common."""
    project = store.runs.project("p", create=True)
    common, _ = store.runs.open(project, "common")

    def log(number):
        own, _ = store.runs.open(project, f"run-{number}")
        for start in range(0, 60, 5):
            store.history.append(own.id, [(start + i, {"y": float(start + i)}) for i in range(5)])
            store.history.append(common.id, [(16 * (start + i) + number, {"y": 1.0}) for i in range(5)])

    threads = [threading.Thread(target=log, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.runs.by_id(common.id).row_count == 16 * 60
    assert store.history.read(common.id, "y").steps.tolist() == list(range(16 * 60))
    for number in range(16):
        own = store.runs.find(project, f"run-{number}")
        assert store.history.read(own.id, "y").values() == list(range(60))


def test_an_older_file_is_brought_up_to_date(tmp_path, monkeypatch):
    """A step that a file does not have yet runs once, and what was there stays."""
    monkeypatch.setattr(database_module, "STEPS", STEPS[:1])
    old = Store(tmp_path)
    old.runs.open(old.runs.project("p", create=True), "abc")
    old.close()

    monkeypatch.setattr(database_module, "STEPS", [*STEPS, ("colours", "ALTER TABLE run ADD COLUMN colour TEXT")])
    for _ in range(2):
        database = Database(tmp_path)
        row = database.first("SELECT name, colour FROM run")
        assert tuple(row) == ("abc", None)
        assert database.first("SELECT COUNT(*) FROM step")[0] == len(STEPS) + 1


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    """The program that wrote it can still use it."""
    Store(tmp_path).close()
    broken = "CREATE TABLE colour (id INTEGER); INSERT INTO nowhere VALUES (1)"
    monkeypatch.setattr(database_module, "STEPS", [*STEPS, ("colours", broken)])
    with pytest.raises(StoreError, match="nowhere"):
        Store(tmp_path)

    monkeypatch.undo()
    with pytest.raises(StoreError, match="no such table: colour"):
        Store(tmp_path).database.query("SELECT * FROM colour")


def test_a_newer_file_is_refused(tmp_path, monkeypatch):
    """With the way out, and untouched."""
    Store(tmp_path).close()
    monkeypatch.setattr(database_module, "STEPS", [])

    with pytest.raises(StoreError, match="newer Fulgurite.*pip install -U"):
        Store(tmp_path)


def test_the_file_system_decides_about_the_log(tmp_path):
    """On one that other machines write to as well, readers must not map the log into memory."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\nserver:/x /home nfs4 rw 0 0\n/dev/sdb /home/me/here ext4 rw 0 0\n"
        "sshfs /my\\040data fuse.sshfs rw 0 0\n"
    )

    answers = {place: is_network_folder(Path(place), str(mounts)) for place in ("/var", "/home/me", "/home/me/here/x")}

    assert answers == {"/var": False, "/home/me": True, "/home/me/here/x": False}
    assert is_network_folder(Path("/my data/store"), str(mounts))
    assert not is_network_folder(Path("/"), str(tmp_path / "none"))
