"""Artifacts with clients of other versions."""

import json
import sys

import pytest

from support.clients import python_of

SCRIPT = """
import json, os
from pathlib import Path
import wandb

project, seen = os.environ["PROJECT"], {}

def artifact(name, *files, **more):
    made = wandb.Artifact(name, "dataset", **more)
    for file in files:
        with made.new_file(file + ".txt", mode="w") as written:
            written.write(file)
    return made

run = wandb.init(project=project, id="a")
run.log_artifact(artifact("d", "a", description="words", metadata={"k": 1}), aliases=["best"]).wait()
run.log_artifact(artifact("d", "a", "b")).wait()
again = run.log_artifact(artifact("d", "a"), aliases=["again"])
again.wait()
seen["again"] = again.version
added = artifact("d", "c", incremental=True)
run.log_artifact(added).wait()
refs = wandb.Artifact("refs", "dataset")
Path("local.txt").write_text("here")
refs.add_reference(Path("local.txt").resolve().as_uri())
refs.add(wandb.Table(columns=["x"], data=[[1]]), "t")
run.log_artifact(refs).wait()
run.log({"rows": wandb.Table(columns=["x"], data=[[5]])})
run.link_artifact(again, "local/" + project + "/port", aliases=["live"])
run.finish()

run = wandb.init(project=project, id="b")
used = run.use_artifact("d:best")
seen["used"] = [used.version, used.description, used.metadata, sorted(used.aliases)]
folder = Path(used.download())
used.verify()
seen["files"] = sorted(path.name for path in folder.iterdir())
seen["added"] = sorted(path.name for path in Path(run.use_artifact("d:latest").download()).iterdir())
refs = run.use_artifact("refs:latest")
seen["refs"] = [Path(refs.download(), "local.txt").read_text(), refs.get("t").data]
run.finish()

api = wandb.Api()
path = "local/" + project + "/"
get = lambda name: api.artifact(path + name)
seen["port"] = [get("port:live").source_version, sorted(get("port:v0").aliases)]
one = get("d:v1")
one.description, one.metadata = "other", {"k": 2}
one.aliases.append("mine")
one.save()
one = wandb.Api().artifact(path + "d:mine")
seen["edited"] = [one.description, one.metadata, one.version, one.aliases]
seen["types"] = sorted(each.name for each in api.artifact_types(project))
seen["collections"] = sorted(each.name for each in api.artifact_type("dataset", project).collections())
versions = api.artifact_versions("dataset", path + "d")
seen["versions"] = [each.version for each in versions]
seen["listed"] = [each.name for each in get("d:v1").files()]
seen["made"] = sorted(each.name for each in api.run(path + "a").logged_artifacts())
seen["inputs"] = sorted(each.name for each in api.run(path + "b").used_artifacts())
seen["lineage"] = [get("d:best").logged_by().id, [each.id for each in get("d:best").used_by()]]
get("d:v1").delete(delete_aliases=True)
seen["left"] = [each.version for each in wandb.Api().artifact_versions("dataset", path + "d")]
print("SEEN", json.dumps(seen))
"""

VERSIONS = [
    pytest.param("0.31", marks=pytest.mark.slow),
    pytest.param("0.28.2", marks=pytest.mark.clients),
    pytest.param("0.23.1", marks=pytest.mark.slow),
    pytest.param("0.21.4", marks=pytest.mark.clients),
    pytest.param("0.19.11", marks=pytest.mark.clients),
    pytest.param("0.16.6", marks=pytest.mark.clients),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_logs_uses_and_changes_artifacts(server, version):
    """The same script with each version; "0.31" is whichever is installed beside the tests."""
    python = sys.executable if version == "0.31" else python_of(version)
    project = f"v{version.replace('.', '-')}"

    printed = server.client(SCRIPT, python, PROJECT=project, WANDB_ERROR_REPORTING="false")

    seen = json.loads(printed.split("SEEN ")[1])
    assert seen["again"] == "v0"
    assert seen["used"] == ["v0", "words", {"k": 1}, ["again", "best"]]
    assert (seen["files"], seen["added"]) == (["a.txt"], ["a.txt", "c.txt"])
    assert seen["refs"] == ["here", [[1]]]
    assert seen["port"] == ["v0", ["latest", "live"]]
    assert seen["edited"] == ["other", {"k": 2}, "v1", ["mine"]]
    assert seen["types"] == ["dataset", "run_table"]
    assert seen["collections"] == ["d", "port", "refs"]
    assert (seen["versions"], seen["listed"]) == (["v2", "v1", "v0"], ["a.txt", "b.txt"])
    assert seen["made"] == ["d:v0", "d:v1", "d:v2", "refs:v0", "run-a-rows:v0"]
    assert seen["inputs"] == ["d:v0", "d:v2", "refs:v0"]
    assert seen["lineage"] == ["a", ["b"]]
    assert seen["left"] == ["v2", "v0"]
