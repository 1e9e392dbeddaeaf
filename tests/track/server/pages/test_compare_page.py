"""Runs side by side in a real browser."""

import pytest

from support.artifacts import logged
from support.pages import EVIL
from support.track_server import served

NAMES = "[...document.querySelectorAll('.compared tbody th')].map(cell => cell.innerText)"


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """Two runs of the project p, and a third one."""
    with served(tmp_path_factory.mktemp("compare")) as running:
        for i, name in enumerate(["a", "b", EVIL]):
            run, _ = running.store.runs.open(
                running.store.runs.project("p", create=True), name, config={"lr": i, "same": 1, EVIL: i},
                summary={"pic": {"_type": "image-file", "path": str(i)}, "loss": EVIL if i else "low"},
            )  # fmt: skip
            code = f"import torch\nlr = {i}\nprint(lr)  # {EVIL}\n"
            running.store.blobs.put(run.id, "code/train.py", running.store.blobs.keep_bytes(code.encode()))
            running.store.blobs.put(run.id, "requirements.txt", running.store.blobs.keep_bytes(b"torch==2"))
        yield running
        browser.open("about:blank")


def test_only_what_differs_is_shown_unless_all_is_asked_for(browser, server):
    browser.open(f"{server.url}/local/p/compare?run=a&run=b")
    browser.wait(f"{NAMES}.includes('lr')")
    assert "same" not in browser.run(NAMES) and "pic" not in browser.run(NAMES)

    browser.run("document.querySelector('main input[type=checkbox]').click()")

    assert {"same", "pic", "lr"} <= set(browser.run(NAMES))
    assert "all=1" in browser.run("location.search")
    assert browser.run("document.querySelectorAll('main img, main script').length") == 0 and EVIL in browser.text()


@pytest.mark.parametrize("split", [1, 0])
def test_code_is_compared_line_by_line(browser, server, split):
    """Added and removed lines have signs, not colours alone; the opened file is in the address."""
    browser.open(f"{server.url}/local/p/compare?run=a&run=b&split={split}")
    browser.wait("document.body.innerText.includes('1 file differs, 1 file is the same')")

    browser.run("document.querySelector('.apart details summary').click()")
    browser.wait("document.querySelector('.diff')")

    text = browser.run("document.querySelector('.diff').innerText")
    assert "lr = 0" in text and "lr = 1" in text and EVIL in text
    signs = browser.run("[...document.querySelectorAll('.diff .sign')].map(each => each.innerText.trim()).join('')")
    assert signs == "-+" and "files=code%2Ftrain.py" in browser.run("location.search")
    browser.open(browser.run("location.href"))
    browser.wait("document.querySelector('.diff')")


def test_their_charts_are_a_click_away(browser, server):
    """There, these runs and no others are drawn."""
    browser.open(f"{server.url}/local/p/compare?run=a&run=b")
    browser.wait("[...document.querySelectorAll('main a')].some(each => each.innerText == 'Their charts')")

    browser.run("[...document.querySelectorAll('main a')].find(each => each.innerText == 'Their charts').click()")

    browser.wait("location.search == '?runs=a&runs=b'")
    browser.wait("document.querySelectorAll('.run-list input:checked, main input[type=checkbox]:checked').length == 2")


def test_code_that_was_kept_as_an_artifact_is_named(browser, server):
    """As log_code does; two versions of it lead to what differs between them."""
    for name in "ab":
        run, _ = server.store.runs.open(server.store.runs.project("kept", create=True), name)
        logged(server.store, run.project, "source-train", "code", {"train.py": f"lr = '{name}'".encode()}, run)
    browser.open(f"{server.url}/local/kept/runs/b#code")
    browser.wait("document.querySelector('main').innerText.includes('source-train:v1')")
    browser.open(f"{server.url}/local/kept/compare?run=a&run=b")
    browser.wait("document.querySelector('main').innerText.includes('source-train:v0 and source-train:v1.')")

    browser.run("[...document.querySelectorAll('main a')].find(each => each.innerText == 'How they differ').click()")

    browser.wait("document.querySelector('main').innerText.includes('From v0 to v1: 0 added, 0 removed, 1 changed')")


def test_runs_are_added_and_taken_away(browser, server):
    browser.open(f"{server.url}/local/p/compare?run=a&run=nope")
    browser.wait("document.body.innerText.includes('There is no run local/p/nope')")
    browser.forgive()  # a run that is not there is an error to the browser, too

    browser.run(
        "(select => (select.value = 'b', select.dispatchEvent(new Event('change'))))"
        "(document.querySelector('main select'))"
    )

    browser.wait("location.search.includes('run=b')")
    browser.wait(f"{NAMES}.includes('lr')")
    browser.forgive()
    browser.run("[...document.querySelectorAll('.pill')].find(pill => pill.innerText.startsWith('nope')).click()")
    browser.wait("!location.search.includes('nope') && document.querySelector('.compared')")


def test_a_comparison_fits_a_phone(browser, server):
    browser.size(400, 800)
    browser.open(f"{server.url}/local/p/compare?run=a&run=b")
    browser.wait("document.querySelector('.apart details')")

    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)
