"""The models that go by a name, and what suits each."""

import copy
import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from fulgurite.anomaly.hindsight import Hindsight
from fulgurite.anomaly.lasting import Lasting
from fulgurite.anomaly.model import Model, check_model
from fulgurite.anomaly.past import Past
from fulgurite.anomaly.ranking import Ranking
from fulgurite.anomaly.scorer import Scorer
from fulgurite.anomaly.series import Series
from fulgurite.base.arguments import shown
from fulgurite.base.errors import MisconfigurationException


@dataclass(frozen=True)
class Kind:
    """Where a model's class lives and what it does, and what suits it.

    ``threshold`` is a rule, ``normalise`` says whether its score is measured by its past.
    """

    home: str
    told: str
    threshold: str
    normalise: bool


WINDOW = Kind(
    "fulgurite.anomaly.window:WindowModel",
    "The window model compares each row with what the rows before it and the calendar let expect.",
    "normalised:3",
    normalise=True,
)
SEED = Kind(
    "fulgurite.anomaly.seed:SeedModel",
    "The seed model rebuilds each row by itself with a VAE: what it rebuilds badly is strange.",
    "scored:0.999",
    normalise=False,
)
KINDS = {"window": WINDOW, "seed": SEED}
LONG = 4  # windows, at least half of whose rows have to be strange for a change that lasts
FEWEST_APART = 12  # rows; for a model that looks at each row for itself


def kind_of(model: str | Model) -> Kind:
    """What suits a model; one of the user's own is treated as ours is."""
    check_model(model)
    if not isinstance(model, str):
        return WINDOW
    if model not in KINDS:
        near = difflib.get_close_matches(model, KINDS, n=1) or list(KINDS)
        raise MisconfigurationException(f"model={model!r} is not known. Did you mean {' or '.join(map(repr, near))}?")
    return KINDS[model]


def new_model(model: str | Model, settings: Mapping[str, Any]) -> Model:
    """An untrained model: the one of that name, made with ``settings``, or a copy of the one given."""
    if not isinstance(model, str):
        return copy.deepcopy(model)
    module, _, name = kind_of(model).home.partition(":")
    made = getattr(import_module(module), name)
    known = inspect.signature(made).parameters
    unknown = {name: value for name, value in settings.items() if name not in known}
    if unknown and not any(each.kind is each.VAR_KEYWORD for each in known.values()):
        raise MisconfigurationException(
            f"options={shown(unknown)}: the model {model!r} has no such setting. It has {', '.join(known)}."
        )
    return made(**settings)


def reach(model: Model) -> int:
    """How many rows, its own included, the score of a row looks at."""
    return int(getattr(model, "window", None) or 1)


def past_of(model: Model, ahead: bool) -> Past:
    """A past for a model's scores. One that may look ahead ranks by a window's score at the window's last quarter."""
    return Past(offline=ahead, lead=reach(model) // 4 if ahead else 0)


def scorer_of(model: Model, normalise: bool, offline: bool, learned: Series) -> Scorer:
    """What scores rows with a model that has learned from ``learned``, as far as the model tells what ranks them."""
    if not normalise:
        return Scorer(model, None)
    hindsight = Hindsight(model.surroundings(learned)) if offline and hasattr(model, "surroundings") else None
    ranking = Ranking(model.window_parts) if not offline and hasattr(model, "window_parts") else None
    return Scorer(model, past_of(model, offline and hindsight is None), ranking, hindsight, lasting_of(model))


def lasting_of(model: Model) -> Lasting:
    """What tells changes that last. A model of windows has seen all of one when they have been strange for two."""
    return Lasting(LONG * reach(model) if reach(model) > 1 else 0)


def rows_apart(model: Model) -> int:
    """How far apart flagged rows may be to be one event: two windows, since what is in one window is seen twice."""
    return max(FEWEST_APART, 2 * reach(model) if reach(model) > 1 else 0)
