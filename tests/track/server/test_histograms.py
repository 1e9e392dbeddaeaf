"""Histograms over steps on one grid."""

import numpy as np
import pytest

HISTOGRAMS = "/api/projects/local/p/runs/abc/histograms"


def logged(store, run, values, key="h"):
    store.history.append(run.id, [(step, {key: value}) for step, value in enumerate(values)])


def histogram(counts, low, high):
    return {"_type": "histogram", "values": counts, "bins": np.linspace(low, high, len(counts) + 1).tolist()}


def asked(client, **parameters):
    answer = client.get(HISTOGRAMS, params={"key": "h", **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["histograms"][0]


def test_histograms_stand_on_one_grid(client, store, run):
    """No value gets lost, and each lies where it was."""
    logged(store, run, [histogram([10, 30], 0, 1), histogram([8], 1, 4)])

    found = asked(client, bins=4)

    assert found["edges"] == [0, 1, 2, 3, 4] and found["steps"] == [0, 1]
    assert found["counts"][0] == [40, 0, 0, 0]
    assert np.allclose(found["counts"][1], [0, 8 / 3, 8 / 3, 8 / 3])


def test_bins_are_told_in_either_form(client, store, run):
    packed = {"_type": "histogram", "values": [1, 2, 3], "packedBins": {"min": -1.0, "size": 1.0, "count": 3}}
    logged(store, run, [packed])

    found = asked(client, bins=3)

    assert found["edges"] == [-1, 0, 1, 2] and found["counts"] == [[1, 2, 3]]


def test_of_many_steps_the_last_of_each_stretch_is_told(client, store, run):
    logged(store, run, [histogram([step + 1], 0, 1) for step in range(95)])

    found = asked(client, steps=10, bins=1)

    assert len(found["steps"]) == 10 and found["steps"][-1] == 94 and found["count"] == 95
    assert found["counts"] == [[step + 1] for step in found["steps"]]
    assert asked(client, low=7, high=7, bins=1)["counts"] == [[8]]


def test_values_that_are_all_the_same_fill_one_bin(client, store, run):
    """A bin without a width, alone and beside others."""
    zero = {"_type": "histogram", "values": [0, 64, 0], "bins": [0.0, 0.0, 0.0, 0.0]}
    logged(store, run, [zero])
    assert sum(asked(client)["counts"][0]) == 64

    logged(store, run, [zero, histogram([4, 4], 0, 1)])

    assert asked(client, bins=2)["counts"] == [[64, 0], [4, 4]]


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"_type": "histogram"},
        {"_type": "histogram", "values": [1], "bins": [1]},
        {"_type": "histogram", "values": [1], "bins": ["a", "b"]},
        {"_type": "histogram", "values": [1, 1], "bins": [2, 1, 0]},
        {"_type": "histogram", "values": [1], "bins": ["NaN", "Infinity"]},
        {"_type": "histogram", "values": [[1]], "bins": [[1], [2]]},
        {"_type": "histogram", "values": [1], "packedBins": {"min": 0, "size": 1, "count": 10**12}},
        {"_type": "histogram", "values": [1], "packedBins": {"min": "a", "size": None}},
        {"_type": "histogram", "values": [1], "bins": [-1.7e308, 1.7e308]},
    ],
)
def test_what_is_no_histogram_is_counted(client, store, run, value):
    logged(store, run, [value, histogram([1], 0, 1)])

    found = asked(client)

    assert found["unreadable"] == 1 and found["steps"] == [1]


def test_several_keys_come_at_once(client, store, run):
    logged(store, run, [histogram([1], 0, 1)], "a")

    found = client.get(HISTOGRAMS, params={"key": ["a", "nope"]}).json()["histograms"]

    assert [each["key"] for each in found] == ["a", "nope"]
    assert found[1]["steps"] == found[1]["edges"] == found[1]["counts"] == []


@pytest.mark.parametrize("asked", [{}, {"key": "h", "steps": 0}, {"key": "h", "bins": 10**6}, {"key": ["h"] * 201}])
def test_what_cannot_be_asked_of_histograms_is_told(client, run, asked):
    assert client.get(HISTOGRAMS, params=asked).status_code == 400
