"""Sweeps over the API: how they stand, what their runs tried, and being paused and ended."""

import pytest

from fulgurite.track.sweeps.schedule import GOING

P = "/api/projects/local/p/sweeps"
CONFIG = """
name: find it
method: random
run_cap: 10
metric: {name: loss, goal: minimize}
parameters:
  lr: {min: 0.0, max: 1.0}
  net: {parameters: {depth: {values: [1, 2]}}}
"""


@pytest.fixture
def sweep(store):
    """A sweep with three runs; the second one was best in the middle of its history, the third one has no loss yet."""
    project = store.runs.project("p", create=True)
    sweep = store.sweeps.create(project, CONFIG, 1, GOING)
    agent = store.sweeps.add_agent(sweep, "here")
    for i, losses in enumerate([[3.0, 2.0], [4.0, 0.5, 1.0], []]):
        parameters = {"lr": i / 10, "net": {"depth": 1 + i % 2}}
        trial = store.trials.add(sweep, parameters, i, agent)
        run, _ = store.runs.open(project, trial.run_name, sweep=sweep.name, config={**parameters, "other": 1})
        store.history.append(run.id, [(step, {"loss": loss}) for step, loss in enumerate(losses)])
        if losses:
            store.end(run, 0)
    return sweep


def test_the_list_tells_how_each_stands(client, store, sweep):
    answer = client.get(P).json()["sweeps"]

    assert [(each["name"], each["title"], each["method"], each["state"]) for each in answer] == [
        (sweep.name, "find it", "random", "RUNNING")
    ]
    assert (answer[0]["runs"], answer[0]["expected"], answer[0]["best"]) == (3, 10, 0.5)
    assert answer[0]["counts"] == {"finished": 2, "running": 1}
    assert answer[0]["best_run"] == store.trials.all(sweep)[1].run_name


def test_one_sweep_with_its_trials(client, sweep):
    """Parameters are those that the sweep chose, by dotted names; the rest of the configuration is not."""
    answer = client.get(f"{P}/{sweep.name}").json()

    assert answer["parameters"] == ["lr", "net.depth"] and answer["config"] == CONFIG
    assert [each["value"] for each in answer["trials"]] == [2.0, 0.5, None]
    assert answer["trials"][1]["parameters"] == {"lr": 0.1, "net.depth": 2}
    assert [(each["host"], each["gone"]) for each in answer["agents"]] == [("here", False)]


def test_a_new_value_is_seen(client, store, sweep):
    """What was found before is remembered only as long as the run stays as it is."""
    client.get(P)
    run = store.sweeps.runs(sweep)[2]

    store.history.append(run.id, [(0, {"loss": 0.25})])

    assert client.get(P).json()["sweeps"][0]["best"] == 0.25


@pytest.mark.parametrize("state", ["PAUSED", "RUNNING", "FINISHED", "CANCELED"])
def test_its_state_can_be_set(client, store, sweep, state):
    answer = client.patch(f"{P}/{sweep.name}", json={"state": state})

    assert answer.json()["state"] == state == store.sweeps.by_id(sweep.id).state


@pytest.mark.parametrize(
    ("said", "words"), [({}, "it must be one of"), ({"state": "GONE"}, "'GONE'"), ({"x": 1}, "no field")]
)
def test_other_states_are_refused(client, sweep, said, words):
    answer = client.patch(f"{P}/{sweep.name}", json=said)

    assert answer.status_code == 400 and words in answer.json()["error"]


def test_a_sweep_that_is_not_there(client, sweep):
    assert client.get(P + "/nope").status_code == 404
    assert client.patch(P + "/nope", json={"state": "PAUSED"}).status_code == 404


def test_a_configuration_that_cannot_be_read_is_told(client, store, sweep):
    """The others are listed all the same."""
    store.sweeps.create(sweep.project, "method: of the future", 1, GOING)

    answer = client.get(P).json()["sweeps"]

    assert "method is 'of the future'" in answer[0]["fault"] and answer[0]["method"] is None
    assert answer[1]["fault"] is None
