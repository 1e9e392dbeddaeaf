"""Whatever users call their things: it comes back as it was, and no file is made outside the data folder."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from fulgurite.track.server.app import application
from fulgurite.track.store.store import Store

from .conftest import ADDRESS

PARTS = st.sampled_from(["..", ".", "", "/", "\\", "~", "C:", "con", "\0", "%2e%2e", "é", " ", "\n", "a", '"', ";"])
NAMES = st.one_of(st.text(max_size=40), st.lists(PARTS, min_size=1, max_size=8).map("/".join))
HOSTILE = [
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\x",
    "a/../../b",
    "x" * 5000,
    "\0",
    "\r\nSet-Cookie: a=b",
    "\ud800",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a data folder three levels below it, and a client of the server over that."""
    folder = tmp_path_factory.mktemp("around")
    store = Store(folder / "a/b/data")
    yield folder, store, TestClient(application(store), ADDRESS, raise_server_exceptions=True)
    store.close()


def outside(folder: Path) -> set[Path]:
    """All that lies around the data folder."""
    return {path for path in folder.rglob("*") if not path.is_relative_to(folder / "a/b/data")}


def hostile(test):
    for name in HOSTILE:
        test = example(name=name)(test)
    return settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])(test)


@hostile
@given(name=NAMES)
def test_a_file_of_any_name_stays_inside(place, name):
    """It is put through an address that was given out, and got under its name; the disk knows only its hash."""
    folder, store, client = place
    store.runs.open(store.runs.project("files", create=True), "abc")
    before = outside(folder)

    answer = client.post("/graphql", content=json.dumps({"query": CREATE, "variables": {"files": [name]}})).json()
    (given,) = answer["data"]["createRunFiles"]["files"]
    put = client.put(given["uploadUrl"], content=name.encode("utf-8", "replace"))
    got = client.get(CONTENT, params={"name": given["name"].removeprefix("./")})

    assert (put.status_code, got.status_code) == (200, 200)
    assert got.content == name.encode("utf-8", "replace")
    assert given["name"] == name or not storable(name)
    assert outside(folder) == before
    assert "set-cookie" not in got.headers


@hostile
@given(name=NAMES)
def test_a_project_of_any_name_is_found_by_it(place, name):
    """A slash in it is written %2F, as everywhere on the web."""
    folder, store, client = place
    if not storable(name) or not name or name in (".", ".."):
        return
    before = outside(folder)
    store.runs.open(store.runs.project(name, create=True), "run/with slash?#")

    address = f"/api/projects/local/{quote(name, safe='')}/runs/{quote('run/with slash?#', safe='')}"
    answer = client.get(address)

    assert answer.status_code == 200, answer.text
    assert answer.json()["project"] == name
    assert outside(folder) == before


@given(name=st.one_of(NAMES, st.sampled_from(HOSTILE)))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_the_pages_own_files_are_served(place, name):
    """By no name does one reach another file."""
    _, _, client = place

    answer = client.get("/static/" + quote(name.encode("utf-8", "replace"), safe=""))

    assert answer.status_code in (200, 401, 404, 405)
    assert "root:" not in answer.text


def storable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


CONTENT = "/api/projects/local/files/runs/abc/files/content"
CREATE = """mutation($files: [String!]!) {
    createRunFiles(input: {projectName: "files", runName: "abc", files: $files}) { files { name uploadUrl } }
}"""
