"""What all strategies of several processes accept."""

from datetime import timedelta

import numpy as np
import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, ParallelStrategy

ALL = [DDPStrategy, DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, ParallelStrategy]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"timeout": 30}, "timeout=30.*timedelta.*not int"),
        ({"process_group_backend": np.array([1, 2])}, "process_group_backend=array.*a str or None"),
        ({"parallel_devices": 2}, "parallel_devices=2.*Sequence"),
        ({"parallel_devices": torch.tensor([])}, "parallel_devices=tensor.*Sequence"),
        ({"cluster_environment": "slurm"}, "cluster_environment='slurm'.*ClusterEnvironment"),
        ({"checkpoint_io": "folder"}, "checkpoint_io='folder'.*CheckpointIO"),
    ],
)
def test_what_can_not_be_meant_is_told(kind, given, words):
    """At once, by every strategy, whether or not what it works over is installed."""
    with pytest.raises(MisconfigurationException, match=words):
        kind(**given)


@pytest.mark.parametrize("timeout", [timedelta(0), timedelta(-1)])
def test_ranks_wait_for_some_time(timeout):
    with pytest.raises(MisconfigurationException, match="timeout=.*more than 0"):
        DDPStrategy(timeout=timeout)


@pytest.mark.parametrize("word", [np.array([1, 2]), "threads", None])
def test_processes_start_in_ways_that_are_known(word):
    with pytest.raises(ValueError, match="start_method="):
        DDPStrategy(start_method=word)
