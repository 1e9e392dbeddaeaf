"""Every distribution that W&B documents: its range, its steps, its shape, and the same draws for the same seed."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.sweeps.errors import SweepError
from fulgurite.track.sweeps.parameters import KINDS, distribution

SEEDS = st.integers(0, 2**32)
NUMBERS = st.floats(-1e6, 1e6)
POSITIVE = st.floats(1e-6, 1e6)
EXPONENTS = st.floats(-20, 20)
STEPS = st.sampled_from([1, 2, 7, 0.1, 0.25, 3.5])


def made(kind, **said):
    return distribution("parameters.x", {"distribution": kind, **said}, [])


def drawn(kind, seed, count=20, **said):
    rng = random.Random(seed)
    return [made(kind, **said).sample(rng) for _ in range(count)]


def is_multiple(value, step):
    return abs(value / step - round(value / step)) < 1e-6


def test_all_that_wandb_documents_are_known():
    """The names are those of its reference of sweep configurations."""
    assert set(KINDS) >= {
        "constant", "categorical", "int_uniform", "uniform", "q_uniform", "log_uniform", "log_uniform_values",
        "q_log_uniform", "q_log_uniform_values", "inv_log_uniform", "inv_log_uniform_values", "normal", "q_normal",
        "log_normal", "q_log_normal", "beta", "q_beta",
    }  # fmt: skip


@given(SEEDS)
def test_the_same_seed_draws_the_same(seed):
    """Whatever the distribution is."""
    said = {"min": 1, "max": 4, "values": [1, 2], "value": 3}
    for kind, (keys, _) in KINDS.items():
        own = {key: said[key] for key in keys & said.keys()}
        assert drawn(kind, seed, **own) == drawn(kind, seed, **own), kind


@given(SEEDS)
def test_a_constant_is_itself_and_a_category_one_of_its_values(seed):
    """Values may be of any kind."""
    assert drawn("constant", seed, value=[1, "a"]) == [[1, "a"]] * 20
    assert set(drawn("categorical", seed, values=["a", 1, None])) <= {"a", 1, None}


def test_categories_come_as_often_as_their_probabilities_say():
    """One that has no probability never comes."""
    found = drawn("categorical", 1, 4000, values=["a", "b", "c"], probabilities=[0.8, 0.2, 0])

    assert found.count("c") == 0
    assert 0.77 < found.count("a") / 4000 < 0.83


@given(SEEDS, st.integers(-50, 50), st.integers(0, 100))
def test_whole_numbers_lie_between_the_ends_and_reach_them(seed, low, width):
    """Both ends are included."""
    assert all(type(x) is int and low <= x <= low + width for x in drawn("int_uniform", seed, min=low, max=low + width))
    assert set(drawn("int_uniform", seed, 200, min=0, max=2)) == {0, 1, 2}


@given(SEEDS, NUMBERS, NUMBERS)
def test_uniform_lies_between_the_ends(seed, one, other):
    """Also where both are the same."""
    low, high = sorted((one, other))
    assert all(low <= x <= high for x in drawn("uniform", seed, min=low, max=high))


@given(SEEDS, st.floats(-1000, 1000), st.floats(20, 1000), STEPS)
def test_steps_are_multiples_within_the_ends(seed, low, width, step):
    """Rounding never leaves the range; whole steps give whole numbers."""
    for x in drawn("q_uniform", seed, min=low, max=low + width, q=step):
        assert low - 1e-6 <= x <= low + width + 1e-6 and is_multiple(x, step)
        assert type(x) is type(step)


@given(SEEDS, EXPONENTS, EXPONENTS)
def test_log_uniform_takes_exponents(seed, one, other):
    """Values lie between e to the min and e to the max; inv_log_uniform between their inverses."""
    low, high = sorted((one, other))
    below, above = 1 - 1e-9, 1 + 1e-9
    for x in drawn("log_uniform", seed, min=low, max=high):
        assert math.exp(low) * below <= x <= math.exp(high) * above
    for x in drawn("inv_log_uniform", seed, min=low, max=high):
        assert math.exp(-high) * below <= x <= math.exp(-low) * above


@given(SEEDS, POSITIVE, POSITIVE, st.sampled_from(["log_uniform_values", "inv_log_uniform_values"]))
def test_log_uniform_values_lie_between_the_values(seed, one, other, kind):
    """The ends are exact."""
    low, high = sorted((one, other))
    assert all(low <= x <= high for x in drawn(kind, seed, min=low, max=high))


@given(SEEDS, STEPS, st.sampled_from(["q_log_uniform", "q_log_uniform_values"]))
def test_stepped_logarithms_are_multiples_within_the_ends(seed, step, kind):
    """So a learning rate is never rounded to nothing."""
    low, high = (1.0, 100.0) if kind.endswith("values") else (0.0, math.log(100))
    for x in drawn(kind, seed, min=low, max=high, q=step):
        assert 1 - 1e-9 <= x <= 100 + 1e-9 and is_multiple(x, step)


@pytest.mark.parametrize(
    ("kind", "said", "turn", "mean", "deviation"),
    [
        ("normal", {"mu": 5, "sigma": 2}, float, 5, 2),
        ("normal", {}, float, 0, 1),
        ("q_normal", {"mu": 5, "sigma": 2, "q": 0.5}, float, 5, 2),
        ("log_normal", {"mu": 1, "sigma": 0.5}, math.log, 1, 0.5),
        ("log_uniform_values", {"min": 0.001, "max": 1}, math.log, math.log(0.001) / 2, math.log(1000) / 12**0.5),
        ("uniform", {"min": 0.0, "max": 12.0}, float, 6, 12**0.5),
        ("beta", {"a": 2, "b": 6}, float, 0.25, 1 / 48**0.5),
        ("q_beta", {"a": 2, "b": 6, "q": 0.01}, float, 0.25, 1 / 48**0.5),
    ],
)
def test_the_shape_is_the_named_one(kind, said, turn, mean, deviation):
    """Mean and standard deviation of 20,000 draws, to three of their standard errors and the half of a step."""
    found = [turn(x) for x in drawn(kind, 3, 20_000, **said)]

    assert statistics.fmean(found) == pytest.approx(mean, abs=0.03 * deviation)
    assert statistics.stdev(found) == pytest.approx(deviation, rel=0.03)


@given(SEEDS, STEPS)
def test_stepped_bells_are_multiples(seed, step):
    """A logarithm's values stay above zero or at it."""
    assert all(is_multiple(x, step) for x in drawn("q_normal", seed, mu=0, sigma=10, q=step))
    assert all(x >= 0 and is_multiple(x, step) for x in drawn("q_log_normal", seed, mu=0, sigma=2, q=step))
    assert all(0 <= x <= 1 for x in drawn("q_beta", seed, a=1, b=3, q=0.1))


