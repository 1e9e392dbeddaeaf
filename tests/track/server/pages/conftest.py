"""One browser and one server for each file of tests, which run in one process."""

import pytest

from support.browser import CHROMIUM, chromium
from support.pages import shown


def pytest_collection_modifyitems(items):
    """What shares a browser and a server runs in one process, so that each is started once."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser that nothing has complained about in the end."""
    if not CHROMIUM:
        pytest.skip("needs Chromium: apt-get install chromium")
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        started.size(1280, 900)
        yield started
        assert started.complaints == []


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    with shown(browser, tmp_path_factory.mktemp("pages")) as running:
        yield running
