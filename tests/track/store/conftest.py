import pytest


@pytest.fixture
def run(store):
    return store.runs.open(store.runs.project("p", create=True), "abc")[0]
