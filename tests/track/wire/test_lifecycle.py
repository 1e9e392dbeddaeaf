"""A run's life, as the real client leads it: taken up again, taken back, split, stopped, killed, sent later."""

import os
import signal
import time

import pytest

from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.history import SYSTEM
from fulgurite.track.store.runs import SILENCE
from support.track_server import served


def rows(server, run, key="a", project="p"):
    series = server.store.history.read(server.run(run, project).id, key)
    return dict(zip(series.steps.tolist(), series.values(), strict=True))


def console(server, run, project="p"):
    return [line.line for line in server.store.console.read(server.run(run, project).id)]


def sent(server, run):
    """Its rows, or nothing before it is there."""
    try:
        return rows(server, run)
    except NotFound:
        return {}


def wait_for(what, seconds=30):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


RESUMED = """
import wandb

def run(**options):
    return wandb.init(project="resumed", **options)

with run(id="r", config={"lr": 1}, tags=["t"], notes="n", name="A name") as first:
    for i in range(3):
        first.log({"a": i})
    first.summary["best"] = 7
    print("first")
for mode in ("must", "allow"):
    with run(id="r", resume=mode, config={mode: 1}) as again:
        assert again.resumed and again.notes == "n" and again.tags == ("t",), (again.notes, again.tags)
        assert again.config["lr"] == 1 and again.summary["best"] == 7
        again.log({"a": mode})
        print("then", mode)
for options in ({"id": "r", "resume": "never"}, {"id": "none", "resume": "must"}):
    try:
        run(**options)
    except wandb.Error as error:
        print("REFUSED", options["resume"], type(error).__name__)
with run(id="new", resume="allow") as new:
    assert not new.resumed
    new.log({"a": 1})
with run(id="newer", resume="never") as new:
    new.log({"a": 1})
"""


def test_a_run_is_taken_up_again(server):
    """Its rows and console go on behind the old ones; configuration, summary, tags and notes are those it had."""
    printed = server.client(RESUMED)

    run = server.run("r", "resumed")
    assert rows(server, "r", project="resumed") == {0: 0, 1: 1, 2: 2, 3: "must", 4: "allow"}
    assert console(server, "r", "resumed") == ["first", "then must", "then allow"]
    assert run.config == {"lr": 1, "must": 1, "allow": 1}
    assert (run.display_name, run.notes, run.tags, run.summary["best"]) == ("A name", "n", ["t"], 7)
    assert (run.state, run.exit_code) == ("finished", 0)
    assert "REFUSED never" in printed and "REFUSED must" in printed
    assert {each.name for each in server.store.runs.all(run.project)} == {"r", "new", "newer"}


BRANCHED = """
import wandb

with wandb.init(project="branched", id="parent", config={"lr": 1}) as run:
    for i in range(10):
        run.log({"a": i, "deep": {"b": -i}})
    run.summary["best"] = 7
    print("before")
with wandb.init(project="branched", id="fork", fork_from="parent?_step=4", config={"lr": 2}) as run:
    run.log({"a": 100})
with wandb.init(project="branched", id="idle", fork_from="parent?_step=4") as run:
    pass
with wandb.init(project="branched", resume_from="parent?_step=6") as run:
    assert run.config["lr"] == 1
    run.log({"a": 200})
    print("after")
try:
    wandb.init(project="branched", id="orphan", fork_from="nobody?_step=1")
except wandb.Error as error:
    print("REFUSED", error)
"""


def test_a_run_is_taken_back_and_a_fork_has_its_parents_history(server):
    printed = server.client(BRANCHED)

    assert rows(server, "parent", project="branched") == {**{i: i for i in range(7)}, 7: 200}
    assert rows(server, "fork", project="branched") == {**{i: i for i in range(5)}, 5: 100}
    assert rows(server, "fork", "deep\x1fb", "branched") == {i: -i for i in range(5)}
    assert server.run("fork", "branched").config == {"lr": 2}
    assert server.run("fork", "branched").summary["a"] == 100
    assert server.run("parent", "branched").summary["a"] == 200
    assert console(server, "parent", "branched") == ["before", "after"]
    assert "There is no run local/branched/nobody" in printed
    assert "orphan" not in {each.name for each in server.store.runs.all(server.run("parent", "branched").project)}


def test_a_fork_that_logs_nothing_sums_up_what_it_took_over(server):
    server.stream(
        "trunk", {"files": {"wandb-history.jsonl": {"content": ['{"_step": 0, "a": 1}', '{"_step": 1, "a": 2}']}}}
    )
    config = '{"_wandb": {"value": {"branch_point": {"run_id": "trunk", "step": 0}}}}'

    change = """
        mutation U($config: JSONString) {
            upsertBucket(input: {name: "twig", modelName: "p", config: $config}) { inserted }
        }
    """

    server.ask(change, config=config)

    assert server.run("twig").summary == {"_step": 0, "a": 1}


KILLED = """
import os, time, wandb

run = wandb.init(project="p", resume="auto", id=os.environ.get("ID"))
print("resumed", run.resumed, run.id)
run.log({"a": run.starting_step})
if not run.resumed:
    time.sleep(60)
run.finish()
"""


