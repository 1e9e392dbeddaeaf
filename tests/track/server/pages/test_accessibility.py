"""No view has a serious or critical finding of axe-core, in either theme."""

from dataclasses import dataclass

import pytest

from fulgurite.cli import main
from support.axe import axe_script, violations
from support.browser import chromium
from support.filled_store import fill
from support.track_server import served

pytestmark = [
    pytest.mark.skipif(axe_script() is None, reason="needs axe-playwright-python: pip install -e .[dev]"),
]


DRAWN = "document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length"
ROWS = "document.querySelectorAll('tbody tr[aria-selected]').length"


@dataclass(frozen=True)
class View:
    """An address, what is true as soon as it is shown, and what to do there before it is looked at."""

    address: str
    ready: str
    act: str = "0"


# Every view has its line here.
VIEWS = {
    "projects": View("/", "document.querySelector('main a[href=\"/local/p\"]')"),
    "charts of a project": View("/local/p", f"{DRAWN} >= 3"),
    "no charts": View("/local/empty", "document.body.innerText.includes('This project has no runs.')"),
    "table": View("/local/p/table", f"{ROWS} == 3"),
    "filtered and grouped": View("/local/p/table?filter=config.lr%3E0.15&group=group", f"{ROWS} == 2"),
    "empty table": View("/local/empty/table", "document.querySelector('.empty')"),
    "deleted runs": View("/local/p/deleted", "document.querySelector('main p a')"),
    "comparison": View("/local/p/compare?run=a&run=b", "document.querySelectorAll('.known').length >= 3"),
    "hyperparameters": View("/local/p/hyperparameters", "document.querySelectorAll('.js-plotly-plot').length >= 2"),
    "sweeps": View("/local/swept/sweeps", "document.querySelector('tbody tr')"),
    "sweep": View("/local/swept/sweeps/{sweep}", f"{DRAWN} >= 3"),
    "no sweeps": View("/local/p/sweeps", "document.body.innerText.includes('There is no sweep yet')"),
    "artifacts": View("/local/p/artifacts", "document.querySelector('table.artifacts tbody tr')"),
    "versions": View("/local/p/artifacts/model/model", "document.querySelectorAll('tbody tr').length >= 3"),
    "version": View("/local/p/artifacts/model/model/v1?part=files", "document.querySelector('.tree li')"),
    "lineage": View("/local/p/artifacts/model/model/v1?part=lineage", "document.querySelector('.lineage .node')"),
    "alerts": View("/local/p/alerts", "document.body.innerText.includes('Too high')"),
    "charts": View("/local/p/runs/a#charts", f"{DRAWN} >= 2"),
    "overview": View("/local/p/runs/a#overview", "document.querySelectorAll('.sheet').length >= 3"),
    "media": View("/local/p/runs/a#media", "document.querySelectorAll('main img').length == 2"),
    "histograms": View("/local/p/runs/a#histograms", "document.querySelector('.js-plotly-plot')"),
    "system": View("/local/p/runs/a#system", f"{DRAWN} >= 1"),
    "console": View("/local/p/runs/a#console", "document.body.innerText.includes('line 59')"),
    "files": View("/local/p/runs/a?file=media%2Ft.table.json#files", "document.querySelector('.preview').innerText"),
    "artifacts of a run": View("/local/p/runs/a#artifacts", "document.querySelector('main tbody tr')"),
    "code": View("/local/p/runs/a#code", "document.querySelector('.browser')"),
    "API": View("/api/docs", "document.querySelectorAll('main section').length"),
    "not found": View("/local/nope", "document.body.innerText.includes('There is no project local/nope')"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("accessibility")) as running:
        running.sweep = fill(running.store)
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory, server):
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started
        started.open("about:blank")


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_no_serious_finding(server, browser, name, dark):
    view = VIEWS[name]
    browser.size(1280, 900, dark)
    browser.open(server.url + view.address.format(sweep=server.sweep))
    browser.wait(view.ready)
    browser.run(f"{view.act}; 0")

    assert violations(browser) == []


def test_the_page_that_asks_for_a_key_has_no_serious_finding(browser, tmp_path):
    with served(tmp_path) as server:
        server.store.users.add("ada", "reader")
        browser.open(f"{server.url}/local/p")
        browser.wait("document.querySelector('form')")

        assert violations(browser) == []
        browser.open("about:blank")


def test_a_report_has_no_serious_finding(server, browser, tmp_path):
    """Nor after the theme has changed while it is open: its charts take their colours from its styles."""
    out = tmp_path / "report.html"
    assert main(["report", "p", "--data", str(server.store.folder), "--out", str(out)]) == 0
    browser.size(1280, 900)
    browser.open(out.as_uri())
    browser.wait("document.querySelectorAll('.js-plotly-plot').length >= 3")
    browser.run("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert violations(browser) == []

    browser.size(1280, 900, dark=True)

    assert violations(browser) == []


def test_a_fault_is_found(browser):
    """The check itself sees what is wrong with a page."""
    browser.open(
        "data:text/html,<title>t</title><html lang=en><main><h1>x</h1><img src=x><p style='color:%23bbb'>grey</p>"
    )
    browser.wait("document.querySelector('p')")

    found = violations(browser)

    assert sorted(line.split()[1] for line in found) == ["color-contrast", "image-alt"]
