"""What `wandb.Api()` says of artifacts, and what it changes of them."""

import json

import pytest

BEFORE = """
import json
from datetime import timedelta
import wandb
from wandb.errors import CommError

PROJECT, seen = "api", {}

def artifact(name, *files, type="dataset", **more):
    made = wandb.Artifact(name, type, **more)
    for file in files:
        with made.new_file(f"{file}.txt") as written:
            written.write(file)
    return made

def get(name):
    return wandb.Api().artifact(f"{PROJECT}/{name}")

def refused(act):
    try:
        act()
    except (CommError, ValueError) as error:
        return str(error)

with wandb.init(project=PROJECT, id="r") as run:
    for files in ("a", "ab", "abc"):
        run.log_artifact(artifact("d", *files)).wait()
    run.log_artifact(artifact("m", "w", type="model"), aliases=["prod"]).wait()
    run.log_artifact(artifact("d2", "x")).wait()
"""
READS = """
api = wandb.Api()
names = lambda found: [each.name for each in found]
seen["types"] = names(api.artifact_types(PROJECT))
seen["type"] = api.artifact_type("model", PROJECT).collection("m").name
seen["collections"] = names(api.artifact_collections(PROJECT, "dataset"))
seen["in order"] = names(api.artifact_type("dataset", PROJECT).collections(order="-name"))
seen["chosen"] = names(api.artifact_type("dataset", PROJECT).collections(filters={"name": {"$regex": "2$"}}))
seen["all"] = sorted(names(api.project(PROJECT).collections()))
collection = api.artifact_collection("model", f"{PROJECT}/m")
seen["collection"] = [collection.aliases, collection.type, collection.is_sequence()]
seen["versions"] = names(api.artifacts("dataset", f"{PROJECT}/d"))
seen["oldest first"] = names(api.artifacts("dataset", f"{PROJECT}/d", order="+created_at"))
seen["one a page"] = names(api.artifacts("dataset", f"{PROJECT}/d", per_page=1))
seen["how many"] = len(api.artifacts("dataset", f"{PROJECT}/d"))
seen["there"] = [
    api.artifact_exists(f"{PROJECT}/d:v2"), api.artifact_exists(f"{PROJECT}/d:v3"),
    api.artifact_exists(f"{PROJECT}/e"), api.artifact_collection_exists(f"{PROJECT}/d", "dataset"),
    api.artifact_collection_exists(f"{PROJECT}/e", "dataset"),
]
files = get("d:v2").files(per_page=2)
seen["files"] = [len(files), [[file.name, file.size, file.mimetype] for file in files]]
seen["named"] = names(get("d:v2").files(names=["b.txt"]))
seen["file"] = get("d:v2").files()[0].download(root="one", replace=True).read()
seen["only"] = open(get("d:v0").file()).read()
seen["missing"] = [refused(lambda: get("e:v0")), refused(lambda: api.artifact("nowhere/d:v0"))]
seen["made"] = names(api.run(f"{PROJECT}/r").logged_artifacts(per_page=2))
seen["checked out"] = get("d:v1").checkout("out")
"""
EDITS = """
PROJECT = "edits"
with wandb.init(project=PROJECT, id="r") as run:
    for files in ("a", "ab", "abc"):
        run.log_artifact(artifact("d", *files), aliases=["keep"]).wait()
    run.log_artifact(artifact("m", "w", type="model")).wait()
    one = get("d:v1")
    one.description, one.metadata, one.tags, one.ttl = "words", {"k": [1]}, ["x", "y"], timedelta(days=2)
    one.aliases += ["p", "q"]
    one.save()
    one = get("d:p")
    seen["said"] = [one.description, one.metadata, [*one.tags], one.ttl.days, sorted(one.aliases)]
    one.tags.remove("x")
    one.aliases.remove("p")
    one.ttl = None
    one.save()
    one = get("d:q")
    seen["unsaid"] = [one.tags, one.ttl, one.aliases]

    linked = run.link_artifact(one, f"{PROJECT}/port", aliases=["live"])
    seen["linked"] = [linked.name, linked.aliases, linked.source_name, [each.name for each in one.linked_artifacts]]
    run.link_artifact(get("d:v0"), f"{PROJECT}/port")
    seen["relinked"] = [get("port:latest").source_name, get("port:live").source_name, get("port:v1").version]
    seen["wrong"] = refused(lambda: run.link_artifact(get("m:v0"), f"{PROJECT}/port"))
    registered = run.link_artifact(get("m:v0"), "wandb-registry-model/best")
    seen["registered"] = [registered.name, registered.project]
get("port:latest").unlink()
seen["unlinked"] = [get("port:latest").source_name, get("d:v0").linked_artifacts]
get("port:latest").delete()
seen["deleted link"] = [wandb.Api().artifact_exists(f"{PROJECT}/port:v0"), get("d:q").version]

collection = wandb.Api().artifact_collection("model", f"{PROJECT}/m")
collection.name, collection.description, collection.tags, collection.type = "n", "about", ["s", "t"], "net"
collection.save()
collection = wandb.Api().artifact_collection("net", f"{PROJECT}/n")
collection.tags.remove("s")
collection.save()
collection = wandb.Api().artifact_collection("net", f"{PROJECT}/n")
seen["collection"] = [collection.name, collection.description, collection.tags, collection.type]

seen["has aliases"] = refused(lambda: get("d:v2").delete())
get("d:v2").delete(delete_aliases=True)
seen["after"] = [[each.name, each.aliases] for each in wandb.Api().artifacts("dataset", f"{PROJECT}/d")]
with wandb.init(project=PROJECT, id="r2") as run:
    seen["next"] = run.log_artifact(artifact("d", "z")).wait().name
wandb.Api().run(f"{PROJECT}/r2").delete(delete_artifacts=True)
seen["run gone"] = [wandb.Api().artifact_exists(f"{PROJECT}/d:v3"), get("d:latest").version, get("d:v0").logged_by().id]
wandb.Api().artifact_collection("dataset", f"{PROJECT}/d").delete()
seen["gone"] = [wandb.Api().artifact_exists(f"{PROJECT}/d:v0"), refused(lambda: get("d:v0"))]
"""
AFTER = "\nprint(json.dumps(seen))\n"


