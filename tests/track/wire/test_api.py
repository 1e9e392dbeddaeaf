"""`wandb.Api()`, the real one, reads and edits what is in the store."""

import json
import math
import time

import pytest

from fulgurite.track.store.history import SYSTEM


@pytest.fixture(scope="module")
def filled(server):
    """Project ``many`` with runs of several kinds; ``main`` has rows, system metrics, console lines and files."""
    store = server.store
    project = store.runs.project("many", create=True)
    for i in range(6):
        run, _ = store.runs.open(
            project, f"r{i}", config={"lr": i / 10, "deep": {"n": i}}, summary={"loss": 1 / (i + 1)}
        )
        store.runs.update(
            run, tags=["even"] if i % 2 == 0 else [], group_name="g" if i < 3 else None, display_name=f"Run {i}"
        )
        store.end(run, i % 3)
    main, _ = store.runs.open(project, "main", config={"lr": 5}, summary={"loss": math.nan, "best": math.inf})
    rows = [
        (i, {"loss": i / 2, "deep": {"a": i}, "_timestamp": 1e9 + i, **({"rare": i} if i % 10 == 0 else {})})
        for i in range(95)
    ]
    store.history.append(main.id, [*rows, (95, {"loss": math.nan, "note": "é"})])
    store.history.append(main.id, [(1000 * i, {"system.cpu": i, "_timestamp": i}) for i in range(1, 4)], SYSTEM)
    for name in ("a.json", "dir/b.json", "50% ü.txt"):
        store.blobs.put(main.id, name, store.blobs.keep_bytes(f"content of {name}".encode()))
    lines = [f"2026-11-23T06:57:10 line {i}" for i in range(25)] + ["ERROR 2026-11-23T06:57:11 wrong"]
    server.stream("main", {"files": {"output.log": {"offset": 0, "content": lines}}, "complete": True}, "many")
    return server


def api(server, script, **environment):
    """What a script prints as its last line, which is JSON."""
    printed = server.client(f"import json, wandb\napi = wandb.Api()\n{script}", **environment)
    return json.loads(printed.strip().splitlines()[-1])


LISTS = """
def ids(**asked):
    return [run.id for run in api.runs("local/many", **asked)]

def refused(**asked):
    try:
        ids(**asked)
    except Exception as error:
        return str(error)

print(json.dumps({
    "all": ids(order="+created_at", per_page=3),
    "newest": ids(order="-created_at")[0],
    "count": len(api.runs("local/many", {"state": "finished"})),
    "and": ids(filters={"$and": [{"config.lr": {"$lt": 0.5}}, {"tags": {"$in": ["even"]}}]}, order="-config.lr"),
    "or": ids(filters={"$or": [{"display_name": {"$regex": "^Run [12]$"}}, {"group": None, "state": "failed"}]}),
    "loss": ids(filters={"summary_metrics.loss": {"$gt": 0.3}}, order="+summary_metrics.loss"),
    "full": [run.config["deep"]["n"] for run in api.runs("local/many", {"config.deep.n": {"$gte": 4}}, lazy=False)],
    "operator": refused(filters={"config.lr": {"$near": 1}}),
    "field": refused(filters={"colour": 1}),
    "order": refused(order="-beauty"),
    "nowhere": refused(filters={"name": {"$regex": "("}}),
    "projects": [project.name for project in api.projects("local")],
    "project": api.project("many").id,
    "viewer": [api.viewer.username, api.default_entity, api.viewer.teams, [user.name for user in api.users("local")]],
    "team": [member.username for member in api.team("local").members],
    "reports": len(api.reports("local/many")) if list(api.reports("local/many")) else 0,
    "histories": len(api.runs("local/many").histories(keys=["loss"], samples=10)),
}))
"""


def test_runs_are_listed_filtered_and_ordered(filled):
    seen = api(filled, LISTS)

    assert seen["all"] == [*(f"r{i}" for i in range(6)), "main"]
    assert (seen["newest"], seen["count"]) == ("main", 3)
    assert seen["and"] == ["r4", "r2", "r0"]
    assert seen["or"] == ["r1", "r2", "r4", "r5"]
    assert seen["loss"] == ["r2", "r1", "r0"]
    assert seen["full"] == [4, 5]
    assert "$near is not known" in seen["operator"] and "no field 'colour'" in seen["field"]
    assert "no field 'beauty'" in seen["order"] and "no regular expression" in seen["nowhere"]
    assert "many" in seen["projects"] and seen["project"]
    assert seen["viewer"] == ["local", "local", ["local"], ["local"]]
    assert (seen["team"], seen["reports"], seen["histories"]) == (["local"], 0, 10)