def test_a_killed_run_has_crashed_until_it_is_taken_up_again(server):
    """Nobody tells of a SIGKILL, so silence does. With ``resume="auto"`` the next process finds its run by itself."""
    first = server.start(KILLED, ID="killed")
    wait_for(lambda: sent(server, "killed"))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(10)
    run = server.run("killed")
    assert run.state == "running"
    server.store.runs.update(run, seen_at=time.time() - SILENCE - 1, stop_asked=1)
    assert server.run("killed").state == "crashed"

    printed = server.client(KILLED)

    assert "resumed True killed" in printed
    assert rows(server, "killed") == {0: 0, 1: 1}
    assert server.run("killed").state == "finished"


@pytest.mark.slow
def test_a_run_ends_as_its_process_does(server):
    """An exception is exit code 1; ``sys.exit`` says its own."""
    server.client(
        'import wandb; wandb.init(project="p", id="raised").log({"a": 1}); raise ValueError("oh")', check=False
    )
    server.client('import sys, wandb; wandb.init(project="p", id="exited").log({"a": 1}); sys.exit(3)', check=False)

    ended = [server.run(name) for name in ("raised", "exited")]
    assert [(run.state, run.exit_code) for run in ended] == [("failed", 1), ("failed", 3)]
    assert any("ValueError: oh" in line for line in console(server, "raised"))


OVER = """
import os, wandb

lines, length = int(os.environ["LINES_"]), int(os.environ["ROWS"])
with wandb.init(project="p", id="over", config={os.environ["ROWS"]: 1}) as run:
    for i in range(lines):
        print("line", i, "of", lines)
    for i in range(length):
        run.log({"a": i + length * 100})
"""


@pytest.mark.slow
def test_the_same_id_without_resume_writes_over_by_step(server):
    """The console is the new one alone; rows at steps that the new process does not reach stay."""
    server.client(OVER, LINES_="5", ROWS="4")
    server.client(OVER, LINES_="2", ROWS="2")

    assert rows(server, "over") == {0: 200, 1: 201, 2: 402, 3: 403}
    assert console(server, "over") == ["line 0 of 2", "line 1 of 2"]
    assert server.run("over").config == {"2": 1}


LONG = """
import time, wandb

with wandb.init(project="p", id="long") as run:
    for i in range(350):
        run.log({"a": i})
        time.sleep(0.01)
    print("done")
"""


@pytest.mark.slow
def test_a_server_that_goes_and_comes_back_loses_nothing(tmp_path):
    """Training is not held up meanwhile, and each row is there once."""
    with served(tmp_path) as server:
        port = int(server.url.rsplit(":", 1)[1])
        client = server.start(LONG)
        wait_for(lambda: sent(server, "long"))
        time.sleep(1.2)
    time.sleep(1)
    with served(tmp_path, port) as server:
        printed, _ = client.communicate(timeout=60)
        assert client.returncode == 0, printed

        assert rows(server, "long") == {i: i for i in range(350)}
        assert server.run("long").state == "finished"
        assert console(server, "long") == ["done"]


OFFLINE = """
import wandb

with wandb.init(project="p", id="later", name="Later", config={"lr": 1}) as run:
    for i in range(50):
        run.log({"a": i})
    open("later.txt", "w").write("hi")
    run.save("later.txt")
    print("offline")
"""


@pytest.mark.slow
def test_a_run_that_was_kept_offline_is_sent_later(server):
    """Sent twice, it is there once."""
    server.client(OFFLINE, WANDB_MODE="offline")
    (folder,) = (server.folder / "wandb").glob("offline-run-*-later")

    server.command("sync", str(folder))
    once = rows(server, "later"), console(server, "later"), server.run("later").summary
    server.command("sync", "--include-synced", str(folder))

    run = server.run("later")
    assert once == (rows(server, "later"), console(server, "later"), run.summary)
    assert rows(server, "later") == {i: i for i in range(50)}
    assert (run.display_name, run.config, run.state) == ("Later", {"lr": 1}, "finished")
    assert "later.txt" in {file.name for file in server.store.blobs.files(run.id)}


DYING = """
import os, signal, time, wandb

run = wandb.init(project="p", id="dying")
for i in range(40):
    run.log({"a": i, "text": "t" * 4000})
time.sleep(2)
run.log({"a": 40})
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_run_is_completed_from_its_files(server):
    """The client sends all rows of its file again, at other offsets; sent once or twice, they are there once.

    It writes its file in blocks of 32 KiB, so that the last rows of a killed run may be nowhere.
    """
    server.client(DYING, check=False)
    wait_for(lambda: sent(server, "dying"))
    before = rows(server, "dying")
    (folder,) = (server.folder / "wandb").glob("run-*-dying")

    for _ in range(2):
        server.command("sync", "--include-online", "--include-synced", str(folder))

    after = rows(server, "dying")
    assert after == {i: i for i in range(len(after))}
    assert len(after) >= max(len(before), 30)
    assert server.run("dying").row_count == len(after)


def wait_for_line(process, text):
    return any(text in line for line in process.stdout)


STOPPED = """
import time, wandb

