"""One seed for all, and streams that never meet."""

import os
import random

import numpy as np
import pytest
import torch

from fulgurite.base.seed import (
    collect_rng_states,
    isolate_rng,
    pl_worker_init_function,
    seed_everything,
    set_rng_states,
)


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)
    with isolate_rng():
        yield


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_the_same_seed_gives_the_same_numbers():
    """In Python, NumPy and torch, as the libraries' own seeds do."""
    assert seed_everything(3) == 3
    first = draws()
    seed_everything(3)

    assert draws() == first
    random.seed(3)
    assert random.random() == first[0]


def test_subprocesses_find_the_seed_in_the_environment():
    """And whether workers are seeded."""
    seed_everything(7, workers=True)

    assert (os.environ["PL_GLOBAL_SEED"], os.environ["PL_SEED_WORKERS"]) == ("7", "1")
    assert seed_everything() == 7
    assert os.environ["PL_SEED_WORKERS"] == "0"


def test_without_any_seed_it_is_zero_with_a_warning():
    """Rather than something nobody can repeat."""
    with pytest.warns(UserWarning, match="so it is 0"):
        assert seed_everything() == 0


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed):
    """NumPy's bounds hold for all."""
    with pytest.raises(ValueError, match=str(seed)):
        seed_everything(seed)


def test_a_broken_environment_is_named(monkeypatch):
    """The variable and what it says."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "many")

    with pytest.raises(ValueError, match="PL_GLOBAL_SEED='many'"):
        seed_everything()


def test_no_two_workers_share_a_stream():
    """Not over workers, ranks or epochs (to which torch gives different seeds); the same place draws the same."""
    streams = {}
    for base in (100, 101):
        for worker in (0, 1):
            for rank in (0, 1):
                torch.manual_seed(base + worker)
                pl_worker_init_function(worker, rank)
                streams[base, worker, rank] = draws()

    for part in zip(*streams.values(), strict=True):
        assert len(set(part)) == 8
    torch.manual_seed(101)
    pl_worker_init_function(1, 0)
    assert draws() == streams[100, 1, 0]


def test_isolation_leaves_no_trace():
    """Also when the block fails."""
    seed_everything(1)
    states = collect_rng_states()
    expected = draws()
    set_rng_states(states)

    with pytest.raises(RuntimeError), isolate_rng():
        draws()
        raise RuntimeError

    assert draws() == expected
