"""The logger's base: stand-ins, merging, and hyperparameters as plain values."""

import argparse
import enum
import functools
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest
import torch

from fulgurite.core.logger import DummyLogger, Logger, flatten, merge_dicts, plain_params


class Numbers(Logger):
    """Takes numbers and nothing else."""

    name = version = "numbers"

    def log_metrics(self, metrics, step=None):
        pass

    def log_hyperparams(self, params, *args, **kwargs):
        pass


class Colour(enum.Enum):
    RED = 1


@dataclass
class Options:
    depth: int = 2
    folder: Path = Path("x/y")


def test_hyperparameters_of_any_kind_become_plain():
    """Containers are taken apart, objects named; what comes out is JSON."""
    plain = plain_params(
        argparse.Namespace(
            colour=Colour.RED, options=Options(), pair=(1, None), kinds={torch.float32}, size=numpy.float32(1.5),
            tensor=torch.tensor([1, 2]), big=torch.zeros(100, 2), act=torch.relu, layer=torch.nn.Linear(1, 1),
            cut=functools.partial(torch.clamp, min=0), kind=torch.nn.ReLU, flag=True, keys={1: "one"},
        )
    )  # fmt: skip
    assert plain == json.loads(json.dumps(plain))
    assert plain == {
        "colour": "RED", "options": {"depth": 2, "folder": "x/y"}, "pair": [1, None], "kinds": ["torch.float32"],
        "size": 1.5, "tensor": [1, 2], "big": "Tensor[100, 2]", "act": "relu", "layer": "Linear", "cut": "clamp",
        "kind": "ReLU", "flag": True, "keys": {"1": "one"},
    }  # fmt: skip


def test_hyperparameters_that_contain_themselves_end():
    """A list inside itself is cut where it repeats."""
    loop = [1]
    loop.append(loop)
    assert plain_params({"loop": loop}) == {"loop": [1, "..."]}


def test_hyperparameters_must_have_names():
    """A bare value is refused; nothing at all is an empty dict."""
    assert plain_params(None) == {}
    with pytest.raises(TypeError, match="not list"):
        plain_params([1, 2])


def test_flatten_joins_names():
    """Nested names are joined by the separator; empty dicts stay."""
    assert flatten({"a": {"b": {"c": 1}}, "d": {}, "e": 2}, ".") == {"a.b.c": 1, "d": {}, "e": 2}


def test_merge_dicts_uses_each_keys_own_function():
    """The mean by default, a key's own function where there is one, nested dicts likewise."""
    merged = merge_dicts([{"a": 1.0, "d": {"x": 1}}, {"a": 2.0, "b": 3, "d": {"x": 4}}], {"d": {"x": sum}})
    assert merged == {"a": 1.5, "b": 3.0, "d": {"x": 5}}


def test_dummy_logger_takes_everything():
    """Whatever a user's code asks of its logger, the stand-in does nothing and survives a copy."""
    logger = pickle.loads(pickle.dumps(DummyLogger()))
    logger.log_metrics({"a": 1.0})
    logger.log_image("key", [1])
    logger.experiment.config.update({"a": 1})
    logger.experiment["series"] = 1
    assert (logger.name, logger.version, logger.log_dir) == ("DummyLogger", "", None)


@pytest.mark.parametrize(("method", "things"), [("log_image", "pictures"), ("log_table", "tables")])
def test_a_logger_without_media_says_so_once(method, things, recwarn):
    """Who is given a picture and has no place for it names itself and those that have one."""
    for _ in range(3):
        getattr(Numbers(), method)("key", [], step=1)

    (warning,) = recwarn
    assert f"Numbers has no place for {things}" in str(warning.message) and "TensorBoardLogger" in str(warning.message)


def test_text_is_a_table():
    """A logger that has tables has text, too."""

    class Tables(Numbers):
        def log_table(self, key, columns=None, data=None, dataframe=None, step=None):
            self.seen = (key, columns, data, dataframe, step)

    logger = Tables()
    logger.log_text("note", ["text"], [["hello"]], step=3)

    assert logger.seen == ("note", ["text"], [["hello"]], None, 3)


def test_a_stand_in_takes_media_without_a_word(recwarn):
    """A trial run logs nothing and complains of nothing."""
    DummyLogger().log_image("key", [1])
    DummyLogger().log_table("key")
    DummyLogger().log_text("key")

    assert not recwarn
