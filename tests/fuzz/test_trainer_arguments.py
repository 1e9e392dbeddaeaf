"""Values that nobody means, for each argument of the Trainer: a run, or an error that names it."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite import Callback, Trainer
from fulgurite.testing import QUIET, TinyModule, batches
from support.depth import examples
from support.strange import VALUES, check_refusal, parameters, values

pytestmark = pytest.mark.filterwarnings("ignore")
ARGUMENTS = sorted(parameters(Trainer))
pairs = st.dictionaries(st.sampled_from(ARGUMENTS), values, min_size=1, max_size=2)


class Enough(Exception):
    """The run goes as it should; it might have no end."""


class Ends(Callback):
    """Ends a run after three batches."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.fit_loop.total_batch_idx >= 2:
            raise Enough


def run(**chosen):
    """Build a Trainer and fit a little, where that takes one process."""
    extra = {} if "callbacks" in chosen else {"callbacks": [Ends()]}
    usual = {**QUIET, "max_epochs": 1, "default_root_dir": ".", **extra}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            trainer = Trainer(**{**usual, **chosen})
            if "callbacks" in chosen:
                trainer.callbacks.append(Ends())
            if trainer.world_size > 1:
                return  # It would start this very program again, in as many processes, or wait for other machines.
            trainer.fit(TinyModule(), batches(2), batches(1))
        except Enough:
            pass
        except Exception as error:
            check_refusal(error, chosen)


@examples()
@given(chosen=pairs)
def test_a_trainer_runs_or_says_what_is_wrong(chosen):
    """Alone and in pairs."""
    run(**chosen)


@pytest.mark.deep
@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_takes_or_refuses_every_value(name):
    """One at a time, without chance."""
    for value in VALUES:
        run(**{name: value})
