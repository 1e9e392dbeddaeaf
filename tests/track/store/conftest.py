import pytest

from fulgurite.track.store.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "data")
    yield store
    store.close()


@pytest.fixture
def run(store):
    return store.runs.open(store.runs.project("p", create=True), "abc")[0]
