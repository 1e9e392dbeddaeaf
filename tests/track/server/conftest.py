"""The application itself, without a socket, and a browser's view of it."""

import pytest
from starlette.testclient import TestClient

from fulgurite.track.server.app import application

ADDRESS = "http://127.0.0.1:7007"


@pytest.fixture
def client(store):
    """Sends requests as a program on this machine would."""
    return TestClient(application(store), ADDRESS)


@pytest.fixture
def run(store):
    """A run with ten rows, in the project ``p``."""
    run, _ = store.runs.open(store.runs.project("p", create=True), "abc", config={"lr": 0.1}, summary={"loss": 0.5})
    store.history.append(run.id, [(i, {"loss": 1 / (i + 1), "deep": {"x": i}, "_runtime": 2.0 * i}) for i in range(10)])
    return store.runs.by_id(run.id)