READS = """
import os
run = api.run("local/many/main")

def fails(what):
    try:
        return str(what())
    except Exception as error:
        return f"{type(error).__name__}: {error}"

lines = list(run.console_logs(per_page=10))
exported = run.download_history_exports("exports", require_complete_history=False)
print(json.dumps({
    "config": dict(run.config), "summary": {key: str(value) for key, value in run.summary.items()}, "state": run.state,
    "history": run.history(samples=10, pandas=False),
    "keyed": run.history(keys=["rare", "deep.a"], pandas=False),
    "frame": list(run.history(samples=1000).shape),
    "scan": list(run.scan_history(page_size=7)),
    "scan_keys": list(run.scan_history(keys=["rare", "deep.a"], page_size=13)),
    "range": [row["_step"] for row in run.scan_history(min_step=5, max_step=9)],
    "keys": run.history_keys,
    "last": run.lastHistoryStep,
    "system": run.system_metrics, "events": run.history(stream="system", pandas=False),
    "lines": [[line.number, line.level, line.content] for line in lines],
    "tail": [line.content for line in run.console_logs(last=2)],
    "files": sorted(file.name for file in run.files(per_page=2)),
    "like": [file.name for file in run.files(pattern="%.json")],
    "file": run.file("./50% ü.txt").download("got", replace=True).read(),
    "nested": run.file("dir/b.json").download("got", replace=True).read(),
    "none": fails(lambda: run.file("none.txt")),
    "no run": fails(lambda: api.run("local/many/none")),
    "no project": fails(lambda: list(api.runs("local/none"))),
    "incomplete": fails(lambda: run.download_history_exports("exports")),
    "live": [exported.contains_live_data, len(exported.paths)],
}))
"""


def test_a_run_is_read(filled):
    """Rows with and without keys, in pages and as samples; system metrics; console; files."""
    seen = api(filled, READS)

    assert seen["config"] == {"lr": 5} and seen["state"] == "finished"
    assert seen["summary"] == {"loss": "NaN", "best": "Infinity"}
    assert len(seen["history"]) == 10 and seen["history"][0]["loss"] == 0 and seen["history"][-1]["loss"] == "NaN"
    assert (
        [row["_step"] for row in seen["keyed"]] == [row["rare"] for row in seen["scan_keys"]] == list(range(0, 95, 10))
    )
    assert seen["keyed"][1] == {"_step": 10, "rare": 10, "deep.a": 10}
    assert seen["frame"][0] == 96
    assert [row["_step"] for row in seen["scan"]] == list(range(96))
    assert seen["scan"][3]["deep"] == {"a": 3} and seen["scan"][95] == {"_step": 95, "loss": "NaN", "note": "é"}
    assert seen["range"] == [5, 6, 7, 8]
    assert seen["keys"]["keys"]["rare"]["typeCounts"] == [{"type": "number", "count": 10}]
    assert seen["keys"]["keys"]["deep.a"]["monotonic"] is False and seen["keys"]["keys"]["_step"]["monotonic"] is True
    assert seen["keys"]["keys"]["loss"]["previousValue"] == "NaN" and seen["last"] == 95
    assert seen["system"]["system.cpu"] == 3 and [row["system.cpu"] for row in seen["events"]] == [1, 2, 3]
    assert seen["lines"] == [*([i, "info", f"line {i}"] for i in range(25)), [25, "error", "wrong"]]
    assert seen["tail"] == ["line 24", "wrong"]
    assert seen["files"] == ["50% ü.txt", "a.json", "dir/b.json"] and seen["like"] == ["a.json", "dir/b.json"]
    assert (seen["file"], seen["nested"]) == ("content of 50% ü.txt", "content of dir/b.json")
    assert "list index out of range" in seen["none"]  # that is how the client says it
    assert "Could not find run" in seen["no run"] and "Could not find project none" in seen["no project"]
    assert "IncompleteRunHistoryError" in seen["incomplete"] and seen["live"] == [True, 0]


