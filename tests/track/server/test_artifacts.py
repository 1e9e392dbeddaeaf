"""Artifacts over the API: what there is, what is said of it, and where it comes from."""

import pytest

from fulgurite.track.store.collections import PORTFOLIO
from support.artifacts import logged

A = "/api/projects/local/p/artifacts"


@pytest.fixture
def project(store):
    return store.runs.project("p", create=True)


@pytest.fixture
def runs(store, project):
    """A run that makes data, one that trains on it, and one that judges the model."""
    return [store.runs.open(project, name, display_name=name.title())[0] for name in ("prepare", "train", "judge")]


@pytest.fixture
def model(store, project, runs):
    """Data in two versions, of which the second one made a model, which was judged."""
    prepare, train, judge = runs
    logged(store, project, "numbers", "dataset", {"a.csv": b"1"}, prepare)
    data = logged(store, project, "numbers", "dataset", {"a.csv": b"22", "b/c.csv": b"3"}, prepare, aliases=["clean"])
    store.artifacts.lineage.used(train.id, data.id)
    model = logged(store, project, "net", "model", {"w.pt": b"x" * 9}, train, metadata='{"depth": 3}', history_step=4)
    store.artifacts.lineage.used(judge.id, model.id)
    return model


def test_collections_with_what_they_hold(client, store, project, model):
    store.artifacts.collections.tags.add(store.artifacts.collections.find(project, "net").id, ["best"])

    found = {each["name"]: each for each in client.get(A).json()["collections"]}

    assert list(found) == ["net", "numbers"]
    assert (found["numbers"]["type"], found["numbers"]["versions"], found["numbers"]["last"]) == ("dataset", 2, 1)
    assert found["numbers"]["size"] == 4 and found["net"]["tags"] == ["best"]


def test_versions_of_a_collection(client, runs, model):
    answer = client.get(A + "/dataset/numbers").json()

    assert [each["number"] for each in answer["versions"]] == [1, 0] and answer["more"] is False
    assert answer["versions"][0]["aliases"] == ["latest", "clean"] and answer["versions"][1]["aliases"] == []
    assert answer["versions"][0]["made_by"]["display_name"] == "Prepare"
    page = client.get(A + "/dataset/numbers", params={"first": 1}).json()
    assert page["more"] and [each["number"] for each in page["versions"]] == [1]
    assert client.get(A + "/dataset/numbers", params={"before": 1}).json()["versions"][0]["number"] == 0


def test_a_version_by_each_of_its_names(client, model):
    by_number, by_alias = (client.get(f"{A}/dataset/numbers/{name}").json() for name in ("v1", "clean"))

    assert by_number == by_alias and by_number["number"] == 1 and by_number["files"] == 2
    assert [each["name"] for each in by_number["makers"]] == ["prepare"]
    assert [each["name"] for each in by_number["users"]] == ["train"]
    assert client.get(A + "/model/net/latest").json()["metadata"] == {"depth": 3}


def test_a_deleted_maker_is_still_named(client, store, runs, model):
    """It can be brought back for a while; once it is gone for good, nobody made the version."""
    store.runs.delete([runs[1]])
    assert client.get(A + "/model/net/v0").json()["made_by"]["deleted"] is True
    store.purge(older_than=-1)

    assert client.get(A + "/model/net/v0").json()["made_by"] is None


def test_what_is_said_of_a_version_is_changed(client, model):
    said = {"aliases": ["latest", "prod"], "tags": ["paper"], "description": "the one"}
    edited = client.patch(A + "/dataset/numbers/v1", json=said).json()

    assert sorted(edited["aliases"]) == ["latest", "prod"] and edited["tags"] == ["paper"]
    assert edited == client.get(A + "/dataset/numbers/prod").json() and edited["description"] == "the one"
    assert client.get(A + "/dataset/numbers/clean").status_code == 404
    moved = client.patch(A + "/dataset/numbers/v0", json={"aliases": ["prod"]}).json()
    assert moved["aliases"] == ["prod"] and client.get(A + "/dataset/numbers/v1").json()["aliases"] == ["latest"]


def test_what_is_said_of_a_collection_is_changed(client, model):
    edited = client.patch(A + "/model/net", json={"description": "small", "tags": ["a", "b"]}).json()

    assert (edited["description"], edited["tags"]) == ("small", ["a", "b"])
    assert client.patch(A + "/model/net", json={"tags": ["b"]}).json()["tags"] == ["b"]


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"aliases": []}, 400, "always points at a version"),
        ({"aliases": ["latest", "v7"]}, 400, "can't be an alias"),
        ({"aliases": ["latest", 3]}, 400, "list of texts"),
        ({"tags": [" "]}, 400, "can't be a tag"),
        ({"metadata": {}}, 400, "no field 'metadata'"),
        ({"description": 3}, 400, "can't be 3"),
    ],
)
def test_what_cannot_be_said_changes_nothing(client, model, said, status, words):
    before = client.get(A + "/dataset/numbers/v1").json()

    answer = client.patch(A + "/dataset/numbers/v1", json=said)

    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
    assert client.get(A + "/dataset/numbers/v1").json() == before


@pytest.mark.parametrize("path", ["/model/numbers", "/model/nothing", "/dataset/numbers/v7", "/dataset/numbers/nope"])
def test_what_is_not_there(client, model, path):
    assert client.get(A + path).status_code == 404


def test_lineage_goes_both_ways(client, model):
    """From the model back to the data and its maker, and on to who judged it; edges follow the work."""
    answer = client.get(A + "/model/net/v0/lineage").json()

    titles = {each["id"]: each["run"]["name"] if each["run"] else each["artifact"]["name"] for each in answer["nodes"]}
    levels = {titles[each["id"]]: each["level"] for each in answer["nodes"]}
    assert levels == {"net": 0, "train": -1, "numbers": -2, "prepare": -3, "judge": 1}
    edges = {(titles[one], titles[other]) for one, other in answer["edges"]}
    assert edges == {("prepare", "numbers"), ("numbers", "train"), ("train", "net"), ("net", "judge")}
    assert answer["more"] is False
    near = client.get(A + "/model/net/v0/lineage", params={"steps": 1}).json()
    assert len(near["nodes"]) == 3 and near["more"] is True
    assert client.get(A + "/model/net/v0/lineage", params={"steps": 0}).status_code == 400


def test_lineage_in_a_circle_ends(client, store, project, runs):
    """A run may use what it has made itself."""
    found = logged(store, project, "loop", "model", {"a": b"1"}, runs[0])
    store.artifacts.lineage.used(runs[0].id, found.id)

    answer = client.get(A + "/model/loop/v0/lineage").json()

    assert len(answer["nodes"]) == 2 and len(answer["edges"]) == 2


def test_what_a_run_made_and_used(client, model):
    answer = client.get("/api/projects/local/p/runs/train/artifacts").json()

    assert [(each["name"], each["number"]) for each in answer["made"]] == [("net", 0)]
    assert [(each["name"], each["number"], each["aliases"]) for each in answer["used"]] == [
        ("numbers", 1, ["latest", "clean"])
    ]


def test_a_link_in_a_portfolio_has_a_number_of_its_own(client, store, project, model):
    portfolio = store.artifacts.collections.open(project, "good ones", "model", PORTFOLIO)
    store.artifacts.members.add(portfolio, model.id, ["chosen"])

    found = client.get(A + "/model/good%20ones/chosen").json()

    assert (found["kind"], found["number"], found["aliases"]) == ("portfolio", 0, ["latest", "chosen"])
    assert found["source"] == ["local", "p", "model", "net", 0]
