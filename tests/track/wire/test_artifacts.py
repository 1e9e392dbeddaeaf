"""Artifacts of the real client: logged, found, used and got back whole."""

import json

import pytest

LOG_AND_DOWNLOAD = """
import wandb
from pathlib import Path

Path("things").mkdir(exist_ok=True)
Path("things/a.txt").write_text("first")
Path("things/ü b%c.txt").write_text("second")
with wandb.init(project="thin", id="made") as run:
    artifact = wandb.Artifact("things", "dataset", description="some things", metadata={"rows": 2, "of": {"x": [1]}})
    artifact.add_dir("things")
    logged = run.log_artifact(artifact, aliases=["best"], tags=["t"]).wait()
    print(logged.name, logged.aliases, logged.size, logged.file_count, logged.state, logged.tags)
with wandb.init(project="thin", id="uses") as run:
    used = run.use_artifact("things:best")
    folder = Path(used.download())
    print(sorted((str(p.relative_to(folder)), p.read_text()) for p in folder.rglob("*") if p.is_file()))
    used.verify()
    print(used.description, used.metadata, used.version, [r.id for r in used.used_by()], used.logged_by().id)
    print(Path(used.get_entry("a.txt").download("alone")).read_text())
"""


def test_an_artifact_comes_back_whole(server):
    """Files with any name, words and aliases are there; the runs that made and used it are known."""
    printed = server.client(LOG_AND_DOWNLOAD).splitlines()

    assert printed[0] == "things:v0 ['latest', 'best'] 11 2 COMMITTED ['t']"
    assert printed[1] == "[('a.txt', 'first'), ('ü b%c.txt', 'second')]"
    assert printed[2] == "some things {'rows': 2, 'of': {'x': [1]}} v0 ['uses'] made"
    assert printed[3] == "first"


# Each script fills `seen` and prints it as JSON at its end.
BEFORE = """
import json, os
from pathlib import Path
import wandb

seen = {}

def artifact(name, *files, type="dataset", **more):
    made = wandb.Artifact(name, type, **more)
    for file in files:
        with made.new_file(f"{file}.txt") as written:
            written.write(file)
    return made

def api(name):
    return wandb.Api().artifact(f"{PROJECT}/{name}")
"""
AFTER = """
print(json.dumps(seen))
"""

VERSIONS = """
PROJECT = "versions"
with wandb.init(project=PROJECT, id="v") as run:
    run.log_artifact(artifact("d", "a"), aliases=["best"]).wait()
    second = run.log_artifact(artifact("d", "a", "b"), aliases=["best", "other"]).wait()
    seen["second"] = [second.version, api("d:v0").aliases, api("d:best").version, api("d").version]
    again = run.log_artifact(artifact("d", "a"), aliases=["again"]).wait()
    seen["again"] = [again.version, again.aliases, api("d:v1").aliases]
    draft = api("d:v1").new_draft()
    with draft.new_file("c.txt") as written:
        written.write("c")
    draft.remove("a.txt")
    seen["draft"] = [run.log_artifact(draft).wait().version, sorted(api("d:latest").manifest.entries)]
    added = run.log_artifact(artifact("d", "e", incremental=True)).wait()
    got = api("d:latest")
    folder = Path(got.download())
    seen["added"] = [added.version, sorted(path.name for path in folder.iterdir()), got.digest == got.manifest.digest()]
    for name in "xy":
        run.upsert_artifact(artifact("shared", name), distributed_id="g").wait()
    run.finish_artifact(artifact("shared", "z"), distributed_id="g").wait()
    got = api("shared:latest")
    seen["shared"] = [got.version, sorted(got.manifest.entries), got.digest == got.manifest.digest()]
    try:
        run.log_artifact(artifact("d", "a", type="model")).wait()
    except ValueError as error:
        seen["refused"] = str(error)
    try:
        run.log_artifact(artifact("other", "a"), aliases=["v3"]).wait()
    except ValueError as error:
        seen["numbered"] = str(error)
"""


@pytest.fixture(scope="module")
def versions(server):
    return json.loads(server.client(BEFORE + VERSIONS + AFTER))


def test_aliases_move_to_the_new_version(versions):
    assert versions["second"] == ["v1", [], "v1", "v1"]


