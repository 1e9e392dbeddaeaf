"""What is done to many rows of the table at once: all matches named, tagged and saved as a file."""

import csv
import io
import time

import pytest

from fulgurite.track.store.runs import SILENCE

P = "/api/projects/local/p"


@pytest.fixture
def runs(store):
    project = store.runs.project("p", create=True)
    found = []
    for i in range(3):
        run, _ = store.runs.open(
            project, f"r{i}", created_at=1000.0 + i, config={"lr": i / 10}, tags=["old"] if i else []
        )
        found.append(store.end(run, 0) if i else run)
    return found


def as_table(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_all_matches_are_named_in_their_order(client, runs):
    assert client.get(P + "/names").json() == {"names": ["r2", "r1", "r0"], "matched": 3}
    found = client.get(P + "/names", params={"filter": "tags=old", "sort": "config.lr"}).json()
    assert found == {"names": ["r1", "r2"], "matched": 2}
    assert client.get(P + "/names", params={"from": 1, "first": 1}).json()["names"] == ["r1"]


def test_several_runs_are_tagged(client, store, runs):
    """Only those that change get a new version, and only they are named."""
    before = [store.runs.by_id(run.id).version for run in runs]

    answer = client.post(P + "/tagged", json={"runs": ["r0", "r1", "r2"], "add": ["old", "new"]})
    assert answer.json() == {"changed": ["r0", "r1", "r2"]}
    assert [store.runs.by_id(run.id).tags for run in runs] == [["old", "new"]] * 3
    assert all(store.runs.by_id(run.id).version > version for run, version in zip(runs, before, strict=True))

    assert client.post(P + "/tagged", json={"runs": ["r0", "r1"], "add": ["new"]}).json() == {"changed": []}
    client.post(P + "/tagged", json={"runs": ["r0", "r1"], "remove": ["new"]})
    assert [store.runs.by_id(run.id).tags for run in runs] == [["old"], ["old"], ["old", "new"]]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"runs": ["r0", "gone"], "add": ["x"]}, 404, "local/p/gone"),
        ({"runs": ["r0"], "add": [1]}, 400, "'add' must be a list of texts"),
        ({"add": ["x"]}, 400, "'runs' must be a list of texts"),
        ({"runs": ["r0"], "set": ["x"]}, 400, "no field 'set'"),
    ],
)
def test_what_cannot_be_tagged_is_named_and_nothing_is_changed(client, store, runs, body, status, words):
    answer = client.post(P + "/tagged", json=body)

    assert answer.status_code == status and words in answer.json()["error"]
    assert store.runs.by_id(runs[0].id).tags == []


def test_a_reader_tags_nothing(client, store, runs):
    key = store.users.add("eve", "reader")

    answer = client.post(P + "/tagged", json={"runs": ["r0"], "add": ["x"]}, headers={"Authorization": f"Bearer {key}"})

    assert answer.status_code == 403 and store.runs.by_id(runs[0].id).tags == []


def test_the_table_as_a_file(client, store, runs):
    """All matches with all columns unless some are named; times in ISO 8601, what is not there empty."""
    store.runs.update(runs[1], summary={"loss": 0.25, "seen": ["a", 1]}, notes='say "hi",\nthen go')

    rows = as_table(client.get(P + "/table.csv", params={"sort": "config.lr"}))
    assert [row["name"] for row in rows] == ["r0", "r1", "r2"]
    assert rows[1]["config.lr"] == "0.1" and rows[1]["summary.loss"] == "0.25" and rows[0]["summary.loss"] == ""
    assert rows[1]["summary.seen"] == '["a", 1]' and rows[1]["notes"] == 'say "hi",\nthen go'
    assert rows[1]["created"] == "1970-01-01T00:16:41+00:00" and rows[1]["tags"] == "old"

    few = as_table(client.get(P + "/table.csv", params={"column": ["name", "config.lr"], "filter": "config.lr>0.1"}))
    assert few == [{"name": "r2", "config.lr": "0.2"}]


@pytest.mark.parametrize(
    "text", ["=1+2", "+cmd", "-cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", " =1", "|x", "%x", "\uff1d1"]
)
def test_no_text_becomes_a_formula(client, store, runs, text):
    """Neither a value nor a tag, nor the name of a column."""
    store.runs.update(runs[0], display_name=text, tags=[text], config={text: text})

    answer = client.get(P + "/table.csv", params={"sort": "created"})

    rows = list(csv.reader(io.StringIO(answer.content.decode(), newline="")))
    values = dict(zip(rows[0], rows[1], strict=True))
    assert values["name"] == values["tags"] == values[f"config.{text}"] == "'" + text


def test_numbers_stay_numbers_in_the_file(client, store, runs):
    store.runs.update(runs[0], config={"a": -1.5, "b": "-3e5", "c": float("inf"), "d": True})

    row = as_table(client.get(P + "/table.csv", params={"sort": "created"}))[0]

    assert [row[f"config.{name}"] for name in "abcd"] == ["-1.5", "-3e5", "Infinity", "true"]


def test_a_file_of_a_project_with_any_name(client, store):
    store.runs.open(store.runs.project('mö "x"/y', create=True), "a")

    answer = client.get("/api/projects/local/m%C3%B6%20%22x%22%2Fy/table.csv")

    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"m-x-y.csv\"; filename*=utf-8''m%C3%B6%20%22x%22%2Fy.csv"
    )


def test_what_there_is_to_choose_from(client, store, runs):
    """Tags and groups of all runs, the most frequent first."""
    store.runs.update(runs[2], tags=["new", "old"], group_name="g")

    own = client.get(P + "/columns").json()["own"]

    assert own["tags"] == ["old", "new"] and own["group"] == ["g"]
    assert own["state"] == ["finished", "running"]


def test_a_run_that_falls_silent_is_told_again(client, store, runs):
    """It counts as crashed then, though nobody has said so and its version is the same."""
    store.runs.update(runs[0], seen_at=time.time() - SILENCE - 1)
    latest = client.get(P + "/table").json()["version"]

    news = client.get(P + "/table", params={"since": latest}).json()

    assert [(each["name"], each["state"]) for each in news["runs"]] == [("r0", "crashed")]


def test_a_project_by_itself(client, store, runs):
    client.patch(P, json={"description": "all about it"})

    project = client.get(P).json()

    assert (project["name"], project["description"], project["runs"], project["running"]) == ("p", "all about it", 3, 1)
    assert client.get("/api/projects").json()["projects"] == [project]
    assert client.get("/api/projects/local/none").status_code == 404