@pytest.fixture(scope="module")
def reads(server):
    return json.loads(server.client(BEFORE + READS + AFTER).splitlines()[-1])


@pytest.fixture(scope="module")
def edits(server):
    return json.loads(server.client(BEFORE + EDITS + AFTER).splitlines()[-1])


def test_types_and_collections_are_listed(reads):
    """In an order and with filters, too."""
    assert reads["types"] == ["dataset", "model"]
    assert reads["type"] == "m"
    assert reads["collections"] == ["d2", "d"]
    assert reads["in order"] == ["d2", "d"]
    assert reads["chosen"] == ["d2"]
    assert reads["all"] == ["d", "d2", "m"]
    assert reads["collection"] == [["latest", "prod"], "model", True]


def test_versions_are_listed(reads):
    """The newest first, if nothing else is said; whatever the size of a page."""
    newest_first = ["d:v2", "d:v1", "d:v0"]
    assert reads["versions"] == reads["one a page"] == newest_first
    assert reads["oldest first"] == newest_first[::-1]
    assert reads["how many"] == 3
    assert reads["made"] == ["d:v0", "d:v1", "d:v2", "m:v0", "d2:v0"]


def test_what_is_not_there_is_said_so(reads):
    assert reads["there"] == [True, False, False, True, False]
    assert "'e:v0' not found" in reads["missing"][0]
    assert "project 'nowhere' not found" in reads["missing"][1]


def test_files_of_an_artifact_are_listed(reads):
    assert reads["files"] == [3, [[f"{name}.txt", 1, "text/plain"] for name in "abc"]]
    assert reads["named"] == ["b.txt"]
    assert (reads["file"], reads["only"]) == ("a", "a")


def test_a_version_is_described(edits):
    """Words, metadata, tags, time to live and aliases can be changed, and taken back."""
    assert edits["said"] == ["words", {"k": [1]}, ["x", "y"], 2, ["p", "q"]]
    assert edits["unsaid"] == [["y"], None, ["q"]]


def test_a_version_is_linked_to_portfolios(edits):
    """There it has another number and aliases of its own; a link can be taken away and leaves the version."""
    assert edits["linked"] == ["port:v0", ["latest", "live"], "d:v1", ["port:v0"]]
    assert edits["relinked"] == ["d:v0", "d:v1", "v1"]
    assert "is a portfolio of type 'dataset'" in edits["wrong"]
    assert edits["registered"] == ["best:v0", "wandb-registry-model"]
    assert edits["unlinked"] == ["d:v1", []]
    assert edits["deleted link"] == [False, "v1"]


def test_a_collection_is_described(edits):
    assert edits["collection"] == ["n", "about", ["t"], "net"]


def test_a_version_is_deleted(edits):
    """Not by mistake while aliases point at it; `latest` goes back, and its number is not given out again."""
    assert "has aliases: latest, keep" in edits["has aliases"]
    assert edits["after"] == [["d:v1", ["q", "latest"]], ["d:v0", []]]
    assert edits["next"] == "d:v3"
    assert edits["run gone"] == [False, "v1", "r"]
    assert edits["gone"][0] is False
    assert "'d:v0' not found" in edits["gone"][1]