def test_the_same_content_is_the_same_version(versions):
    """It gets the new aliases, and `latest`, since that is what was logged last."""
    assert versions["again"] == ["v0", ["latest", "again"], ["best", "other"]]


def test_a_draft_is_the_next_version(versions):
    assert versions["draft"] == ["v2", ["b.txt", "c.txt"]]


def test_an_incremental_artifact_adds_to_the_latest_version(versions):
    assert versions["added"] == ["v3", ["b.txt", "c.txt", "e.txt"], True]


def test_several_writers_make_one_version(versions):
    """Nothing is to be seen of it before the last one finishes it."""
    assert versions["shared"] == ["v0", ["x.txt", "y.txt", "z.txt"], True]


def test_what_can_not_be_is_refused(versions):
    """A name that is taken by another type, and an alias that looks like a version."""
    assert "already exists with type 'dataset'" in versions["refused"]
    assert "'v3' can't be an alias" in versions["numbered"]


KINDS = """
PROJECT = "kinds"
Path("local.txt").write_text("here")
Path("model.bin").write_text("weights")
Path("code").mkdir(exist_ok=True)
Path("code/train.py").write_text("x = 1")
with wandb.init(project=PROJECT, id="k") as run:
    refs = wandb.Artifact("refs", "dataset")
    refs.add_reference(Path("local.txt").resolve().as_uri())
    refs.add_reference("http://127.0.0.1:9/never.bin", name="far.bin", checksum=False)
    refs = run.log_artifact(refs).wait()
    seen["refs"] = [refs.file_count, [[f.name, f.direct_url] for f in refs.files()]]
    seen["followed"] = Path(refs.get_entry("local.txt").download()).read_text()

    table = wandb.Table(columns=["x", "y"], data=[[1, "a"], [2, "b"]])
    first, second = wandb.Artifact("first", "dataset"), wandb.Artifact("second", "dataset")
    first.add(table, "t")
    run.log_artifact(first)
    second.add(table, "same")
    run.log_artifact(second).wait()
    seen["table"] = [api("first:latest").get("t").data, api("second:latest").get("same").data]
    seen["ref"] = [api("second:latest").manifest.entries["same.table.json"].ref, first.wait().id]

    run.log({"rows": wandb.Table(columns=["x"], data=[[5]])})
    run.log_code("code")
    run.log_model("model.bin", name="m", aliases=["x"])
    linked = run.link_model("model.bin", registered_model_name="Registered", name="m")
    seen["linked"] = [linked.name, linked.source_name, linked.project]
seen["run table"] = [a.type for a in wandb.Api().run(f"{PROJECT}/k").logged_artifacts() if "rows" in a.name]
with wandb.init(project=PROJECT, id="k2") as run:
    seen["model"] = Path(run.use_model("m:x")).read_text()
    seen["registered"] = run.use_artifact("model-registry/Registered:latest").source_name
seen["used"] = [a.name for a in wandb.Api().run(f"{PROJECT}/k2").used_artifacts()]
code = [a for a in wandb.Api().run(f"{PROJECT}/k").logged_artifacts() if a.type == "code"]
seen["code"] = sorted(code[0].manifest.entries)
"""


@pytest.fixture(scope="module")
def kinds(server):
    return json.loads(server.client(BEFORE + KINDS + AFTER))


def test_references_are_kept_as_addresses(kinds):
    """They count as files, are followed by the client, and cost nothing here."""
    (far, far_url), (local, local_url) = kinds["refs"][1]
    assert kinds["refs"][0] == 2
    assert (far, far_url, local) == ("far.bin", "http://127.0.0.1:9/never.bin", "local.txt")
    assert local_url.startswith("file://")
    assert kinds["followed"] == "here"


def test_tables_live_in_artifacts(kinds):
    """Also in one that refers to the first, which had no id yet when it was logged; and what `run.log` is given."""
    assert kinds["table"] == [[[1, "a"], [2, "b"]]] * 2
    assert kinds["ref"][0].startswith("wandb-artifact://")
    assert kinds["run table"] == ["run_table"]


def test_models_and_code_are_artifacts(kinds):
    assert kinds["model"] == "weights"
    assert kinds["linked"] == ["Registered:v0", "m:v0", "model-registry"]
    assert kinds["registered"] == "m:v0"
    assert kinds["used"] == ["m:v0"]
    assert kinds["code"] == ["train.py"]
