"""A server for each module of tests: clients are slow to start, and each test uses a run or a project of its own."""

import pytest

from support.track_server import served


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("server")) as running:
        yield running
