"""The store through its front door: what goes in comes out, once."""

import threading

import numpy as np
import pytest

from fulgurite.track.store.console import Line
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.store import Store


def test_rows_come_back_as_they_were_logged(store, run):
    """Numbers, text, nesting and media keep their types; a row holds what was logged at its step."""
    rows = [(0, {"loss": 0.5, "n": 3, "ok": True, "deep": {"a.b": 1, "c": [1, 2]}}), (4, {"loss": 1, "note": "é"})]

    store.history.append(run.id, rows)

    assert store.history.rows(run.id) == [{**row, "_step": step} for step, row in rows]


def test_rows_that_are_sent_again_are_there_once(store, run):
    """A retry, whole or cut differently, changes nothing; a newer value at a step replaces the older one."""
    rows = [(step, {"loss": step / 2}) for step in range(10)]
    store.history.append(run.id, rows)

    store.history.append(run.id, rows[3:7])
    store.history.append(run.id, [(5, {"loss": 100.0}), (12, {"loss": 6.0})])

    assert store.runs.by_id(run.id).row_count == 11
    assert store.history.read(run.id, "loss").values() == [0, 0.5, 1, 1.5, 2, 100, 3, 3.5, 4, 4.5, 6]


def test_a_chart_from_afar_shows_every_extreme(store, run):
    """A hundred thousand values in small posts, charted in 100 stretches: one spike is in sight, and at its place."""
    values = np.zeros(100_000)
    values[77_777] = 9.0
    for start in range(0, len(values), 1000):
        store.history.append(run.id, [(start + i, {"y": float(v)}) for i, v in enumerate(values[start : start + 1000])])

    chart = store.history.chart(run.id, "y", buckets=100)

    assert len(chart) == 100
    assert chart.high.argmax() == 77
    assert chart.high.max() == 9.0


def test_a_deleted_run_can_be_brought_back(store, run):
    """Until then it is not found, and a new run may take its name."""
    store.runs.delete([run])
    with pytest.raises(NotFound, match="no run local/p/abc"):
        store.runs.find(run.project, "abc")

    store.runs.restore([run])

    assert store.runs.find(run.project, "abc").id == run.id


def test_what_was_deleted_long_ago_is_purged(store, run):
    """With all its rows in all tables, and the files that no other run has."""
    other, _ = store.runs.open(run.project, "other")
    for each, data in ((run, b"own"), (run, b"common"), (other, b"common")):
        store.blobs.put(each.id, data.decode(), store.blobs.keep_bytes(data))
        store.history.append(each.id, [(0, {"y": 1.0})])
        store.console.write(each.id, [Line(0, "stdout", None, None, "x")])
        store.runs.alert(each, "t", "t", "INFO")
    with store.database.writing():
        store.database.write("UPDATE blob SET created_at = 0")
    store.runs.delete([run])
    assert store.purge() == 0

    assert store.purge(older_than=-1.0) == 1

    assert store.runs.all(run.project, deleted=True) == []
    assert store.history.rows(other.id) == [{"_step": 0, "y": 1.0}]
    assert [file.name for file in store.blobs.files(other.id)] == ["common"]
    for table in ("run", "run_file", "console", "alert", "blob"):
        assert store.database.first(f"SELECT COUNT(*) FROM {table}")[0] == 1
    assert store.database.first("SELECT COUNT(*) FROM chunk JOIN series ON series.id = series_id")[0] == 2
    assert store.database.first("SELECT COUNT(*) FROM chunk")[0] == 2
    with pytest.raises(NotFound):
        store.history.append(run.id, [(1, {"y": 1.0})])


def test_two_stores_share_a_folder(store, run):
    """What one has committed, the other sees at once; both may write to one run."""
    other = Store(store.folder)
    for step in range(0, 200, 2):
        store.history.append(run.id, [(step, {"y": 1.0})])
        other.history.append(run.id, [(step + 1, {"y": 1.0})])
        assert len(store.history.read(run.id, "y")) == step + 2

    other.end(run, 0)
    assert store.runs.by_id(run.id).state == "finished"
    assert store.history.read(run.id, "y").steps.tolist() == list(range(200))
    other.close()


def test_others_write_while_a_run_is_made_compact(store, monkeypatch):
    """A large run takes seconds. Its end is kept with what was logged last, and the rest comes after that."""
    project = store.runs.project("p", create=True)
    run, _ = store.runs.open(project, "abc")
    written = []

    def compact(number):
        other = threading.Thread(target=lambda: written.append(store.runs.open(project, "other")))
        other.start()
        other.join(10)

    monkeypatch.setattr(store.history, "compact", compact)
    with store.database.writing():
        store.history.append(run.id, [(0, {"loss": 1.0})])
        store.end(run, 0)
        assert not written

    assert len(written) == 1


def test_what_was_not_kept_is_not_gone_on_with(store):
    """What should come after a transaction comes only after one that was kept, and only once."""
    done = []

    with pytest.raises(ZeroDivisionError), store.database.writing():
        store.database.afterwards(lambda: done.append("failed"))
        raise ZeroDivisionError
    with store.database.writing():
        store.database.afterwards(lambda: done.append("kept"))

    assert done == ["kept"]
