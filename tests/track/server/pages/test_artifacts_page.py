"""Artifacts in a real browser: found, looked into, compared, downloaded, followed to their runs, and described anew."""

import io
import json
import time
import urllib.request
import zipfile
from urllib.parse import quote

import pytest

from support.artifacts import logged
from support.pages import EVIL, click, made, shown


@pytest.fixture(scope="module")
def project(server):
    """Data in two versions, made by one run and used by another, which made a model."""
    prepare, train = (made(server, "p", name, display_name=name.title()) for name in ("prepare", "train"))
    store, place = server.store, prepare.project
    logged(store, place, "numbers", "dataset", {"a.csv": b"1", "gone": b"g"}, prepare)
    files = {"a.csv": b"22", "deep/er/b.csv": b"333", "deep/c.csv": b"4"}
    data = logged(store, place, "numbers", "dataset", files, prepare, [("far", "s3://x/far")], aliases=["clean"])
    store.artifacts.lineage.used(train.id, data.id)
    logged(store, place, "net", "model", {"w.pt": b"x" * 9}, train, metadata='{"net": {"depth": 3}}')
    return server.url + "/local/p/artifacts"


def test_all_artifacts_by_type(browser, project):
    browser.open(project)
    browser.wait("document.querySelectorAll('table.artifacts tbody tr').length == 2")
    assert browser.run("[...document.querySelectorAll('h2.type')].map(each => each.innerText)") == [
        "dataset 1",
        "model 1",
    ]

    browser.run("(f => (f.value = 'net', f.dispatchEvent(new Event('input'))))(document.querySelector('input'))")
    browser.wait("document.querySelectorAll('table.artifacts tbody tr').length == 1")
    browser.open("about:blank")
    browser.open(project)
    browser.wait("document.querySelector('input').value == 'net' && document.querySelector('th a').innerText == 'net'")
    browser.open(project + "?find=loss")  # what charts are searched for
    browser.wait("document.querySelectorAll('table.artifacts tbody tr').length == 2")
    browser.open(project + "?artifact=net")
    browser.wait("document.querySelectorAll('table.artifacts tbody tr').length == 1")
    click(browser, "net", "th a")
    browser.wait("document.querySelector('table.artifacts th .alias')?.innerText == 'latest'")
    click(browser, "Train", "td a")
    browser.wait("location.pathname == '/local/p/runs/train'")


def test_a_run_tells_what_it_made_and_used(browser, project):
    browser.open(project.replace("/artifacts", "/runs/train#artifacts"))
    browser.wait("document.querySelectorAll('main tbody tr').length == 2")
    told = browser.run("[...document.querySelectorAll('main tbody th')].map(each => each.innerText)")
    assert told == ["net:v0 latest", "numbers:v1 latest clean"]

    click(browser, "net:v0", "th a")
    browser.wait("location.pathname == '/local/p/artifacts/model/net/v0'")


def test_files_are_a_tree(browser, project):
    """A folder is asked for when it is opened; each file can be saved, and all of them together."""
    browser.open(f"{project}/dataset/numbers/clean?part=files")
    browser.wait("document.querySelectorAll('.tree > ul > li').length == 3")
    assert "reference to s3://x/far" in browser.text() and "b.csv" not in browser.text()
    click(browser, "deep/")
    browser.wait("document.querySelector('.tree').innerText.includes('c.csv')")
    click(browser, "er/")
    browser.wait("document.querySelector('.tree').innerText.includes('b.csv')")

    saved = browser.run("document.querySelector('[aria-label=\"Download deep/er/b.csv\"]').href")
    assert urllib.request.urlopen(saved).read() == b"333"
    whole = browser.run("document.querySelector('a.button').href")
    archive = zipfile.ZipFile(io.BytesIO(urllib.request.urlopen(whole).read()))
    assert archive.namelist() == ["a.csv", "deep/c.csv", "deep/er/b.csv", "references.json"]


def test_versions_are_compared(browser, project):
    """With the one before, unless another is chosen; the address keeps what is looked at."""
    browser.open(f"{project}/dataset/numbers/v1?part=difference")

    browser.wait("document.body.innerText.includes('From v0 to v1: 3 added, 1 removed, 1 changed, 0 the same.')")
    assert "1 B → 2 B" in browser.text()
    click(browser, "Metadata")
    browser.wait("location.search.includes('part=metadata') && document.body.innerText.includes('Nothing was said.')")


