"""Projects and runs: made, found, changed, ended, deleted and brought back."""

import math
import time

import pytest

from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.runs import CRASHED, FAILED, FINISHED, RUNNING, SILENCE


@pytest.fixture
def project(store):
    return store.runs.project("p", create=True)


def test_a_project_is_made_when_it_is_asked_for(store):
    """Once for each entity; else it is not found, by name."""
    with pytest.raises(NotFound, match="local/p"):
        store.runs.project("p")
    made = store.runs.project("p", create=True)
    store.runs.describe_project(made, "about")
    other = store.runs.project("p", "team", create=True)

    assert store.runs.project("p", create=True).description == "about"
    assert store.runs.projects() == [other, store.runs.project("p")]
    assert store.runs.projects("team") == [other]


def test_a_run_is_made_once(store, project):
    """Opened again it is the same, with what is newly said of it; its time of birth stays."""
    first, made = store.runs.open(project, "abc", config={"lr": 0.1}, created_at=5.0)
    second, made_again = store.runs.open(project, "abc", display_name="dark", created_at=9.0)

    assert (made, made_again) == (True, False)
    assert second.id == first.id
    assert (second.created_at, second.config, second.display_name) == (5.0, {"lr": 0.1}, "dark")
    assert second.version > first.version
    assert store.runs.count(project) == 1


def test_runs_without_a_name_get_one(store, project):
    names = {store.runs.open(project)[0].name for _ in range(5)}

    assert len(names) == 5
    assert all(len(name) == 8 and name.isalnum() for name in names)


def test_what_is_said_comes_back(store, run):
    """Nested, with numbers that are none, and halves of characters."""
    said = {"a": {"b": [1, None, True]}, "inf": -math.inf, "half": "\ud800", "": "é"}
    run = store.runs.update(run, config=said, tags=["x", "y"], facts={"git": {}}, notes="n")

    found = store.runs.find(run.project, run.name)

    assert (found.config, found.tags, found.facts, found.notes) == (said, ["x", "y"], {"git": {}}, "n")
    assert math.isnan(store.runs.update(run, summary={"y": math.nan}).summary["y"])


def test_a_summary_grows(store, run):
    store.runs.merge_summary(run, {"a": 1, "b": 1})
    store.runs.merge_summary(run, {"b": 2})

    assert store.runs.by_id(run.id).summary == {"a": 1, "b": 2}


def test_a_silent_run_has_crashed_until_it_speaks(store, run):
    """The state is found when it is asked for: nobody needs to watch."""
    assert run.state == RUNNING
    silent = store.runs.update(run, seen_at=time.time() - SILENCE - 1)
    assert (silent.state, silent.recorded_state) == (CRASHED, RUNNING)

    store.history.append(run.id, [(0, {"y": 1.0})])

    assert store.runs.by_id(run.id).state == RUNNING


@pytest.mark.parametrize(("code", "state"), [(0, FINISHED), (3, FAILED)])
def test_a_run_ends_and_may_go_on(store, run, code, state):
    """As its exit code says; one that ended is not silent, and one that is resumed runs again."""
    store.runs.update(run, stop_asked=1)
    ended = store.end(run, code)
    assert (ended.state, ended.exit_code, ended.stop_asked) == (state, code, False)
    assert store.runs.update(ended, seen_at=0.0).state == state

    store.runs.seen(run)

    resumed = store.runs.by_id(run.id)
    assert (resumed.state, resumed.exit_code, resumed.ended_at) == (RUNNING, None, None)


def test_a_deleted_run_makes_way_for_another(store, run):
    """Each keeps what it logged. The first can't come back until its name is free."""
    store.history.append(run.id, [(0, {"y": 1.0})])
    store.runs.delete([run])
    second, made = store.runs.open(run.project, run.name)
    assert made and second.id != run.id
    assert store.history.rows(second.id) == []
    assert [each.id for each in store.runs.all(run.project, deleted=True)] == [run.id]

    with pytest.raises(StoreError, match="p/abc can't be restored.*Delete that one first"):
        store.runs.restore([run])
    store.runs.delete([second])
    store.runs.restore([run])

    assert [each.id for each in store.runs.all(run.project)] == [run.id]
    assert store.history.rows(run.id) == [{"_step": 0, "y": 1.0}]


def test_alerts_are_kept_in_order(store, run):
    for level in ("INFO", "ERROR"):
        store.runs.alert(run, "title", "text", level)

    assert [alert["level"] for alert in store.runs.alerts(run)] == ["INFO", "ERROR"]


def test_a_list_of_runs_can_be_opened_though_one_of_them_is_large(store, project):
    """Its JSON is read when it is asked for, and then kept: changes to the dict are the caller's."""
    store.runs.open(project, "large", summary={str(i): i for i in range(1000)})

    (run,) = store.runs.all(project)

    assert "summary" not in vars(run)
    assert run.summary["999"] == 999
    assert run.summary is run.summary
    assert run == store.runs.find(project, "large")
