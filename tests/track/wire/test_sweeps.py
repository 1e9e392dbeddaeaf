"""Sweeps with the real, unmodified client: its agents work them off, its commands steer them."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml

from support.clients import python_of

# Agents ask every five seconds; these do so five times a second.
QUICK = """
import wandb, wandb.agents.pyagent
wandb.agents.pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2
"""

GRID = """
def train():
    with wandb.init() as run:
        run.log({"loss": (run.config.x - 2) ** 2 + run.config.deep["y"]})

sweep = wandb.sweep({"method": "grid", "name": "A grid", "metric": {"name": "loss", "goal": "minimize"},
                     "parameters": {"x": {"values": [1, 2, 3]}, "deep": {"parameters": {"y": {"values": [0, 1]}}}}},
                    project="grid")
wandb.agent(sweep, function=train, project="grid")

api = wandb.Api()
sweep = api.sweep(f"local/grid/{sweep}")
best = sweep.best_run()
agent, = sweep.agents()
print("SAID", json.dumps({
    "id": sweep.id, "name": sweep.name, "state": sweep.state, "order": sweep.order, "config": sweep.config,
    "expected": sweep.expected_run_count, "runs": [run.config["x"] for run in sweep.runs], "url": sweep.url,
    "best": best.summary["loss"], "same": best.sweep.id == sweep.id == best.sweep_name,
    "project": [each.id for each in api.project("grid").sweeps()],
    "agent": [agent.state, agent.totalRuns, len(agent.runs()), sweep.agent(agent.id).name == agent.name],
    "found": len(api.runs("local/grid", filters={"sweep": sweep.id})), "loss": sweep.bestLoss,
}))
"""

# A program that an agent starts, with the parameters as its arguments.
PROGRAM = """
import argparse, time, wandb
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--steps", type=int, default=1)
asked = parser.parse_args()
with wandb.init() as run:
    for step in range(asked.steps):
        run.log({"loss": asked.x})
        time.sleep(0.1 if asked.steps > 1 else 0)
"""


def sweep_of(server, project, name):
    return server.store.sweeps.find(server.store.runs.project(project), name)


def runs_of(server, project, name):
    return server.store.sweeps.runs(sweep_of(server, project, name))


def said(output):
    """What a script printed as JSON."""
    return json.loads(next(line for line in output.splitlines() if line.startswith("SAID ")).removeprefix("SAID "))


def environment(server, **more):
    """A client's environment in which ``python`` is the one that has the client, as in a shell that activated it."""
    return server.environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **more)


def cli(server, *arguments, check=True):
    """Run the client's command and return what it printed, errors included."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", *arguments],
        env=environment(server, WANDB_SILENT="false"),
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def made(server, project, **config):
    """A sweep made by ``wandb sweep file.yaml``; its name."""
    (server.folder / "train.py").write_text(PROGRAM)
    file = server.folder / f"{project}.yaml"
    file.write_text(yaml.dump({"program": "train.py", **config}))
    output = cli(server, "sweep", "-p", project, "-e", "local", str(file))
    return output.split("sweep with ID:")[1].split()[0]


def started(server, script):
    """A script in a process of its own, which the caller waits for or ends."""
    return subprocess.Popen(
        [sys.executable, "-c", QUICK + textwrap.dedent(script)],
        env=environment(server),
        cwd=server.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(true, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come about in {seconds} seconds"
        time.sleep(0.1)


def end(process, seconds=60):
    """Wait for a process to end well."""
    try:
        _, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0, errors


def test_a_grid_is_worked_off_by_an_agent_and_read_back(server):
    """Every combination has one run, in order; the agent ends by itself; the client's Api sees it all."""
    found = said(server.client("import json\n" + QUICK + GRID))

    runs = runs_of(server, "grid", found["id"])
    assert [(run.config["deep"]["y"], run.config["x"]) for run in runs] == [(y, x) for y in (0, 1) for x in (1, 2, 3)]
    assert {(run.state, run.sweep) for run in runs} == {("finished", found["id"])}
    assert (found["name"], found["state"], found["order"]) == ("A grid", "FINISHED", "+summary_metrics.loss")
    assert found["config"]["parameters"]["x"] == {"values": [1, 2, 3]}
    assert (found["expected"], found["runs"], found["found"]) == (6, [1, 2, 3, 1, 2, 3], 6)
    assert (found["best"], found["loss"], found["same"]) == (0, 0, True)
    assert found["project"] == [found["id"]]
    assert found["agent"] == ["RUNNING", 6, 6, True]
    assert found["url"].endswith(f"/local/grid/sweeps/{found['id']}")