EDITS = """
api.create_project("edited", "local")
made = api.create_run(project="edited", run_id="made")
run = api.run("local/edited/made")
run.config["lr"] = 3
run.tags, run.notes, run.name, run.group = ["a", "ü"], "some notes", "A name", "g"
run.update()
run.summary["z"] = 4
run.summary.update()
open("to upload%.txt", "w").write("hi")
os_name = run.upload_file("to upload%.txt").name
open("gone.txt", "w").write("hi")
run.upload_file("gone.txt").delete()
pending = api._create_run(run_id="waiting", project="edited", state="pending")
states = [pending.state]
pending.update_state("failed")
try:
    pending.update_state("finished")
except Exception as error:
    states.append(str(error))
api.create_run(project="edited", run_id="away").delete(delete_artifacts=True)
run.stop()
print(json.dumps({"states": states, "uploaded": os_name}))
"""


def test_runs_are_made_edited_stopped_and_deleted(server):
    seen = api(server, EDITS)

    run = server.run("made", "edited")
    assert run.config == {"lr": 3} and run.summary["z"] == 4
    assert (run.tags, run.notes, run.display_name, run.group_name) == (["a", "ü"], "some notes", "A name", "g")
    assert run.stop_asked
    assert [file.name for file in server.store.blobs.files(run.id)] == [seen["uploaded"]]
    assert server.run("waiting", "edited").state == "failed"
    assert seen["states"][0] == "pending" and "can't go from failed to 'finished'" in seen["states"][1]
    assert {each.name for each in server.store.runs.all(run.project)} == {"made", "waiting"}


@pytest.mark.parametrize(
    "change",
    [
        'stopRun(input: {id: "UnVuOjk5OTk5"}) { success }',
        'stopRun(input: {id: "not an id"}) { success }',
        "stopRun(input: {}) { success }",
        'deleteRun(input: {id: "RmlsZTox"}) { clientMutationId }',
        'upsertBucket(input: {id: "UnVuOjk5OTk5", notes: "x"}) { inserted }',
        'upsertBucket(input: {name: "bad", modelName: "p", config: "{"}) { inserted }',
        'upsertBucket(input: {name: "bad", modelName: "p", summaryMetrics: "[]"}) { inserted }',
        'rewindRun(input: {runName: "none", projectName: "p", metricName: "_step"}) { rewoundRun { id } }',
        'deleteFiles(input: {files: ["zz"]}) { success }',
        "updateRunState(input: {}) { success }",
    ],
)
def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(server, change):
    """With a message, and in an answer that succeeds: others are asked for again and again."""
    answer = server.ask(f"mutation {{ {change} }}")

    assert answer["errors"][0]["message"]
    assert "bad" not in {run.name for run in server.store.runs.all(server.store.runs.project("p", create=True))}


def test_two_thousand_runs_are_filtered_and_ordered_at_once(server):
    """Summaries of 200 keys each are looked into, and one page is read whole."""
    project = server.store.runs.project("large", create=True)
    summary = {f"metric/{i}": i / 7 for i in range(200)}
    with server.store.database.writing():
        for i in range(2000):
            config = {"lr": i, **{f"c{j}": j for j in range(50)}}
            server.store.runs.open(project, f"r{i}", summary={**summary, "loss": -i}, config=config)
    document = """
        query Q($filters: JSONString, $order: String) {
            project(name: "large") { runCount(filters: $filters) runs(filters: $filters, order: $order, first: 50) {
                edges { node { name config summaryMetrics } } } }
        }
    """
    asked = {"filters": '{"config.lr": {"$gte": 100}}', "order": "+summary_metrics.loss"}

    took = []
    for _ in range(3):
        start = time.process_time()  # the server is a thread of this process
        answer = server.ask(document, **asked)
        took.append(time.process_time() - start)

    names = [edge["node"]["name"] for edge in answer["data"]["project"]["runs"]["edges"]]
    assert names == [f"r{i}" for i in range(1999, 1949, -1)]
    assert answer["data"]["project"]["runCount"] == 1900
    assert min(took) < 0.6  # 0.24 s of CPU, most of it to decode 1,900 summaries
