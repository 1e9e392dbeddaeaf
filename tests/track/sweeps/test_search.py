"""How the next parameters are chosen: a grid in order, draws by seed, and Bayes better than chance."""

import math
import statistics

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.sweeps.config import read
from fulgurite.track.sweeps.search import Tried, choose


def made(method, parameters, goal="minimize"):
    metric = {"name": "loss", "goal": goal}
    return read(yaml.dump({"method": method, "metric": metric, "parameters": parameters}, sort_keys=False))


def test_a_grid_goes_through_its_combinations_in_order():
    """The last parameter moves fastest; nested ones lie inside; steps and whole numbers are listed."""
    config = made(
        "grid",
        {
            "x": {"values": ["a", "b"]},
            "deep": {"parameters": {"n": {"min": 1, "max": 2}, "fixed": {"value": 5}}},
            "q": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1},
        },
    )

    found = [choose(config, 0, number) for number in range(config.expected())]
    assert found == [
        {"x": x, "deep": {"n": n, "fixed": 5}, "q": q} for x in "ab" for n in (1, 2) for q in (0.0, 0.1, 0.2, 0.3)
    ]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_a_grid_gives_every_combination_once(sizes):
    """As many as the product of the sizes."""
    config = made("grid", {f"p{i}": {"values": list(range(size))} for i, size in enumerate(sizes)})

    found = {tuple(choose(config, 0, number).values()) for number in range(config.expected())}
    assert len(found) == config.expected()


def test_draws_follow_from_seed_and_number():
    """Agents may ask in any order."""
    config = made("random", {"x": {"min": 0.0, "max": 1.0}, "c": {"values": list(range(100))}})

    found = [choose(config, 7, number) for number in range(20)]
    assert found[::-1] == [choose(config, 7, number) for number in reversed(range(20))]
    assert len({each["x"] for each in found}) == 20
    assert found != [choose(config, 8, number) for number in range(20)]


SPACE = {
    "x": {"min": 0.0, "max": 1.0},
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1.0},
    "kind": {"values": ["good", "bad", "worse"]},
    "layers": {"min": 1, "max": 6},
}


def loss(p):
    """Best, at 0, at x=0.3, lr=0.01, three layers of the good kind."""
    rate = (math.log10(p["lr"]) + 2) / 5
    kind = {"good": 0.0, "bad": 0.3, "worse": 0.6}[p["kind"]]
    return (p["x"] - 0.3) ** 2 + rate**2 + kind + 0.05 * abs(p["layers"] - 3)


def best_of(method, seed, goal="minimize", runs=25):
    config, done = made(method, SPACE, goal), []
    for number in range(runs):
        parameters = choose(config, seed, number, done)
        done.append(Tried(parameters, loss(parameters) * (1 if goal == "minimize" else -1)))
    return min(loss(each.parameters) for each in done)


def test_bayes_finds_the_optimum_better_than_chance():
    """After 25 runs, the median of three seeds is at most a fiftieth of random search's. One of them maximizes."""
    pytest.importorskip("optuna")
    chance = statistics.median(best_of("random", seed) for seed in range(9))

    found = [best_of("bayes", 0), best_of("bayes", 1), best_of("bayes", 2, "maximize")]
    assert statistics.median(found) < chance / 50


def test_bayes_gives_agents_that_ask_at_once_different_parameters():
    """Runs that are under way have no value yet; the next one is not the same again."""
    pytest.importorskip("optuna")
    config = made("bayes", {"x": {"min": 0.0, "max": 1.0}})
    done = [Tried({"x": x / 10}, (x / 10 - 0.42) ** 2) for x in range(11)]

    asked = []
    for number in range(11, 15):
        asked.append(choose(config, 1, number, [*done, *(Tried(each, None, under_way=True) for each in asked)]))
    places = sorted(each["x"] for each in asked)
    assert min(b - a for a, b in zip(places, places[1:], strict=False)) > 1e-6


def test_bayes_takes_in_what_it_can():
    """Runs that failed, runs of another space, and values that the space doesn't hold are passed over."""
    pytest.importorskip("optuna")
    config = made("bayes", {"c": {"values": ["a", "b"]}, "n": {"distribution": "normal"}, "one": {"value": 1}})
    odd = [
        Tried({"c": "z", "n": 0.0, "one": 1}, 1.0),
        Tried({"x": 1}, 2.0),
        Tried({"c": "a", "n": 0.5, "one": 1}, None),
    ]

    found = choose(config, 3, 12, odd * 4)
    assert found["c"] in "ab" and isinstance(found["n"], float) and found["one"] == 1
    assert found == choose(config, 3, 12, odd * 4)


def test_bayes_goes_on_beyond_where_a_gaussian_process_is_quick():
    """With hundreds of results it still answers, and near the optimum."""
    pytest.importorskip("optuna")
    config = made("bayes", {"x": {"min": 0.0, "max": 1.0}})
    done = [Tried({"x": x / 400}, (x / 400 - 0.42) ** 2) for x in range(401)]

    found = [choose(config, 1, number, done)["x"] for number in range(401, 411)]
    assert statistics.median(abs(x - 0.42) for x in found) < 0.1
