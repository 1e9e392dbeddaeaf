"""Values that nobody means, for each argument of each public class that is given to a Trainer."""

import importlib
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.depth import examples
from support.strange import VALUES, check_refusal, parameters, values

PACKAGES = (
    *("callbacks", "loggers", "plugins", "plugins.environments", "precision", "profilers", "strategies", "tuner"),
)
#: A value for what a class can't do without.
NEEDED = {
    "batch_size_fn": len, "device": "cpu", "dirpath": "folder", "max_lr": 1.0, "mode": "linear", "monitor": "loss",
    "num_training": 3, "precision": "16-mixed", "lr_min": 0.1, "lr_max": 1.0, "pruning_fn": "l1_unstructured",
    "save_dir": "folder", "scheduling": {0: 1}, "swa_lrs": 0.1,
}  # fmt: skip


def public_classes() -> Iterator[type]:
    """All classes in the lists of public names; a new one is among them by itself."""
    for package in PACKAGES:
        module = importlib.import_module(f"fulgurite.{package}")
        for name in dir(module):
            found = getattr(module, name)
            if isinstance(found, type) and not issubclass(found, BaseException) and parameters(found):
                yield found


CLASSES = sorted(set(public_classes()), key=lambda kind: kind.__name__)


def needed(kind: type) -> dict[str, object]:
    return {name: NEEDED.get(name) for name, given in parameters(kind).items() if given.default is given.empty}


@pytest.mark.deep
@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.filterwarnings("ignore")
def test_every_argument_takes_or_refuses_every_value(kind):
    """One at a time, without chance."""
    for name in parameters(kind):
        for value in VALUES:
            try:
                kind(**{**needed(kind), name: value})
            except Exception as error:
                check_refusal(error, {name: value})


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@examples(4)
@given(data=st.data())
def test_a_constructor_makes_its_object_or_says_what_is_wrong(kind, data):
    """One argument or two at once: the error names one of them, and what it was."""
    names = data.draw(st.lists(st.sampled_from(sorted(parameters(kind))), min_size=1, max_size=2, unique=True))
    chosen = {name: data.draw(values, label=name) for name in names}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kind(**{**needed(kind), **chosen})
        except Exception as error:
            check_refusal(error, chosen)
