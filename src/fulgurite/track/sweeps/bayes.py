"""Bayesian optimisation by Optuna: a Gaussian process while it is quick, a tree of densities beyond."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fulgurite.base.optional import require
from fulgurite.track.sweeps.distributions import Categorical, Constant, Distribution, Whole
from fulgurite.track.sweeps.space import Path, Space

STARTS = 8  # combinations at random before the model is asked
QUICK = 200  # results that a Gaussian process takes in within a second or two
FINE = 64  # choices of whole numbers up to which each is its own, not a place on a line

log = logging.getLogger("fulgurite.track")


@dataclass(frozen=True)
class Result:
    """What one combination came to; no value where its run is under way or has failed."""

    values: Mapping[Path, Any]
    value: float | None
    under_way: bool


def suggest(space: Space, results: Sequence[Result], seed: int, number: int, goal: str) -> dict[Path, Any]:
    """The values to try as ``number``. ``goal`` is minimize or maximize.

    Raises ``MissingExtra`` without Optuna. Runs that are under way are taken into account, so that agents who ask at
    the same time get different answers.
    """
    optuna = require("optuna", "sweeps")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    axes = {_name(path): _axis(optuna, each) for path, each in space.parameters.items() if _moves(each)}
    if not axes:
        return {path: each.listed()[0] for path, each in space.parameters.items()}  # type: ignore[index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what in Optuna may still change
        study = optuna.create_study(direction=goal, sampler=_sampler(optuna, len(results), seed + number))
        study.add_trials(list(_trials(optuna, space, axes, results)))
        found = study.ask(axes).params
    return {
        path: _value(each, found[_name(path)]) if _moves(each) else each.listed()[0]  # type: ignore[index]
        for path, each in space.parameters.items()
    }


def _sampler(optuna: Any, known: int, seed: int) -> Any:
    samplers = optuna.samplers
    if known <= QUICK:
        return samplers.GPSampler(seed=seed % 2**32, n_startup_trials=STARTS)
    return samplers.TPESampler(seed=seed % 2**32, n_startup_trials=STARTS, multivariate=True, constant_liar=True)


def _trials(optuna: Any, space: Space, axes: dict[str, Any], results: Sequence[Result]) -> Any:
    state = optuna.trial.TrialState
    for each in results:
        try:
            params = {
                _name(path): _coordinate(way, each.values[path])
                for path, way in space.parameters.items()
                if _moves(way)
            }
        except (ValueError, TypeError):
            continue  # a run from elsewhere, with a value that the space doesn't hold
        if each.value is not None and not each.under_way:
            yield optuna.trial.create_trial(params=params, distributions=axes, value=each.value)
        elif each.under_way:
            yield optuna.trial.create_trial(params=params, distributions=axes, state=state.RUNNING)


def _name(path: Path) -> str:
    return ".".join(path)


def _moves(way: Distribution) -> bool:
    """Whether there is anything to choose."""
    return not isinstance(way, Constant) and len(way.listed() or (0, 1)) > 1


def _axis(optuna: Any, way: Distribution) -> Any:
    """What Optuna searches for a distribution: one of so many, a small whole number, or a place from 0 to 1."""
    if isinstance(way, Categorical):
        return optuna.distributions.CategoricalDistribution(range(len(way.values)))
    if isinstance(way, Whole) and way.high - way.low < FINE:
        return optuna.distributions.IntDistribution(way.low, way.high)
    return optuna.distributions.FloatDistribution(0.0, 1.0)


def _value(way: Any, coordinate: Any) -> Any:
    if isinstance(way, Categorical):
        return way.values[coordinate]
    return coordinate if isinstance(way, Whole) and way.high - way.low < FINE else way.at(coordinate)


def _coordinate(way: Any, value: Any) -> Any:
    if isinstance(way, Categorical):
        return list(way.values).index(value)
    if isinstance(way, Whole) and way.high - way.low < FINE:
        return min(max(int(value), way.low), way.high)
    return way.place(value)
