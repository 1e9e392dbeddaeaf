"""Sweeps with the real, unmodified client: its agents work them off, its commands steer them."""

GRID = """
import wandb
import wandb.agents.pyagent
wandb.agents.pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2

def train():
    with wandb.init() as run:
        run.log({"loss": (run.config.x - 2) ** 2 + run.config.deep["y"]})

sweep = wandb.sweep({"method": "grid", "name": "A grid", "metric": {"name": "loss", "goal": "minimize"},
                     "parameters": {"x": {"values": [1, 2, 3]}, "deep": {"parameters": {"y": {"values": [0, 1]}}}}},
                    project="grid")
wandb.agent(sweep, function=train, project="grid")
print("ID", sweep)
"""


def said(output, word):
    """What a script printed behind a word."""
    return next(line.split(None, 1)[1] for line in output.splitlines() if line.startswith(word + " "))


def sweep_of(server, project, name):
    return server.store.sweeps.find(server.store.runs.project(project), name)


def runs_of(server, project, name):
    return server.store.sweeps.runs(sweep_of(server, project, name))


def test_a_grid_is_worked_off_by_an_agent_which_then_leaves(server):
    """Every combination has one run, in order, with the sweep's name on it; the agent ends by itself."""
    name = said(server.client(GRID), "ID")

    runs = runs_of(server, "grid", name)
    assert [(run.config["deep"]["y"], run.config["x"]) for run in runs] == [(y, x) for y in (0, 1) for x in (1, 2, 3)]
    assert {run.state for run in runs} == {"finished"}
    assert {run.sweep for run in runs} == {name}
