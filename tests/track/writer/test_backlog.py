"""A store that is locked, broken or gone: the training goes on, and nothing that was logged is lost."""

import json
import logging
import shutil
import sqlite3
import time

import pytest

from fulgurite import cli
from fulgurite.track.store.database import FILE
from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.store import Store
from fulgurite.track.writer import backlog, outlet, run
from fulgurite.track.writer.batch import Batch, Kept, as_plain, from_plain
from fulgurite.track.writer.rescue import bring_in
from fulgurite.track.writer.run import RunWriter


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Tests do not wait as long as a training would."""
    monkeypatch.setattr(outlet, "PATIENCE", 0.1)
    monkeypatch.setattr(run, "FINISHING", 0.5)


@pytest.fixture
def locked(store):
    """Another process is in the middle of a long transaction."""
    connection = sqlite3.connect(store.folder / FILE, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def steps(store, name="abc"):
    found = store.runs.find(store.runs.project("p"), name)
    return store.history.read(found.id, "loss").steps.tolist()


def test_a_locked_store_gets_the_rows_later(store, locked, caplog):
    """Logging is as quick as ever, one warning says what is wrong, and nothing has to be done about it."""
    writer = RunWriter("p", "abc", facts=False)
    started = time.perf_counter()
    for step in range(1000):
        writer.log({"loss": 1.0}, step)
    assert time.perf_counter() - started < 0.5
    assert not writer.flush() and not writer.flush()

    locked.execute("ROLLBACK")
    writer.finish()

    assert steps(store) == list(range(1000))
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert "locked" in caplog.text


def test_too_many_rows_wait_in_a_file(store, locked, tmp_path, monkeypatch):
    """Memory has a bound; the file is brought in by itself, and is gone then."""
    monkeypatch.setattr(backlog, "MOST", 10)
    writer = RunWriter("p", "abc", facts=False, rescue=tmp_path)
    for step in range(50):
        writer.log({"loss": 1.0}, step)
        if step % 20 == 19:
            assert not writer.flush()
    file = tmp_path / "fulgurite-rescue-abc.jsonl"
    assert len(file.read_text().splitlines()) >= 3

    locked.execute("ROLLBACK")
    assert writer.flush()

    assert steps(store) == list(range(50))
    assert not file.exists()
    writer.finish()


def test_a_few_large_files_are_many_rows(store, locked, tmp_path, monkeypatch):
    """Pictures fill the memory sooner than numbers do."""
    monkeypatch.setattr(backlog, "MOST", 1000)
    writer = RunWriter("p", "abc", facts=False, rescue=tmp_path)
    writer.file("small", b"x" * 10_000)
    writer.flush()
    assert list(tmp_path.iterdir()) == []
    writer.file("large", b"x" * 1_000_000)
    writer.flush()
    assert len(list(tmp_path.iterdir())) == 1

    locked.execute("ROLLBACK")
    writer.finish()

    run = store.runs.find(store.runs.project("p"), "abc")
    assert [file.blob.size for file in store.blobs.files(run.id)] == [1_000_000, 10_000]


def test_what_is_left_at_the_end_can_be_brought_in(store, locked, tmp_path, caplog):
    """The rescue file holds all of the run: rows, summary, config, lines, files, and how it ended."""
    writer = RunWriter("p", "abc", facts=False, console=True, rescue=tmp_path, display_name="mine", tags=["a"])
    writer.config({"lr": 0.1})
    print("hello")
    writer.file("x.txt", b"content")
    writer.log({"loss": float("nan")}, 0)
    writer.log({"loss": 0.5}, 7)
    writer.finish(3)
    file = tmp_path / "fulgurite-rescue-abc.jsonl"
    assert str(file) in caplog.text
    locked.execute("ROLLBACK")

    for _ in range(2):
        found = bring_in(store, file)

    assert (found.state, found.exit_code, found.display_name, found.tags) == ("failed", 3, "mine", ["a"])
    assert found.config == {"lr": 0.1} and found.summary["loss"] == 0.5
    assert steps(store) == [0, 7] and found.row_count == 2
    assert [line.line for line in store.console.read(found.id)] == ["hello"]
    assert store.blobs.path(store.blobs.file(found.id, "x.txt").blob.sha256).read_bytes() == b"content"


def test_the_command_brings_it_in(store, locked, tmp_path, capsys):
    """`fulgurite import`, as the warning says: by the file, or by a folder above it."""
    writer = RunWriter("p", "abc", facts=False, rescue=tmp_path / "logs" / "version_0")
    writer.log({"loss": 1.0}, 0)
    writer.finish()
    (file,) = tmp_path.rglob("*.jsonl")
    locked.execute("ROLLBACK")

    assert cli.main(["import", str(file)]) == 0
    assert cli.main(["import", str(tmp_path)]) == 0

    assert steps(store) == [0]
    assert capsys.readouterr().out.count("is run p/abc") == 2


def test_a_later_part_of_the_run_brings_the_file_in(store, locked, tmp_path):
    """The store was down at the end of the fit and is back for the test."""
    writer = RunWriter("p", "abc", facts=False, rescue=tmp_path)
    writer.log({"loss": 1.0}, 0)
    writer.finish()
    locked.execute("ROLLBACK")

    writer.log({"loss": 2.0}, 1)
    writer.finish()

    assert steps(store) == [0, 1]
    assert store.runs.find(store.runs.project("p"), "abc").state == "finished"
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_was_deleted_is_made_anew(store, soon):
    """SQLite would go on writing to a file that nobody can see any more."""
    writer = RunWriter("p", "abc", facts=False)
    writer.log({"loss": 1.0}, 0)
    writer.flush()
    folder = store.folder
    store.close()
    shutil.rmtree(folder)

    writer.log({"loss": 2.0}, 1)
    writer.finish()

    again = Store(folder)
    assert steps(again) == [1]
    again.close()


def test_a_store_that_can_not_be_made(tmp_path, caplog):
    """A folder under a file: the run ends in a rescue file, and the training has never noticed."""
    (tmp_path / "file").write_text("")
    writer = RunWriter("p", "abc", facts=False, store=tmp_path / "file" / "store", rescue=tmp_path)
    writer.log({"loss": 1.0}, 0)
    started = time.monotonic()
    writer.finish()

    assert time.monotonic() - started < 5
    assert (tmp_path / "fulgurite-rescue-abc.jsonl").exists()
    assert "can't be opened" in caplog.text
    assert "(The run store" not in caplog.text and ".)." not in caplog.text, "one sentence is not put into another"


def test_a_run_that_was_purged_comes_back(store):
    """Somebody deleted the run for good while it was running."""
    writer = RunWriter("p", "abc", facts=False)
    writer.log({"loss": 1.0}, 0)
    writer.flush()
    store.runs.delete([store.runs.find(store.runs.project("p"), "abc")])
    assert store.purge(older_than=-1) == 1

    writer.log({"loss": 2.0}, 1)
    writer.finish()

    assert steps(store) == [1]


def test_what_the_store_does_not_take_does_not_stop_the_rest(store, tmp_path, caplog, soon):
    """A row that breaks the writing is put aside with its neighbours, said once, and later rows are kept."""
    writer = RunWriter("p", "abc", facts=False, rescue=tmp_path)
    writer.log({"loss": 1.0}, 0)
    writer._rows.append((1, time.time(), {"loss": object()}))  # no door of the writer lets this in
    soon(writer.flush)
    writer.log({"loss": 2.0}, 2)
    writer.finish()

    assert steps(store) == [2]
    assert "did not take some" in caplog.text


def test_a_torn_line_costs_no_other(store, tmp_path, locked):
    """The process was killed while it wrote the file, and another part of the run wrote on."""
    writer = RunWriter("p", "abc", facts=False, rescue=tmp_path)
    writer.log({"loss": 1.0}, 0)
    writer.finish()
    (file,) = tmp_path.iterdir()
    with file.open("a") as end:
        end.write('{"rows": [[1, 2.0, {"lo')
    writer.log({"loss": 1.0}, 2)
    writer.finish()
    locked.execute("ROLLBACK")

    bring_in(store, file)

    assert steps(store) == [0, 2]


@pytest.mark.parametrize("text", ["", "{}\n", "[1]\n", "no json\n", '{"fulgurite_rescue": 99}\n'])
def test_other_files_are_refused(store, tmp_path, text):
    """With their name, and nothing is made."""
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(StoreError, match="is no rescue file"):
        bring_in(store, tmp_path / "x.jsonl")
    assert store.runs.projects() == []


def test_a_batch_is_the_same_after_json():
    """Bytes and tuples come back as what they were."""
    batch = Batch(
        rows=[(0, 1.5, {"a": 1, "é\udc80": None})],
        system=[(1, 2.5, {"system.cpu": 1.0})],
        files=[Kept("a", b"\x00\xff"), Kept("b", path="/x", lent=True)],
        config={"lr": 0.1},
        end=(1, None),
    )
    assert from_plain(json.loads(json.dumps(as_plain(batch)))) == batch


def test_no_folder_takes_anything(store, locked, tmp_path, monkeypatch, caplog):
    """Then the newest rows are kept in memory, and how many went is said."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(backlog, "MOST", 10)
    monkeypatch.setattr(backlog, "LAST_RESORT", 20)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    writer = RunWriter("p", "abc", facts=False, rescue=tmp_path / "file")
    for step in range(30):
        writer.log({"loss": 1.0}, step)
    writer.flush()
    locked.execute("ROLLBACK")
    writer.finish()

    assert steps(store) == list(range(20, 30))
    assert "20 rows are lost" in caplog.text


