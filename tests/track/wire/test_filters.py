"""Filters as MongoDB writes them, and orders."""

import json
import time

import pytest

from fulgurite.track.wire.filters import BadFilter, Candidate, read_filter, read_order

RUNS = [
    {"id": 1, "name": "a", "display_name": "First run", "state": "finished", "tags": ["good", "x"], "group_name": "g",
     "config": {"lr": 0.1, "deep": {"n": 3}, "a.b": 1, "opt": "adam", "list": [1, 2]}, "summary": {"loss": 0.5},
     "created_at": 1_700_000_000.0},
    {"id": 2, "name": "b", "display_name": None, "state": "running", "tags": [], "group_name": None,
     "config": {"lr": 1, "flag": True, "none": None}, "summary": {"loss": float("nan"), "deep": {"acc": 0.9}},
     "created_at": 1_710_000_000.0},
    {"id": 3, "name": "c", "display_name": "third", "state": "running", "tags": ["x"], "group_name": "h",
     "config": {}, "summary": {"loss": 0.1}, "created_at": 1_720_000_000.0, "seen_at": 1_720_000_000.0},
]  # fmt: skip


def candidates():
    defaults = {"notes": None, "job_type": None, "sweep": None, "facts": {"host": "h1"}, "seen_at": time.time()}
    for run in RUNS:
        row = {**defaults, **run}
        yield Candidate(
            {k: json.dumps(v) if k in ("tags", "config", "summary", "facts") else v for k, v in row.items()}
        )


def found(**wanted):
    accepts = read_filter(json.dumps(wanted)).accepts
    return [each.row["id"] for each in candidates() if accepts(each)]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, [1, 2, 3]),
        ({"state": "finished"}, [1]),
        ({"state": "crashed"}, [3]),  # it runs, but has said nothing for long
        ({"state": {"$in": ["running", "crashed"]}}, [2, 3]),
        ({"state": {"$nin": ["running"]}}, [1, 3]),
        ({"tags": "x"}, [1, 3]),
        ({"tags": {"$in": ["good", "no"]}}, [1]),
        ({"tags": {"$all": ["good", "x"]}}, [1]),
        ({"tags": {"$nin": ["x"]}}, [2]),
        ({"tags": {"$ne": "good"}}, [2, 3]),
        ({"config.lr": 0.1}, [1]),
        ({"config.lr.value": {"$gte": 0.1}}, [1, 2]),
        ({"config.lr": {"$gt": 0.1, "$lt": 5}}, [2]),
        ({"config.lr": {"$not": {"$gt": 0.1}}}, [1, 3]),
        ({"config.lr": {"$ne": 1}}, [1, 3]),
        ({"config.lr": {"$gt": "a"}}, []),
        ({"config.deep.n": 3}, [1]),
        ({"config.deep.value.n": 3}, [1]),
        ({"config.a.b": 1}, [1]),
        ({"config.flag": 1}, []),
        ({"config.flag": True}, [2]),
        ({"config.list": 2}, [1]),
        ({"config.list": [1, 2]}, [1]),
        ({"config.none": {"$exists": True}}, [2]),
        ({"config.lr": {"$exists": False}}, [3]),
        ({"config.opt": {"$regex": "^AD", "$options": "i"}}, [1]),
        ({"config.lr": None}, [3]),
        ({"summary_metrics.loss": {"$lte": 0.5}}, [1, 3]),
        ({"summary_metrics.deep.acc": {"$gt": 0.5}}, [2]),
        ({"display_name": "b"}, [2]),
        ({"displayName": {"$regex": "run$"}}, [1]),
        ({"name": {"$in": ["a", "c"]}}, [1, 3]),
        ({"group": "g"}, [1]),
        ({"group": {"$exists": False}}, [2]),
        ({"jobType": {"$exists": True}}, []),
        ({"created_at": {"$gt": "2024-01-01"}}, [2, 3]),
        ({"created_at": {"$lt": "2024-07-01T00:00:00Z", "$gte": "2024-03-01T00:00:00+01:00"}}, [2]),
        ({"created_at": {"$gte": 1_720_000_000_000}}, [3]),
        ({"host": "h1", "username": "local"}, [1, 2, 3]),
        ({"$or": [{"config.lr": 1}, {"$and": [{"tags": "x"}, {"state": "finished"}]}]}, [1, 2]),
        ({"$nor": [{"config.lr": 1}, {"tags": "good"}]}, [3]),
        ({"$not": {"config.lr": 1}}, [1, 3]),
        ({"$and": []}, [1, 2, 3]),
    ],
)
def test_a_filter_lets_through_what_it_says(wanted, ids):
    assert found(**wanted) == ids


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a":', "is no JSON"),
        ("[]", "A filter is an object"),
        ("[" * 100_000, "is no JSON"),
        ('{"config.lr": {"$near": 1}}', r"\$near is not known"),
        ('{"$where": "1"}', r"\$where is not known"),
        ('{"colour": 1}', "Runs have no field 'colour'"),
        ('{"config": 1}', "Runs have no field 'config'"),
        ('{"$or": {"state": "a"}}', r"\$or takes a list"),
        ('{"$and": [1]}', "A filter is an object"),
        ('{"tags": {"$in": "x"}}', r"\$in takes a list"),
        ('{"name": {"$regex": "("}}', "no regular expression"),
        ('{"name": {"$regex": 1}}', r"\$regex takes a pattern"),
        ('{"name": {"$regex": "(a+)+b"}}', "may take forever"),
        ('{"created_at": {"$gt": "yesterday"}}', "is no time"),
        ('{"$not":' * 60 + "{}" + "}" * 60, "40 deep"),
        ('{"name":' + '{"$not":' * 60 + "{}" + "}" * 61, "40 deep"),
    ],
)
def test_a_filter_that_is_not_understood_says_why(text, told):
    with pytest.raises(BadFilter, match=told):
        read_filter(text)


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("", [3, 2, 1]),
        ("+created_at", [1, 2, 3]),
        ("-created_at", [3, 2, 1]),
        ("created_at", [1, 2, 3]),
        ("+summary_metrics.loss", [3, 1, 2]),
        ("-summary_metrics.loss", [1, 3, 2]),  # what is no number comes last in either direction
        ("-config.lr.value", [2, 1, 3]),
        ("+state,-created_at", [3, 1, 2]),
        ("-state,+created_at", [2, 1, 3]),
    ],
)
def test_runs_are_ordered_by_what_is_asked(order, ids):
    assert [each.row["id"] for each in read_order(order).sorted(candidates())] == ids


def test_an_order_by_nothing_known_says_so():
    with pytest.raises(BadFilter, match="Runs have no field 'beauty'"):
        read_order("-beauty")


def test_only_the_columns_that_matter_are_read():
    """A filter over states needs no configuration: two thousand of them need not be decoded."""
    assert read_filter('{"state": "finished"}').columns == {"state", "seen_at"}
    assert read_order("-summary_metrics.loss").columns == {"summary"}
