"""What DeepSpeedStrategy refuses, with its package or without."""

import numpy as np
import pytest

from fulgurite.base.errors import MisconfigurationException
from fulgurite.strategies import DeepSpeedStrategy


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"stage": np.array([1, 2])}, "stage=array.*an int was expected"),
        ({"stage": 0}, "stage=0.*'ddp'"),
        ({"stage": 3}, "stage=3.*'fsdp'"),
        ({"zero_optimization": False}, "zero_optimization=False.*'ddp'"),
        ({"offload_parameters": True}, "offload_parameters=True.*'fsdp'"),
        ({"offload_optimizer": "cpu"}, "offload_optimizer='cpu'.*True or False"),
        ({"reduce_bucket_size": 0}, "reduce_bucket_size=0.*from 1"),
        ({"config": "nowhere.json"}, "config='nowhere.json'.*No such file"),
        ({"config": "x" * 300}, "config='xxx.*too long"),
        ({"config": 3}, "config=3.*a path"),
        ({"config": {"zero_optimization": {"stage": 3}}}, "stage=3.*'fsdp'"),
        ({"config": {"optimizer": {"type": "Adam"}}}, "`configure_optimizers` returns the optimizer"),
        ({"config": {"bf16": {"enabled": True}}}, "precision='bf16-true'"),
        ({"config": {"zero_optimization": 1}}, "zero_optimization=1 in DeepSpeed's config.*Mapping"),
    ],
)
def test_what_can_not_be_meant_is_told(given, words):
    with pytest.raises(MisconfigurationException, match=words):
        DeepSpeedStrategy(**given)


def test_a_stage_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="stage=4: 1 or 2"):
        DeepSpeedStrategy(stage=4)