@given(
    st.floats(0.001, 0.999), st.sampled_from(sorted(k for k in KINDS if k[:2] != "q_" and k[:3] not in ("con", "cat")))
)
def test_an_optimiser_finds_its_way_back(share, kind):
    """`place` undoes `at`, to the width of a whole number."""
    way = made(kind, **({"min": 1, "max": 9} if "uniform" in kind else {}))

    assert way.place(way.at(share)) == pytest.approx(share, abs=0.06 if kind == "int_uniform" else 1e-6)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"value": 1}, "Constant"),
        ({"values": [1, 2]}, "Categorical"),
        ({"min": 1, "max": 3}, "Whole"),
        ({"min": 1.0, "max": 3.0}, "Real"),
        ({"min": 0, "max": 0.5}, "Real"),
    ],
)
def test_the_distribution_follows_from_the_keys(said, kind):
    """As W&B infers it."""
    assert type(distribution("parameters.x", said, [])).__name__ == kind


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "parameters.x says nothing"),
        ({"min": 1}, "no distribution follows"),
        ({"distribution": "gauss"}, "parameters.x.distribution is 'gauss'"),
        ({"distribution": "uniform", "min": 0}, "parameters.x.max is missing"),
        ({"distribution": "uniform", "min": 2, "max": 1}, "parameters.x.min is 2"),
        ({"distribution": "uniform", "min": "1e-3", "max": 1}, "Write 0.001"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "parameters.x.min is 0"),
        ({"distribution": "log_uniform", "min": 1, "max": 1000}, "log_uniform_values"),
        ({"distribution": "normal", "sigma": -1}, "parameters.x.sigma is -1"),
        ({"distribution": "q_uniform", "min": 0.1, "max": 0.2, "q": 1}, "parameters.x.q is 1"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "whole numbers"),
        ({"values": []}, "parameters.x.values is []"),
        ({"values": "abc"}, "parameters.x.values is 'abc'"),
        ({"values": [1, 2], "probabilities": [1]}, "parameters.x.probabilities is [1]"),
        ({"values": [1, 2], "probabilities": [0.9, 0.9]}, "add up to 1.8"),
        ({"values": [1, 2], "probabilities": [2, -1]}, "holds -1"),
    ],
)
def test_an_error_names_the_key(said, words):
    """What was given, and the way out."""
    with pytest.raises(SweepError) as raised:
        distribution("parameters.x", said, [])

    assert words in str(raised.value)


def test_what_has_no_effect_is_told():
    """Keys of other distributions, keys that nobody knows, and values that are named twice."""
    warnings = []
    distribution("parameters.x", {"distribution": "uniform", "min": 0, "max": 1, "mu": 3, "speed": 1}, warnings)
    distribution("parameters.y", {"values": [1, 1, 2]}, warnings)
    distribution("parameters.z", {"distribution": "log_uniform", "min": 1, "max": 100}, warnings)

    assert [text.split()[0] for text in warnings] == [
        "parameters.x.speed", "parameters.x.mu", "parameters.y.values", "parameters.z.max",
    ]  # fmt: skip
