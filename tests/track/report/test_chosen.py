"""Which runs the words of `fulgurite report` mean."""

import pytest

from fulgurite.base.errors import DataError
from fulgurite.track.report.chosen import Chooser


@pytest.fixture
def several(made):
    made("r1", "p", display_name="first")
    made("r2", "p", display_name="twice")
    made("r3", "p", display_name="twice")
    made("r1", "q", display_name="vae/version_0")
    made("x9", "q", "team")


def names(store, *words, **how):
    return [f"{run.project.entity}/{run.project.name}/{run.name}" for run in Chooser(store, **how).runs(words)]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["r2"], ["local/p/r2"]),
        (["q/r1"], ["local/q/r1"]),
        (["team/q/x9"], ["team/q/x9"]),
        (["first"], ["local/p/r1"]),
        (["vae/version_0"], ["local/q/r1"]),
        (["p"], ["local/p/r3", "local/p/r2", "local/p/r1"]),
        (["team/q"], ["team/q/x9"]),
        (["r2", "p/r2", "x9"], ["local/p/r2", "team/q/x9"]),
    ],
)
def test_a_run_is_meant_by_id_address_shown_name_or_project(store, several, words, meant):
    """Each of them once, in the order in which they were named."""
    assert names(store, *words) == meant


def test_of_a_project_the_newest_runs_are_taken(store, several):
    assert names(store, "p", newest=2) == ["local/p/r3", "local/p/r2"]
    assert names(store, project="p", newest=1) == ["local/p/r3"]


def test_with_a_project_names_are_looked_for_there_only(store, several):
    assert names(store, "r1", project="q") == ["local/q/r1"]
    with pytest.raises(DataError, match=r"'r2' is no run and no project.*newest runs of q are: r1 \(vae/version_0\)"):
        names(store, "r2", project="q")


@pytest.mark.parametrize("word", ["r1", "twice"])
def test_a_name_of_several_runs_is_no_name_of_one(store, several, word):
    with pytest.raises(DataError, match=f"'{word}' is the name of 2 runs. Write one of: [pq]/r"):
        names(store, word)


def test_what_is_not_there_is_named_beside_what_there_is(store, several):
    with pytest.raises(DataError, match="'nope' is no run and no project.*the projects are: team/q, q, p"):
        names(store, "nope")
    with pytest.raises(DataError, match="There is no project 'nope'; the projects are: "):
        names(store, project="nope")
    with pytest.raises(DataError, match="No run was named"):
        names(store)


def test_an_empty_project_is_told(store):
    store.runs.project("empty", create=True)

    with pytest.raises(DataError, match="The project 'empty' has no runs"):
        names(store, project="empty")
