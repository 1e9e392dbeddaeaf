"""Whom a loader's data are shared out to. What comes of it with several ranks: `tests/distributed/test_data.py`."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

from fulgurite.base import rank
from fulgurite.runtime.shards import shared_out


@pytest.fixture(autouse=True)
def nothing_was_warned_of(monkeypatch):
    monkeypatch.setattr(rank, "_warned", set())


def loader(replicas, at):
    rows = torch.arange(12)
    return DataLoader(rows, sampler=DistributedSampler(rows, num_replicas=replicas, rank=at), batch_size=2)


def test_a_sampler_for_another_place_is_told():
    """Its user built it by hand, for four ranks, and there are two."""
    given = loader(4, 0)
    with pytest.warns(UserWarning, match="share of rank 0 of 4, and this is rank 1 of 2"):
        assert shared_out(given, rank=1, world=2, seed=0, even=True) is given


def test_a_sampler_for_this_place_is_kept_in_silence():
    given = loader(2, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shared_out(given, rank=1, world=2, seed=0, even=True) is given
