"""Chooses the parameters of a sweep's next run."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fulgurite.track.sweeps import bayes
from fulgurite.track.sweeps.config import BAYES, GRID, SweepConfig


@dataclass(frozen=True)
class Tried:
    """A combination that a run has got, and what came of it: no value yet where it is under way, or none ever."""

    parameters: Mapping[str, Any]
    value: float | None
    under_way: bool = False


def choose(config: SweepConfig, seed: int, number: int, tried: Sequence[Tried] = ()) -> dict[str, Any]:
    """The parameters of the run ``number``, counted from 0. The same for the same arguments.

    ``tried`` is what runs have shown so far; grid and random do without.
    """
    assert config.space is not None, "a sweep that chooses has a space"
    if config.method == GRID:
        return config.space.combination(number)
    if config.method == BAYES:
        assert config.metric is not None, "checked when the configuration was read"
        results = [
            bayes.Result(values, each.value, each.under_way)
            for each in tried
            if (values := config.space.flat(each.parameters)) is not None
        ]
        return config.space.nested(bayes.suggest(config.space, results, seed, number, config.metric.goal))
    return config.space.drawn(random.Random(f"{seed}:{number}"))
