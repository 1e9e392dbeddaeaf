"""Folders are watched: what the client writes there appears by itself, once."""

import time
from pathlib import Path

from fulgurite.track import places
from fulgurite.track.store.errors import StoreFull
from fulgurite.track.store.store import Store
from fulgurite.track.transfer import from_wandb
from fulgurite.track.transfer.watching import Watch
from fulgurite.track.wire.offline import messages
from support import record_log
from track.transfer.test_from_wandb import recorded, wait_for

SCRIPT = """
import wandb
for name in ("a", "b"):
    run = wandb.init(mode="offline", project="p", id=name)
    run.log({"loss": 1})
    run.finish()
"""


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


def test_what_could_not_be_kept_is_read_again(store, tmp_path, monkeypatch):
    """A store that is full or locked for a while loses nothing of an offline run."""
    folder = written(tmp_path, "a", [0, 1])
    watch = Watch(store, [tmp_path])

    def full(*given):
        raise StoreFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(store.history, "append", full)
        watch.look()
    watch.look()

    run = store.runs.by_id(store.sources.place(folder)[0])
    assert store.history.read(run.id, "loss").steps.tolist() == [0, 1]


def test_a_run_that_can_not_be_kept_does_not_hide_the_others(store, tmp_path, caplog):
    """One with a step that no number holds here is named once; that of others goes on."""
    written(tmp_path, "a", [2**62 + 1])
    written(tmp_path, "b", [0])
    watch = Watch(store, [tmp_path])

    watch.look()
    watch.look()

    rows = {run.name: run.row_count for run in store.runs.all(store.runs.project("p"))}
    assert rows == {"a": 0, "b": 1}
    assert len(caplog.records) == 1 and "offline-run-a" in caplog.text


def test_a_folder_with_two_records_does_not_hide_the_others(store, tmp_path):
    """A run's folder has one; what else lies there is left alone."""
    folder = written(tmp_path, "a", [0])
    (folder / "run-copy.wandb").write_bytes(b"")
    written(tmp_path, "b", [0])

    Watch(store, [tmp_path]).look()

    assert [run.name for run in store.runs.all(store.runs.project("p"))] == ["b"]


def test_watching_goes_on_where_nothing_could_be_let_go_of(store, tmp_path, monkeypatch):
    """What was deleted long ago can wait; what is logged now is to be seen."""

    def broken():
        raise OSError("no such place")

    monkeypatch.setattr(store, "purge", broken)
    written(tmp_path, "a", [0])
    watch = Watch(store, [tmp_path])
    watch.start()
    try:
        wait_for(lambda: store.runs.projects() or None)
    finally:
        watch.stop()


def written(above: Path, name: str, steps: list[int]) -> Path:
    """The folder of an offline run of the project ``p`` with one loss at each step."""
    folder = above / "wandb" / f"offline-run-{name}"
    folder.mkdir(parents=True)
    run, exit = messages.Record(), messages.Record()
    run.run.run_id, run.run.project = name, "p"
    exit.exit.exit_code = 0
    rows = []
    for step in steps:
        row = messages.Record()
        row.history.step.num = step
        row.history.item.add(key="loss", value_json="0.5")
        rows.append(row)
    record_log.write(folder / f"run-{name}.wandb", *(each.SerializeToString() for each in (run, *rows, exit)))
    return folder


def found(store: Store, names: set[str]):
    runs = [run for project in store.runs.projects() for run in store.runs.all(project)]
    done = {run.name for run in runs if run.state == "finished"}
    return done if names <= done else None


def test_a_run_that_was_deleted_does_not_come_back(store, tmp_path):
    """Its files are still there, and are looked at again and again; it stays away also when it has been let go of."""
    recorded(SCRIPT, tmp_path)
    watch = Watch(store, [tmp_path])
    watch.look()
    project = store.runs.project("p")
    store.runs.delete([store.runs.find(project, "a")])
    watch.look()
    assert store.purge(older_than=-1) == 1

    Watch(store, [tmp_path]).look()

    assert [run.name for run in store.runs.all(project)] == ["b"]
    (folder,) = [found for found in from_wandb.find(tmp_path) if found.name.endswith("-a")]
    assert from_wandb.take(store, folder).row_count == 1  # whoever asks for it by hand gets it
