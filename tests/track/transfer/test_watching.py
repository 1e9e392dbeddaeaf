"""Folders are watched: what the client writes there appears by itself, once."""

import time

import pytest

from fulgurite.track import places
from fulgurite.track.store.store import Store
from fulgurite.track.transfer import from_wandb
from fulgurite.track.transfer.watching import Watch
from track.transfer.test_from_wandb import recorded, wait_for

SCRIPT = """
import wandb
for name in ("a", "b"):
    run = wandb.init(mode="offline", project="p", id=name)
    run.log({"loss": 1})
    run.finish()
"""


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "data")
    yield store
    store.close()


def test_runs_appear_by_themselves(store, tmp_path):
    """In a folder that is named, and in one that a logger has noted; a folder that comes later is no error."""
    (tmp_path / "noted").mkdir()
    places.note_folder(tmp_path / "noted", store.folder)
    watch = Watch(store, [tmp_path / "later"])
    watch.start()
    try:
        recorded(SCRIPT, tmp_path / "noted")
        wait_for(lambda: found(store, {"a", "b"}))
        (tmp_path / "later").mkdir()
        recorded(SCRIPT.replace('"a", "b"', '"c"'), tmp_path / "later")
        wait_for(lambda: found(store, {"a", "b", "c"}))
    finally:
        watch.stop()


def test_a_run_that_came_online_is_not_read_again(server):
    """The client keeps a copy of what it sends in a folder like that of an offline run."""
    server.client("""
        import wandb
        run = wandb.init(project="online", id="on")
        run.log({"loss": 1})
        print("hello")
        run.finish()
    """)
    before = server.run("on", "online")
    watch = Watch(server.store, [server.folder])

    watch.look()

    assert len(from_wandb.find(server.folder)) == 1
    assert server.run("on", "online").version == before.version
    assert [line.line for line in server.store.console.read(before.id)] == ["hello"]


def test_a_broken_run_does_not_hide_the_others(store, tmp_path, caplog):
    """It is named once; the others are read."""
    folder = recorded(SCRIPT, tmp_path)[0]
    (file,) = folder.glob("*.wandb")
    file.write_bytes(b"not a record log" + file.read_bytes())
    watch = Watch(store, [tmp_path])

    for _ in range(3):
        watch.look()
        time.sleep(0.01)

    assert found(store, {"b"})
    assert sum(str(folder) in record.getMessage() for record in caplog.records) == 1


def found(store: Store, names: set[str]):
    runs = [run for project in store.runs.projects() for run in store.runs.all(project)]
    done = {run.name for run in runs if run.state == "finished"}
    return done if names <= done else None
