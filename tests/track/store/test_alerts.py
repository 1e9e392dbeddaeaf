"""Alerts of a whole project: in pages, by level, and counted behind the last one that was seen."""

from fulgurite.track.store.store import Store


def test_alerts_of_a_project(tmp_path):
    """Those of other projects and of deleted runs are left out."""
    store = Store(tmp_path / "data")
    project, other = (store.runs.project(name, create=True) for name in "pq")
    kept, gone = (store.runs.open(project, name)[0] for name in ("a", "b"))
    for run, level in ((kept, "INFO"), (gone, "WARN"), (kept, "WARN"), (store.runs.open(other, "c")[0], "WARN")):
        store.runs.alert(run, "title", "text", level)
    store.runs.delete([gone])

    found = store.alerts.of(project, None, 10, 2**62)
    assert [(each.run_id, each.level) for each in found] == [(kept.id, "WARN"), (kept.id, "INFO")]
    assert [each.level for each in store.alerts.of(project, "INFO", 10, 2**62)] == ["INFO"]
    assert store.alerts.of(project, None, 1, found[0].id) == found[1:]
    assert store.alerts.count(project) == (2, found[0].id)
    assert store.alerts.count(project, found[1].id) == (1, found[0].id)
    assert store.alerts.count(other, 99) == (0, 4)
    store.close()
