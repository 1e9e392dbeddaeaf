"""A store to write to, and a way to look into it while somebody writes."""

import time

import pytest

from fulgurite.track.store.store import Store


@pytest.fixture
def store(own_store):
    """The store that writers of this test use by default."""
    opened = Store(own_store)
    yield opened
    opened.close()


@pytest.fixture
def soon():
    """Wait until a question is answered by something true, for at most ``within`` seconds, and return it."""

    def wait_for(question, within=10.0):
        deadline = time.monotonic() + within
        while not (answer := question()):
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.02)
        return answer

    return wait_for
