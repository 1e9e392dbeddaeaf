"""Clients of other versions log to the server and read from it."""

import json
import sys

import pytest

from support.clients import python_of

SCRIPT = """
import json, os, wandb

run = wandb.init(project="old", id=os.environ["ID"], config={"lr": 0.1, "deep": {"a": 1}}, tags=["t"], notes="n",
                 group="g", job_type="j", name="A name")
for i in range(20):
    run.log({"loss": 1 / (i + 1), "deep": {"a": i}, "nan": float("nan"), "text": "ü"})
print("hello from the run")
open("my file 50%.txt", "w").write("hi")
run.save("my file 50%.txt")
run.summary["best"] = 1
run.alert(title="T", text="x")
run.finish()
run = wandb.init(project="old", id=os.environ["ID"], resume="must")
run.log({"loss": 0.01})
print("taken up again")
run.finish()

api = wandb.Api()
run = api.run("local/old/" + os.environ["ID"])
seen = {
    "state": run.state, "config": dict(run.config), "best": run.summary["best"],
    "history": len(run.history(pandas=False)), "keyed": len(run.history(keys=["loss", "deep.a"], pandas=False)),
    "scan": [row["_step"] for row in run.scan_history()],
    "scan_keys": [row["_step"] for row in run.scan_history(keys=["_step", "loss", "deep.a"], page_size=3)],
    "files": [file.name for file in run.files()],
    "file": run.file("my file 50%.txt").download("got", replace=True).read(),
}
run.upload_file("my file 50%.txt")
run.config["x"] = 5
run.tags, run.notes, run.name = ["edited"], "other", "new"
run.update()
run.summary["z"] = 3
run.summary.update()
again = wandb.Api().run("local/old/" + os.environ["ID"])
seen["edited"] = [again.config["x"], again.tags, again.notes, again.name, again.summary["z"]]
filters = {"$and": [{"config.lr": 0.1}, {"tags": {"$in": ["edited"]}}, {"name": run.id}]}
seen["found"] = [each.id for each in api.runs("local/old", filters=filters, order="-summary_metrics.loss")]
try:
    list(api.runs("local/old", filters={"config.lr": {"$near": 1}}))
except Exception as error:
    seen["refused"] = str(error)
seen["projects"] = [project.name for project in api.projects("local")]
seen["reports"] = len(list(api.reports("local/old")))
run.file("my file 50%.txt").delete()
seen["left"] = len(run.files())
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
def test_a_client_logs_takes_up_a_run_and_reads_it_back(server, version):
    """The same script with each version; "0.31" is whichever is installed beside the tests."""
    python = sys.executable if version == "0.31" else python_of(version)
    name = f"v{version.replace('.', '-')}"

    printed = server.client(SCRIPT, python, ID=name, WANDB_ERROR_REPORTING="false")

    seen = json.loads(printed.split("SEEN ")[1])
    run = server.run(name, "old")
    assert (run.state, run.exit_code, run.group_name, run.job_type) == ("finished", 0, "g", "j")
    assert run.row_count == 21 and run.summary["loss"] == 0.01
    assert [line.line for line in server.store.console.read(run.id)][:2] == ["hello from the run", "taken up again"]
    assert len(server.store.runs.alerts(run)) == 1
    assert seen["config"] == {"lr": 0.1, "deep": {"a": 1}} and (seen["state"], seen["best"]) == ("finished", 1)
    assert (seen["history"], seen["keyed"]) == (21, 20)
    assert (seen["scan"], seen["scan_keys"]) == (list(range(21)), list(range(20)))
    assert (seen["file"], seen["left"]) == ("hi", len(seen["files"]) - 1)
    assert seen["edited"] == [5, ["edited"], "other", "new", 3]
    assert seen["found"] == [name] and "$near is not known" in seen["refused"]
    assert "old" in seen["projects"] and seen["reports"] == 0