def test_a_file_that_can_not_be_read_does_not_keep_the_rows(store, tmp_path, caplog):
    """A folder given for a file is told, and everything else is kept as ever."""
    writer = RunWriter("p", "abc", facts=False)
    writer.file("code", tmp_path)
    writer.log({"loss": 1.0}, 0)

    writer.finish()

    assert steps(store) == [0]
    assert str(tmp_path) in caplog.text


def test_what_is_printed_does_not_cost_a_row(store):
    """Whatever a stream that somebody has put in place takes: bytes, or codes that no terminal would."""
    writer = RunWriter("p", "abc", facts=False)
    writer.log({"loss": 1.0}, 0)
    for odd in (b"bytes", f"\x1b[{'9' * 5000}A"):
        writer._printed.append(("stdout", 0.0, odd))  # as the capture of such a stream would

    assert writer.flush()
    writer.finish()

    assert steps(store) == [0]


def test_a_step_that_can_not_be_kept_is_refused_at_once(store):
    """It must not wait in front of what can be kept."""
    writer = RunWriter("p", "abc", facts=False)
    with pytest.raises(ValueError, match="step="):
        writer.log({"loss": 1.0}, 2**62 + 1)
    writer.log({"loss": 1.0}, 2**62)

    writer.finish()

    assert steps(store) == [2**62]
