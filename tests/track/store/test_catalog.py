"""What the collections of a project hold, in one look."""

from fulgurite.track.store.catalog import Holding
from fulgurite.track.store.store import Store
from support.artifacts import logged


def test_collections_are_counted(tmp_path):
    """A deleted version counts no more; an empty collection is left out, and so are those of other projects."""
    store = Store(tmp_path / "data")
    project, other = (store.runs.project(name, create=True) for name in "pq")
    logged(store, project, "net", "model", {"a": b"1"})
    last = logged(store, project, "net", "model", {"a": b"22", "b": b"3"})
    logged(store, other, "net", "model", {"a": b"1"})
    store.artifacts.collections.open(project, "empty", "model")
    net = store.artifacts.collections.find(project, "net")

    assert store.artifacts.catalog.of(project) == {net.id: Holding(versions=2, last=1, size=4)}
    store.artifacts.delete(last, with_aliases=True)
    assert store.artifacts.catalog.of(project) == {net.id: Holding(versions=1, last=0, size=1)}
    store.close()