@pytest.mark.slow
def test_two_agents_at_the_command_share_a_random_sweep(server):
    """Programs get their parameters as arguments, no set twice, until the cap; the same seed gives the same again."""
    config = {"method": "random", "seed": 5, "run_cap": 4, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    name = made(server, "random", **config)
    agents = [
        subprocess.Popen(
            [sys.executable, "-m", "wandb", "agent", f"local/random/{name}"],
            env=environment(server),
            cwd=server.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for each in agents:
        end(each, 120)

    runs = runs_of(server, "random", name)
    assert len({run.config["x"] for run in runs}) == len(runs) == 4
    assert all(run.summary["loss"] == run.config["x"] for run in runs)
    per_agent = [
        len(server.store.trials.all(sweep_of(server, "random", name), each))
        for each in server.store.sweeps.agents(sweep_of(server, "random", name))
    ]
    assert len(per_agent) == 2 and min(per_agent) >= 1
    again = server.client(
        f"""
    {QUICK}
    sweep = wandb.sweep({config!r}, project="random2")
    wandb.agent(sweep, function=lambda: wandb.init().finish(), project="random2", count=2)
    print(sweep)
    """.replace("\n    ", "\n")
    ).splitlines()[-1]
    assert {run.config["x"] for run in runs_of(server, "random2", again)} < {run.config["x"] for run in runs}


@pytest.mark.slow
def test_count_ends_an_agent(server):
    """`wandb agent --count`, with a command of one's own."""
    command = ["${env}", "${interpreter}", "${program}", "--steps", "2", "${args}"]
    name = made(server, "count", method="random", command=command, parameters={"x": {"distribution": "normal"}})
    cli(server, "agent", "--count", "1", f"local/count/{name}")

    (run,) = runs_of(server, "count", name)
    assert run.row_count == 2


@pytest.mark.slow
def test_hyperband_stops_the_run_that_falls_behind(server):
    """Its agent ends it and goes on with the next; the run counts as killed."""
    server.client(
        QUICK
        + """
import time

def train():
    with wandb.init() as run:
        for step in range(300 if run.config.x == 2 else 4):
            run.log({"loss": run.config.x})
            time.sleep(0.2 if run.config.x == 2 else 0)

sweep = wandb.sweep({"method": "grid", "metric": {"name": "loss", "goal": "minimize"},
                     "early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 2},
                     "parameters": {"x": {"values": [1, 2, 0]}}}, project="hyperband")
wandb.agent(sweep, function=train, project="hyperband")
"""
    )

    (sweep,) = server.store.sweeps.all(server.store.runs.project("hyperband"))
    runs = server.store.sweeps.runs(sweep)
    assert [(run.config["x"], run.state) for run in runs] == [(1, "finished"), (2, "killed"), (0, "finished")]
    assert 3 <= runs[1].row_count < 300


@pytest.mark.slow
def test_pause_resume_and_stop_steer_a_running_agent(server):
    """Paused, it begins nothing; resumed, it goes on; stopped, it lets its run end and leaves."""
    name = made(server, "steer", method="random", parameters={"x": {"min": 0.0, "max": 1.0}})
    path = f"local/steer/{name}"
    agent = started(server, f"wandb.agent({name!r}, function=lambda: wandb.init().finish(), project='steer')")
    wait_until(lambda: runs_of(server, "steer", name), "the first run")

    assert "Pausing" in cli(server, "sweep", "--pause", path)
    wait_until(lambda: all(run.state == "finished" for run in runs_of(server, "steer", name)), "the end of the run")
    time.sleep(2)
    count = len(runs_of(server, "steer", name))
    time.sleep(2)
    assert len(runs_of(server, "steer", name)) == count and agent.poll() is None

    cli(server, "sweep", "--resume", path)
    wait_until(lambda: len(runs_of(server, "steer", name)) > count, "a run after the pause")
    cli(server, "sweep", "--stop", path)
    end(agent)
    assert {run.state for run in runs_of(server, "steer", name)} == {"finished"}
    assert "already finished" in cli(server, "sweep", "--stop", path, check=False)


@pytest.mark.slow
def test_cancel_stops_what_runs(server):
    """The agent ends its run at once and leaves; the run counts as killed."""
    name = made(server, "cancel", method="grid", parameters={"x": {"values": [1, 2]}, "steps": {"value": 1000}})
    agent = subprocess.Popen(
        [sys.executable, "-m", "wandb", "agent", f"local/cancel/{name}"],
        env=environment(server),
        cwd=server.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: [run for run in runs_of(server, "cancel", name) if run.row_count], "the first row")
    cli(server, "sweep", "--cancel", f"local/cancel/{name}")
    end(agent)

    (run,) = runs_of(server, "cancel", name)
    assert run.state == "killed" and run.row_count < 1000


def test_bayes_is_steered_by_what_the_runs_log(server):
    """The agent's runs bring the values; each suggestion is a new one."""
    pytest.importorskip("optuna")
    server.client(
        QUICK
        + """
def train():
    with wandb.init() as run:
        run.log({"score": -(run.config.x - 0.3) ** 2})

sweep = wandb.sweep({"method": "bayes", "seed": 3, "metric": {"name": "score", "goal": "maximize"},
                     "parameters": {"x": {"min": 0.0, "max": 1.0}}}, project="bayes")
wandb.agent(sweep, function=train, project="bayes", count=11)
"""
    )

    (sweep,) = server.store.sweeps.all(server.store.runs.project("bayes"))
    places = [run.config["x"] for run in server.store.sweeps.runs(sweep)]
    assert len(set(places)) == 11
    assert min(abs(x - 0.3) for x in places[8:]) < 0.05


def test_a_bad_configuration_is_told_by_key(server):
    """An error where no run could come of it; a warning where it has no effect."""
    output = server.client("""
    import wandb
    try:
        wandb.sweep({"method": "grid", "parameters": {"lr": {"min": 0.0, "max": 1.0}}}, project="bad")
    except wandb.errors.CommError as error:
        print("ERROR", error)
    """)
    assert "parameters.lr has no countable values" in output

    file = server.folder / "odd.yaml"
    file.write_text(yaml.dump({"method": "random", "metod": 1, "parameters": {"x": {"values": [1], "min": 2}}}))
    output = cli(server, "sweep", "-p", "bad", "-e", "local", str(file))
    assert "metod is not known" in output and "parameters.x.min has no effect" in output


@pytest.mark.slow
def test_a_sweep_can_be_changed_until_it_has_begun_and_take_in_runs(server):
    """`--update` and `-R`: the earlier run belongs to the sweep and counts as tried."""
    server.client("""
    import wandb
    wandb.init(project="prior", id="old", config={"x": 1}).finish()
    """)
    file = server.folder / "prior.yaml"
    file.write_text(yaml.dump({"method": "grid", "parameters": {"x": {"values": [1]}}}))
    name = cli(server, "sweep", "-p", "prior", "-e", "local", "-R", "old", str(file))
    name = name.split("sweep with ID:")[1].split()[0]
    file.write_text(yaml.dump({"method": "grid", "parameters": {"x": {"values": [1, 2]}}}))
    cli(server, "sweep", "--update", f"local/prior/{name}", str(file))
    server.client(QUICK + f"wandb.agent({name!r}, function=lambda: wandb.init().finish(), project='prior')")

    assert [run.config["x"] for run in runs_of(server, "prior", name)] == [1, 2]
    file.write_text(yaml.dump({"method": "grid", "parameters": {"x": {"values": [1, 2, 3]}}}))
    output = cli(server, "sweep", "--update", f"local/prior/{name}", str(file), check=False)
    assert "can't be changed any more" in output


@pytest.mark.slow
def test_a_scheduler_on_the_users_side_steers_a_sweep(server):
    """`wandb sweep-scheduler` with Optuna: it suggests until the cap, agents run it, and all of them end."""
    pytest.importorskip("optuna")
    name = made(
        server,
        "scheduler",
        method="custom",
        scheduler={"engine": "optuna"},
        run_cap=4,
        metric={"name": "loss", "goal": "minimize"},
        parameters={"x": {"min": 0.0, "max": 1.0}},
    )
    agent = started(
        server,
        f"""
        def train():
            with wandb.init() as run:
                run.log({{"loss": run.config.x}})
        wandb.agent({name!r}, function=train, project="scheduler")
        """,
    )
    path = f"local/scheduler/{name}"
    output = cli(server, "sweep-scheduler", "--batch-size", "2", "--poll-interval", "1", path)
    end(agent)

    runs = runs_of(server, "scheduler", name)
    assert [run.state for run in runs] == ["finished"] * 4
    assert f"finished with value: {runs[0].summary['loss']}" in output


CONTROLLER = """
import json, time, wandb
from wandb.apis.public.sweeps import _sweep_with_runs, _upsert_sweep

api = wandb.Api()

def seen():
    return _sweep_with_runs(api, NAME, json.dumps({"keys": ["loss"]}), project="controller", entity="local")

def tell(**said):
    _upsert_sweep(api, CONFIG, controller=json.dumps(said), obj_id=seen()["id"], project="controller", entity="local")

def wait(true):
    deadline = time.monotonic() + 60
    while not true(seen()["runs"]):
        assert time.monotonic() < deadline, seen()
        time.sleep(0.2)

tell(schedule=[{"id": "s1", "data": {"args": {"x": {"value": 5}}}}])
wait(lambda runs: runs and "loss" in json.loads(runs[0]["summaryMetrics"]))
tell(schedule=[], earlystop=[seen()["runs"][0]["name"]])
wait(lambda runs: runs[0]["shouldStop"] and runs[0]["state"] == "killed")
tell(schedule=[{"id": "s2", "data": {"args": None}}])
print("SAID", json.dumps(seen()))
"""


@pytest.mark.slow
def test_a_controller_on_the_users_side_steers_a_sweep(server):
    """What it schedules is run, it learns which run that was, and what it wants stopped is stopped."""
    config = {"method": "random", "controller": {"type": "local"}, "parameters": {"x": {"values": [1]}}}
    name = server.client(f"import wandb\nprint(wandb.sweep({config!r}, project='controller'))").split()[-1]
    agent = started(
        server,
        f"""
        import time
        def train():
            with wandb.init() as run:
                for step in range(500):
                    run.log({{"loss": run.config.x}})
                    time.sleep(0.2)
        wandb.agent({name!r}, function=train, project="controller")
        """,
    )
    script = CONTROLLER.replace("NAME", repr(name)).replace("CONFIG", repr(config))
    found = said(server.client(script))
    end(agent)

    (run,) = found["runs"]
    assert json.loads(found["scheduler"]) == {"scheduled": [{"id": "s1", "runid": run["name"]}]}
    assert json.loads(run["config"])["x"] == {"value": 5}
    assert found["state"] == "FINISHED" and runs_of(server, "controller", name)[0].state == "killed"


@pytest.mark.parametrize(
    "version",
    [
        pytest.param("0.28.2", marks=pytest.mark.clients),
        pytest.param("0.23.1", marks=pytest.mark.slow),
        pytest.param("0.21.4", marks=pytest.mark.clients),
        pytest.param("0.19.11", marks=pytest.mark.clients),
        pytest.param("0.16.6", marks=pytest.mark.clients),
    ],
)
def test_an_older_client_works_off_a_grid(server, version):
    """And finds the sweep's best run."""
    project = f"grid-{version.replace('.', '-')}"
    output = server.client(
        f"""
import json
import wandb

def train():
    with wandb.init() as run:
        run.log({{"loss": run.config.x}})

sweep = wandb.sweep({{"method": "grid", "metric": {{"name": "loss", "goal": "minimize"}},
                     "parameters": {{"x": {{"values": [1, 2]}}}}}}, project="{project}")
wandb.agent(sweep, function=train, project="{project}")
sweep = wandb.Api().sweep(f"local/{project}/{{sweep}}")
print("SAID", json.dumps([sweep.state, sweep.best_run().summary["loss"], len(sweep.runs)]))
""",
        python_of(version),
        WANDB_ERROR_REPORTING="false",
    )

    assert said(output) == ["FINISHED", 1, 2]
