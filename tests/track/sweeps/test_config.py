"""A sweep's configuration is read, and what is wrong with it is told by key."""

import pytest
import yaml

from fulgurite.track.sweeps import config as configs
from fulgurite.track.sweeps.config import check_installed, read
from fulgurite.track.sweeps.errors import SweepError

X = {"x": {"values": [1, 2]}}
LOSS = {"name": "loss", "goal": "minimize"}


def made(**said):
    return read(yaml.dump({"method": "random", "parameters": X, **said}))


def test_a_full_configuration_is_read():
    """All keys that W&B documents, without a warning."""
    config = made(
        method="grid",
        program="train.py",
        name="n",
        description="d",
        entity="e",
        project="p",
        metric={"name": "loss", "goal": "maximize", "target": 1},
        early_terminate={"type": "hyperband", "min_iter": 3, "eta": 2, "strict": True},
        command=["${program}"],
        run_cap=1,
        seed=7,
    )

    assert config.warnings == []
    assert (config.metric.goal, config.metric.target) == ("maximize", 1.0)
    assert (config.expected(), config.seed, config.program, config.name) == (1, 7, "train.py", "n")
    assert config.hyperband.marks()[:3] == [3, 6, 12]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"method": None}, "method is missing"),
        ({"method": "annealing"}, "method is 'annealing'"),
        ({"parameters": {}}, "parameters is empty"),
        ({"parameters": [1]}, "parameters is [1]"),
        ({"parameters": {"x": 3}}, "Write x: {value: 3}"),
        ({"parameters": {"a": {"parameters": {"b": {"min": 1}}}}}, "parameters.a.b says"),
        (
            {"method": "grid", "parameters": {"a": {"parameters": {"b": {"min": 0.0, "max": 1.0}}}}},
            "parameters.a.b has",
        ),
        ({"method": "bayes"}, "metric is missing"),
        ({"metric": "loss"}, "metric is 'loss'"),
        ({"metric": {"name": "loss", "goal": "least"}}, "metric.goal is 'least'"),
        ({"metric": {"name": "loss", "target": "low"}}, "metric.target is 'low'"),
        ({"run_cap": 0}, "run_cap is 0"),
        ({"seed": "a"}, "seed is 'a'"),
        ({"early_terminate": {"type": "median"}}, "early_terminate is"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1}}, "metric is missing; early_terminate"),
        ({"metric": LOSS, "early_terminate": {"type": "hyperband"}}, "early_terminate needs min_iter"),
        ({"metric": LOSS, "early_terminate": {"type": "hyperband", "min_iter": 0}}, "early_terminate.min_iter is 0"),
        ({"metric": LOSS, "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "early_terminate.eta"),
    ],
)
def test_an_error_names_the_key(said, words):
    """What was given, and what is needed."""
    with pytest.raises(SweepError) as raised:
        made(**said)

    assert words in str(raised.value)


@pytest.mark.parametrize("text", ["", "just words", "[1, 2]", "a: [", "3"])
def test_what_is_no_mapping_is_refused(text):
    """Whatever else YAML makes of it."""
    with pytest.raises(SweepError):
        read(text)


def test_what_has_no_effect_is_told():
    """And so is a goal that was not said."""
    config = made(metod="grid", metric={"name": "loss"}, command="python")

    assert [text.split()[0] for text in config.warnings] == ["metod", "metric.goal", "command"]


def test_a_missing_package_names_its_extra(monkeypatch):
    """Grid and random need none; what was made with Optuna can still be read without it."""
    monkeypatch.setattr(configs, "available", lambda module: False)
    check_installed(made())

    with pytest.raises(SweepError, match=r"fulgurite\[sweeps\]"):
        check_installed(made(method="bayes", metric=LOSS))