run = wandb.init(project="p", id="stopped")
print("going", flush=True)
try:
    for i in range(600):
        run.log({"a": i})
        time.sleep(0.1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
run.finish(exit_code=0)
"""


@pytest.mark.slow
def test_a_run_stops_when_it_is_asked_to(server):
    """`wandb.Api().run(...).stop()` reaches the process with its next sign of life, once."""
    process = server.start(STOPPED)
    wait_for_line(process, "going")
    wait_for(lambda: sent(server, "stopped"))

    server.client('import wandb; wandb.Api().run("local/p/stopped").stop()')
    printed, _ = process.communicate(timeout=30)

    assert "interrupted" in printed
    run = server.run("stopped")
    assert (run.state, run.stop_asked) == ("finished", False)


ALL = """
import os, sys, wandb

os.makedirs("sub dir", exist_ok=True)
names = ["plain.txt", "a b.txt", "50%.txt", "ünï.txt", "sub dir/c.txt", "per%20cent.txt", "and+&=#.txt"]
names += ["./d.txt"]
for name in names:
    open(name, "w").write(name)
run = wandb.init(project="p", id="all", group="g", job_type="j", tags=["x", "ü"], notes="first\\nsecond",
                 save_code=True, name="The name / ü")
run.define_metric("val/acc", summary="max,last")
run.define_metric("epoch")
run.define_metric("val/*", step_metric="epoch")
for name in names:
    run.save(name, policy="now")
open("live.txt", "w").write("1")
run.save("live.txt", policy="live")
open("end.txt", "w").write("1")
run.save("end.txt", policy="end")
for i in range(3):
    run.log({"val/acc": [0.1, 0.6, 0.5][i], "epoch": i})
run.log_code(".", include_fn=lambda path: path.endswith("it.py"))
run.alert(title="Low", text="too low", level=wandb.AlertLevel.WARN, wait_duration=60)
run.mark_preempting()
for i in range(5):
    sys.stdout.write(f"\\rbar {i}/4")
    sys.stdout.flush()
print("\\nüber 漢字")
sys.stderr.write("trouble\\n")
open("end.txt", "w").write("2")
open("live.txt", "w").write("2")
run.finish()
"""


def test_everything_else_that_a_run_says_arrives(server):
    """Alerts, metric definitions, code, files of odd names, bars in the console, names and notes."""
    server.client(ALL, name="all of it.py")

    run = server.run("all")
    store = server.store
    files = {file.name: store.blobs.path(file.blob.sha256).read_text() for file in store.blobs.files(run.id)}
    odd = ["plain.txt", "a b.txt", "50%.txt", "ünï.txt", "sub dir/c.txt", "per%20cent.txt", "and+&=#.txt"]
    assert {name: files.get(name) for name in odd} == {name: name for name in odd}
    assert files["d.txt"] == "./d.txt"
    assert files["code/all of it.py"].strip() == ALL.strip()
    assert (files["live.txt"], files["end.txt"]) == ("2", "2")
    assert (run.group_name, run.job_type, run.tags, run.notes) == ("g", "j", ["x", "ü"], "first\nsecond")
    assert run.display_name == "The name / ü"
    assert run.summary["val/acc"] == {"max": 0.6, "last": 0.5}
    assert {"1": "val/acc", "6": [3], "7": [2, 5]} in run.facts["_wandb"]["m"]
    assert [(each["title"], each["text"], each["level"]) for each in store.runs.alerts(run)] == [
        ("Low", "too low", "WARN")
    ]
    assert run.state == "finished"
    lines = store.console.read(run.id)
    assert [line.line for line in lines if line.stream == "stdout"] == ["bar 4/4", "über 漢字"]
    assert [line.line for line in lines if line.stream == "stderr"] == ["trouble"]
    assert store.history.keys(run.id, SYSTEM)


NAMED = """
import wandb

for project, id in (("pro ject ü", "r u n é"), ("p", "x" * 129), ("a.b-c", "a+b&c=d")):
    with wandb.init(entity="some team", project=project, id=id) as run:
        run.log({"a": 1})
        open("f.txt", "w").write("hi")
        run.save("f.txt")
    with wandb.init(entity="some team", project=project, id=id, resume="must") as run:
        run.log({"a": 2})
    read = wandb.Api().runs(f"some team/{project}")[0]
    print([row["a"] for row in read.scan_history()], read.id == id, read.file("f.txt").size)
"""


def test_projects_and_runs_may_have_odd_names(server):
    """Spaces, signs, other alphabets, other owners: each is one run, found again under its name.

    Not so with % in an id: the client of 0.31 takes it for a part of its own encoding, and streams to another run.
    """
    printed = server.client(NAMED)

    assert printed.splitlines().count("[1, 2] True 2") == 3
    assert rows_of(server, "some team", "pro ject ü") == {"r u n é": 2}
    assert rows_of(server, "some team", "a.b-c") == {"a+b&c=d": 2}


def rows_of(server, entity, project):
    return {run.name: run.row_count for run in server.store.runs.all(server.store.runs.project(project, entity))}
