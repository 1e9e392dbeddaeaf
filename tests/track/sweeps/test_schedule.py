"""What agents are told to do, over a real store, without a client."""

import threading
import time

import pytest
import yaml

from fulgurite.track.store.store import Store
from fulgurite.track.sweeps import schedule, standing
from fulgurite.track.sweeps.config import Metric, read
from fulgurite.track.sweeps.schedule import Begin, Leave, Schedule, Stop

LOSS = {"name": "loss", "goal": "minimize"}


class Sweeping:
    """A sweep in a store of its own, and what its agents do."""

    def __init__(self, folder, **said):
        self.store = Store(folder)
        self.schedule = Schedule(self.store)
        self.project = self.store.runs.project("p", create=True)
        text = yaml.dump({"method": "random", "metric": LOSS, **said}, sort_keys=False)
        self.sweep = self.store.sweeps.create(self.project, text, seed=1, state="PENDING")

    def agent(self):
        return self.store.sweeps.add_agent(self.sweep, "host")

    def next(self, agent, *running):
        return self.schedule.next(agent, running)

    def begin(self, agent):
        """The run that the agent is given, under way."""
        (command,) = self.next(agent)
        assert isinstance(command, Begin)
        return self.start(command.trial)

    def start(self, trial):
        run, _ = self.store.runs.open(self.project, trial.run_name, sweep=self.sweep.name, config=trial.parameters)
        self.store.runs.seen(run)
        return run

    def log(self, run, *losses):
        self.store.history.append(run.id, [(step, {"loss": value}) for step, value in enumerate(losses)])

    def end(self, run, loss=None, code=0):
        if loss is not None:
            self.store.runs.merge_summary(run, {"loss": loss})
        self.store.end(self.store.runs.by_id(run.id), code)

    def state(self):
        sweep = self.store.sweeps.by_id(self.sweep.id)
        return self.schedule.state(sweep, read(sweep.config))

    def set(self, **said):
        self.store.sweeps.update(self.sweep, **said)


@pytest.fixture
def sweeping(tmp_path):
    made = []

    def make(**said):
        made.append(Sweeping(tmp_path / "data", **said))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


def grid(size):
    return {"method": "grid", "parameters": {"x": {"values": list(range(size))}}}


def test_a_grid_ends_when_its_last_run_has(sweeping):
    """Pending before the first run; an agent leaves when nothing is left; finished when the last run has ended."""
    work = sweeping(**grid(2))
    one, two = work.agent(), work.agent()
    assert work.state() == "PENDING"

    first, second = work.begin(one), work.begin(two)
    assert (first.config, second.config) == ({"x": 0}, {"x": 1})
    work.end(first)
    assert work.next(one) == [Leave()] and work.state() == "RUNNING"
    work.end(second)
    assert work.next(two) == [Leave()] and work.state() == "FINISHED"


def test_an_agent_with_a_run_gets_no_second_one(sweeping):
    """It has nothing to do but go on."""
    work = sweeping(**grid(2))
    agent = work.agent()
    run = work.begin(agent)

    assert work.next(agent, run.name) == []


def test_agents_that_ask_at_once_get_everything_once(sweeping):
    """Eight threads share a grid of forty; nothing is given twice and nothing is left."""
    work = sweeping(**grid(40))
    given, wrong, until = [], [], time.monotonic() + 60

    def work_off():
        try:
            agent = work.agent()
            while (commands := work.next(agent)) != [Leave()] and time.monotonic() < until:
                for command in commands:  # none while another agent's run has yet to begin
                    work.end(work.start(command.trial))
                    given.append(command.trial.parameters["x"])
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work_off) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert wrong == [] and sorted(given) == list(range(40))


def test_an_answer_that_got_lost_is_given_again(sweeping):
    """The agent asks again and never had the run; after three times the run is given up."""
    work = sweeping(**grid(2))
    agent = work.agent()

    names = [work.next(agent)[0].trial.run_name for _ in range(4)]
    assert len(set(names[:3])) == 1 and names[3] != names[0]


def test_a_program_that_ends_before_its_run_begins_is_not_tried_again(sweeping):
    """The agent had it under way, and then not any more."""
    work = sweeping(**grid(1))
    agent = work.agent()
    (command,) = work.next(agent)
    work.next(agent, command.trial.run_name)

    assert work.next(agent) == [Leave()] and work.state() == "FINISHED"


def test_what_an_agent_took_along_when_it_crashed_goes_to_another(sweeping, monkeypatch):
    """Not before it has been silent for a while; until then the other one waits."""
    work = sweeping(**grid(1))
    lost, other = work.agent(), work.agent()
    (taken,) = work.next(lost)
    work.next(lost, taken.trial.run_name)
    assert work.next(other) == []

    now = time.time()
    monkeypatch.setattr(schedule.time, "time", lambda: now + schedule.GONE + 1)
    assert [each.trial.run_name for each in work.next(other)] == [taken.trial.run_name]


def test_the_run_of_a_crashed_agent_is_noticed(sweeping, monkeypatch):
    """It counts as crashed when it has said nothing for long, and the sweep as finished."""
    work = sweeping(**grid(1))
    run = work.begin(work.agent())
    assert work.state() == "RUNNING"

    now = time.time()
    monkeypatch.setattr(schedule.time, "time", lambda: now + 400)
    assert work.store.runs.by_id(run.id).state == "crashed" and work.state() == "FINISHED"


def test_a_run_whose_machine_was_taken_away_goes_on_with_another_agent(sweeping):
    """With the same name and parameters, once; the sweep is not finished before it is."""
    work = sweeping(**grid(1))
    run = work.begin(work.agent())
    work.store.runs.update(run, state="preempting")
    work.end(run, code=1)
    assert work.state() == "RUNNING"
    agent, late = work.agent(), work.agent()

    (command,) = work.next(agent)
    assert (command.trial.run_name, command.trial.parameters, command.again) == (run.name, {"x": 0}, True)
    assert work.next(late) == []
    work.end(work.start(command.trial))
    assert work.next(late) == [Leave()] and work.state() == "FINISHED"