def test_lineage_is_drawn_and_told(browser, project):
    browser.open(f"{project}/model/net/latest?part=lineage")
    browser.wait("document.querySelectorAll('.lineage .node').length == 4")
    order = "[...document.querySelectorAll('.lineage .node')].map(each => each.querySelector('.title').textContent)"
    assert browser.run(order) == ["Prepare", "numbers:v1", "Train", "net:v0"]
    assert browser.run("document.querySelectorAll('.lineage .edge').length") == 3

    click(browser, "As a list")
    listed = browser.run("[...document.querySelectorAll('.steps li')].map(each => each.innerText)")
    assert listed[3] == "net:v0 model · latest, made by Train" and listed[2].endswith("used numbers:v1")
    browser.run(
        "document.querySelector('.lineage a[href*=numbers]').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    browser.wait("location.pathname.endsWith('/artifacts/dataset/numbers/v1')")


def test_what_is_said_can_be_changed(browser, server, project):
    logged(server.store, server.store.runs.project("p"), "mine", "thing", {"a": b"1"})
    browser.open(f"{project}/thing/mine/v0?part=files")
    browser.wait("document.querySelector('.tree li')")
    click(browser, "Add a description", ".said button")
    browser.run("document.querySelector('.pop textarea').value = 'It is mine.'")
    click(browser, "Save")
    browser.wait("document.querySelector('.said .notes')?.innerText == 'It is mine.'")

    click(browser, "Edit the aliases")
    browser.run("document.querySelector('.pop input').value = 'prod'")
    browser.run("document.querySelector('.pop form, form.pop, .pop .editor').requestSubmit()")
    browser.wait("[...document.querySelectorAll('.tag.alias')].map(each => each.innerText).join() == 'latest,prod'")

    found = server.store.artifacts
    member = found.members.find(found.collections.find(server.store.runs.project("p"), "mine"), "prod")
    assert found.by_id(member.artifact_id).description == "It is mine."


def test_a_reader_sees_no_way_to_change_anything(browser, tmp_path):
    with shown(browser, tmp_path) as server:
        run = made(server, "p", "a")
        logged(server.store, run.project, "net", "model", {"w": b"1"}, run)
        key = server.store.users.add("ada", "reader")
        browser.open(f"{server.url}/local/p/artifacts/model/net/v0")
        browser.wait("document.querySelector('#key')")
        browser.run(f"(document.querySelector('#key').value = '{key}', document.querySelector('form').requestSubmit())")
        browser.wait("document.querySelector('.tree li')")

        assert browser.run("document.querySelectorAll('.said button, .words button').length") == 0
        browser.forgive()  # that a key was demanded is an error to the browser


@pytest.fixture(scope="module")
def evil(server):
    """The address of an artifact of which every word is HTML."""
    run = made(server, "evil", "abc", display_name=EVIL)
    name = EVIL.replace("/", "")
    known = {"metadata": json.dumps({EVIL: EVIL}), "description": EVIL}
    for content in (b"1", b"2"):
        logged(server.store, run.project, name, "t", {EVIL: content, "b" + EVIL: b"x"}, run, [("r", EVIL)], **known)
    return f"{server.url}/local/evil/artifacts/t/{quote(name, safe='')}/v1"


@pytest.mark.parametrize("part", ["files", "metadata", "difference", "lineage"])
def test_nobodys_words_become_code(browser, evil, part):
    """Names of artifacts, files, aliases and runs are read as what they are: text."""
    browser.open(f"{evil}?part={part}")
    browser.wait("document.querySelector('.tabs + div > *')?.innerText")
    time.sleep(0.3)

    assert "<img src=x" in browser.text()
    assert browser.run("document.querySelectorAll('main img[src=x], main script').length") == 0
    assert browser.run("document.title").endswith("· evil · Fulgurite")


def test_empty_and_missing(browser, server, project):
    made(server, "bare", "abc")
    browser.open(f"{server.url}/local/bare/artifacts")
    browser.wait("document.body.innerText.includes('There is no artifact yet')")
    browser.open(f"{project}/model/nope/v0")
    browser.wait("document.body.innerText.includes(\"There is no artifact 'nope'\")")
    browser.forgive()  # a 404 is an error to the browser


@pytest.mark.parametrize(
    "path", ["", "/dataset/numbers", "/dataset/numbers/v1?part=files", "/model/net/v0?part=lineage"]
)
def test_nothing_sticks_out_on_a_phone(browser, project, path):
    browser.size(400, 800)
    browser.open(project + path)
    browser.wait("document.querySelector('table.artifacts, .tree li, .lineage')")

    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)
