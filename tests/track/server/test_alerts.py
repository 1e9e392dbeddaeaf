"""Alerts over the API: of all runs of a project, page by page, and how many are new."""

import pytest

P = "/api/projects/local/p/alerts"


@pytest.fixture
def alerts(store):
    """Five alerts of two runs in turn, and one of another project."""
    project = store.runs.project("p", create=True)
    runs = [store.runs.open(project, name, display_name=name.upper())[0] for name in ("a", "b")]
    for i in range(5):
        store.runs.alert(runs[i % 2], f"t{i}", "text", ["INFO", "WARN", "ERROR"][i % 3])
    other, _ = store.runs.open(store.runs.project("q", create=True), "c")
    store.runs.alert(other, "elsewhere", "", "INFO")
    return runs


def titles(client, **parameters):
    return [each["title"] for each in client.get(P, params=parameters).json()["alerts"]]


def test_the_newest_are_first_with_their_runs(client, alerts):
    answer = client.get(P).json()

    assert [each["title"] for each in answer["alerts"]] == ["t4", "t3", "t2", "t1", "t0"]
    assert answer["alerts"][0]["run"]["display_name"] == "A" and answer["more"] is False
    assert answer["last"] == answer["alerts"][0]["id"] and answer["fresh"] == 5


def test_levels_and_pages(client, alerts):
    assert titles(client, level="WARN") == ["t4", "t1"]
    page = client.get(P, params={"first": 2}).json()
    assert page["more"] and titles(client, before=page["alerts"][-1]["id"]) == ["t2", "t1", "t0"]


def test_new_ones_are_counted(client, store, alerts):
    last = client.get(P, params={"first": 0}).json()["last"]
    assert client.get(P, params={"first": 0, "after": last}).json()["fresh"] == 0

    store.runs.alert(alerts[0], "late", "", "ERROR")

    assert client.get(P, params={"first": 0, "after": last}).json()["fresh"] == 1


def test_those_of_deleted_runs_are_left_out(client, store, alerts):
    store.runs.delete([alerts[0]])

    assert titles(client) == ["t3", "t1"]


@pytest.mark.parametrize("parameters", [{"level": "LOUD"}, {"first": 1001}, {"after": "x"}])
def test_what_cannot_be_understood(client, alerts, parameters):
    assert client.get(P, params=parameters).status_code == 400