def test_a_cap_ends_a_random_sweep(sweeping):
    """Runs that are queued by hand count as well."""
    work = sweeping(parameters={"x": {"min": 0.0, "max": 1.0}}, run_cap=2)
    agent = work.agent()
    work.store.trials.add(work.sweep, {"x": 7})

    assert work.begin(agent).config == {"x": 7}
    run = work.begin(agent)
    assert 0 <= run.config["x"] <= 1
    assert work.next(agent) == [Leave()]


def test_a_target_ends_a_sweep(sweeping):
    """As soon as a run has reached it, also if it lost it again later."""
    work = sweeping(parameters={"x": {"min": 0.0, "max": 1.0}}, metric={**LOSS, "target": 0.1})
    agent = work.agent()
    first, second = work.begin(agent), work.begin(agent)
    work.log(first, 0.5, 0.4)
    work.end(first, 0.4)
    third = work.begin(agent)

    work.log(second, 0.5, 0.05, 0.9)
    work.end(second, 0.9)
    assert work.next(agent, third.name) == []
    assert work.next(agent) == [Leave()] and work.state() == "FINISHED"


def test_a_paused_sweep_waits_and_goes_on(sweeping):
    """Runs that are under way are left alone."""
    work = sweeping(**grid(2))
    agent = work.agent()
    run = work.begin(agent)

    work.set(state="PAUSED")
    assert work.next(agent, run.name) == work.next(agent) == []
    work.set(state="RUNNING")
    assert work.begin(agent).config == {"x": 1}


def test_a_stopped_sweep_lets_its_runs_end(sweeping):
    """And then the agents leave."""
    work = sweeping(**grid(3))
    agent = work.agent()
    run = work.begin(agent)

    work.set(state="FINISHED")
    assert work.next(agent, run.name) == []
    assert work.next(agent) == [Leave()]


def test_a_canceled_sweep_stops_its_runs(sweeping):
    """They count as killed, not as failed."""
    work = sweeping(**grid(3))
    agent = work.agent()
    run = work.begin(agent)

    work.set(state="CANCELED")
    assert work.next(agent, run.name) == [Stop(run.name)]
    work.end(run, code=1)
    assert work.next(agent) == [Leave()]
    assert work.store.runs.by_id(run.id).state == "killed"


def test_hyperband_stops_the_worse_run(sweeping):
    """Through its own agent, at the first mark."""
    work = sweeping(
        parameters={"x": {"min": 0.0, "max": 1.0}}, early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2}
    )
    one, two = work.agent(), work.agent()
    good, bad = work.begin(one), work.begin(two)
    work.log(good, 3.0, 1.0)
    work.log(bad, 4.0)
    assert work.next(two, bad.name) == []

    work.log(bad, 4.0, 3.5)
    assert work.next(one, good.name) == []
    assert work.next(two, bad.name) == [Stop(bad.name)]


def test_a_grid_skips_what_earlier_runs_have_done(sweeping):
    """Runs that were taken into the sweep count as tried."""
    work = sweeping(**grid(3))
    done, _ = work.store.runs.open(work.project, "old", sweep=work.sweep.name, config={"x": 1, "other": 2})
    work.end(done)
    agent = work.agent()

    assert [work.begin(agent).config["x"] for _ in range(2)] == [0, 2]
    assert work.next(agent) == [Leave()]


def test_bayes_learns_from_the_runs_of_the_store(sweeping):
    """After sixteen runs it stays near the optimum at 0.3; drawn at random, a run does so one time in ten."""
    pytest.importorskip("optuna")
    work = sweeping(method="bayes", parameters={"x": {"min": 0.0, "max": 1.0}})
    agent = work.agent()
    for _ in range(16):
        run = work.begin(agent)
        work.end(run, (run.config["x"] - 0.3) ** 2)

    assert abs(work.begin(agent).config["x"] - 0.3) < 0.05


def test_what_a_run_reached_is_its_best(sweeping):
    """Over history and summary, whichever way is better; what is no number doesn't count."""
    work = sweeping(**grid(1))
    run = work.begin(work.agent())
    work.log(run, 3.0, float("nan"), 2.0, 5.0)
    work.store.runs.merge_summary(run, {"loss": 4.0, "deep": {"a": {"max": 9, "last": 1}}, "word": "NaN"})
    run = work.store.runs.by_id(run.id)

    assert standing.reached(work.store, run, Metric("loss")) == 2.0
    assert standing.reached(work.store, run, Metric("loss", "maximize")) == 5.0
    assert standing.reached(work.store, run, Metric("deep.a", "maximize")) == 9.0
    assert standing.reached(work.store, run, Metric("word")) is None
    assert standing.record(work.store, run, Metric("loss")) == [3.0, 3.0, 2.0, 2.0]


def test_a_metric_may_have_a_dot_in_its_name(tmp_path):
    """`mAP@0.5` is one name; `val.loss` may also be the `loss` inside of `val`."""
    sweeping = Sweeping(tmp_path / "data")
    run, _ = sweeping.store.runs.open(sweeping.project, "r")
    sweeping.store.history.append(run.id, [(0, {"mAP@0.5": 0.25, "val": {"loss": 3.0}}), (1, {"mAP@0.5": 0.75})])

    assert standing.reached(sweeping.store, run, Metric("mAP@0.5", "maximize")) == 0.75
    assert standing.record(sweeping.store, run, Metric("val.loss", "minimize")) == [3.0]
    sweeping.store.close()
