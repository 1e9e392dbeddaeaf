"""A store for each test and a server for each module, since clients are slow to start: tests use runs of their own."""

import pytest

from fulgurite.track.store.store import Store
from support.track_server import served


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "data")
    yield store
    store.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("server")) as running:
        yield running
