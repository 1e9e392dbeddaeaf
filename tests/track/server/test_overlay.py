"""What several runs logged: their keys together, what is new of each, and groups of them as one line."""

import numpy as np
import pytest

from fulgurite.track.server.api.groups import together

P = "/api/projects/local/p"


@pytest.fixture
def other(store, run):
    """A run beside `run`, with more rows and a key of its own."""
    other, _ = store.runs.open(store.runs.project("p"), "other")
    store.history.append(other.id, [(i, {"loss": 2.0 * i, "own": i, "word": "a"}) for i in range(5, 25)])
    return store.runs.by_id(other.id)


def single(x, y):
    """A line of single values."""
    x, y = np.array(x), np.array(y, dtype=float)
    return {"x": x, "last": y, "low": y, "high": y}


def charts(client, **parameters):
    return client.get(P + "/charts", params=parameters).json()["charts"]


def test_keys_of_several_runs_are_told_once(client, run, other):
    """With how many runs logged each, how many values there are, and at which steps."""
    found = client.get(P + "/keys", params={"run": ["abc", "other"]}).json()

    keys = {each["key"]: each for each in found["keys"]}
    assert keys["loss"] == {
        "key": "loss", "name": "loss", "kind": "number", "count": 30, "first": 0, "last": 24, "runs": 2,
    }  # fmt: skip
    assert keys["own"]["runs"] == 1 and keys["word"]["kind"] == "other"
    assert [each["name"] for each in found["keys"] if each["name"].startswith("deep")] == ["deep.x"]
    assert found["runs"] == [{"run": each.name, "version": each.version, "state": each.state} for each in (run, other)]


def test_keys_that_are_named_are_told_alone(client, run, other):
    """A page asks only about the charts in sight."""
    found = client.get(P + "/keys", params={"run": ["abc", "other"], "key": ["own", "loss", "no such"]}).json()

    assert [each["key"] for each in found["keys"]] == ["loss", "own"]


def test_keys_are_told_again_only_when_a_run_has_changed(client, store, run, other):
    known = client.get(P + "/keys", params={"run": ["abc", "other"]}).headers["etag"]

    def again():
        return client.get(P + "/keys", params={"run": ["abc", "other"]}, headers={"If-None-Match": known})

    assert again().status_code == 304
    store.history.append(other.id, [(30, {"loss": 1.0})])
    assert again().status_code == 200


def test_keys_of_the_system_are_told_apart(client, store, run):
    store.history.append(run.id, [(1_700_000_000_000, {"cpu": 1.0, "_timestamp": 1.7e9})], 1)

    found = client.get(P + "/keys", params={"run": "abc", "stream": "system"}).json()["keys"]

    assert [each["key"] for each in found] == ["_timestamp", "cpu"]


def test_only_what_is_new_of_each_run_is_told(client, run, other):
    """`after` is a step for each run: its line begins behind it."""
    found = charts(client, run=["abc", "other"], key="loss", after=[8, 22])

    assert [(each["run"], each["x"]) for each in found] == [("abc", [9]), ("other", [23, 24])]
    assert found[1]["last"] == [46.0, 48.0] and found[1]["low"] is None


def test_a_group_is_one_line(client, run, other):
    """Its mean, how far its runs lie from it, and the extremes, at the steps of any of them."""
    found = charts(client, run=["abc", "other"], key=["loss", "own"], group=["g", "g"])

    loss, own = found
    assert (loss["group"], loss["runs"], loss["key"], own["runs"]) == ("g", 2, "loss", 1)
    assert loss["x"] == list(range(25))
    at = loss["x"].index(7)
    a, b = 1 / 8, 14.0
    assert loss["last"][at] == pytest.approx((a + b) / 2) and loss["deviation"][at] == pytest.approx((b - a) / 2)
    assert (loss["low"][at], loss["high"][at]) == (a, b)
    assert loss["last"][0] == 1.0 and loss["last"][-1] == 48.0, "where one run is alone, it is the mean"


def test_groups_come_in_the_order_of_their_runs(client, run, other):
    found = charts(client, run=["other", "abc"], key="loss", group=["b", "a"])

    assert [each["group"] for each in found] == ["b", "a"]


def test_a_run_counts_between_its_own_points():
    """Of runs that log at different steps each counts with its last value, until it ends."""
    found = together([single([0, 2, 4], [0, 2, 4]), single([1, 3], [10, 30])], 100)

    assert found["x"].tolist() == [0, 1, 2, 3, 4]
    assert found["last"].tolist() == [0, 5, 6, 16, 4]


def test_from_afar_a_group_loses_no_extreme():
    """A spike inside of a stretch is in the band, and means are those of the lines at its end."""
    x = np.arange(1000)
    a, b = np.zeros(1000), np.ones(1000)
    b[333] = 50.0

    found = together([single(x, a), single(x, b)], 10)

    assert len(found["x"]) == 10
    assert found["high"].max() == 50.0 and found["high"].argmax() == 3
    assert found["last"].tolist() == [0.5] * 10 and found["deviation"].tolist() == [0.5] * 10


def test_what_is_no_number_counts_in_no_mean():
    nan = float("nan")

    found = together([single([0, 1], [nan, nan]), single([0, 1], [3, nan]), single([], [])], 10)

    assert found["last"][0] == 3 and np.isnan(found["last"][1]) and np.isnan(found["high"][1])


def test_no_line_makes_none(client, run):
    (found,) = charts(client, run="abc", key="no such", group="g")

    assert (found["runs"], found["count"], found["x"]) == (0, 0, [])


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/keys", 400, "'run'"),
        ("/keys?run=nope", 404, "nope"),
        ("/keys?run=abc&stream=odd", 400, "history, system"),
        ("/keys?" + "run=abc&" * 1001, 400, "1000"),
        ("/charts?run=abc&key=loss&after=1&after=2", 400, "2 times for 1 runs"),
        ("/charts?run=abc&key=loss&after=x", 400, "whole numbers"),
        ("/charts?run=abc&key=loss&after=1&x=_runtime", 400, "x=_step"),
        ("/charts?run=abc&run=abc&key=loss&group=a", 400, "1 times for 2 runs"),
        ("/charts?run=abc&key=loss&group=a&after=1", 400, "'group'"),
    ],
)
def test_what_cannot_be_understood_is_said(client, run, path, status, word):
    answer = client.get(P + path)

    assert answer.status_code == status and word in answer.json()["error"]


@pytest.mark.parametrize(
    "limits", [{"after": 10**20}, {"low": 1e19}, {"low": 0, "high": -1e19}, {"low": -1e300, "high": 1e300}]
)
def test_limits_may_lie_beyond_every_step(client, run, limits):
    answer = client.get(f"{P}/charts", params={"run": run.name, "key": "loss", **limits})

    assert answer.status_code == 200
    assert len(answer.json()["charts"][0]["x"]) == (10 if limits.get("high", 0) > 0 else 0)
