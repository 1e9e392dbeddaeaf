"""What FSDPStrategy and ModelParallelStrategy accept, and what they say to the rest."""

import functools
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.fsdp import MixedPrecision, MixedPrecisionPolicy, ShardingStrategy
from torch.distributed.fsdp.wrap import ModuleWrapPolicy, size_based_auto_wrap_policy

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.strategies import FSDPStrategy, ModelParallelStrategy
from fulgurite.strategies.fsdp import _matching
from fulgurite.testing import QUIET


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"sharding_strategy": "NO_SHARD"}, MisconfigurationException, "strategy='ddp'"),
        ({"sharding_strategy": "SOME"}, ValueError, "'SOME'.*'FULL_SHARD'"),
        ({"state_dict_type": "half"}, ValueError, "'half'.*'sharded'"),
        ({"mixed_precision": "bf16"}, MisconfigurationException, "'bf16'.*MixedPrecisionPolicy"),
        ({"auto_wrap_policy": {int}}, MisconfigurationException, "auto_wrap_policy.*module classes"),
        ({"auto_wrap_policy": 3}, MisconfigurationException, "auto_wrap_policy=3"),
        ({"activation_checkpointing_policy": [nn.Linear(1, 1)]}, MisconfigurationException, "activation_checkp"),
        ({"activation_checkpointing": torch.ones(2)}, MisconfigurationException, "activation_checkpointing=tensor"),
        ({"state_dict_type": np.array([1, 2])}, MisconfigurationException, "state_dict_type=array"),
        ({"cpu_offload": "yes"}, MisconfigurationException, "cpu_offload='yes'"),
        ({"device_mesh": (2, "a")}, MisconfigurationException, "device_mesh=.*copies.*pieces"),
        ({"device_mesh": (2, 2, 1)}, MisconfigurationException, "device_mesh=.*two ints"),
        ({"device_mesh": [2, 0]}, MisconfigurationException, "device_mesh=.*two ints"),
        ({"use_orig_params": np.array([1, 2])}, TypeError, "use_orig_params=array"),
        ({"backward_prefetch": None}, TypeError, "backward_prefetch.*Leave it out"),
        ({"use_orig_params": False}, TypeError, "use_orig_params=False"),
    ],
)
def test_what_can_not_be_meant_is_told(given, kind, words):
    with pytest.raises(kind, match=words):
        FSDPStrategy(**given)


def test_words_of_the_first_fsdp_mean_the_same_to_the_second():
    half = MixedPrecision(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    strategy = FSDPStrategy(
        sharding_strategy=ShardingStrategy.SHARD_GRAD_OP, mixed_precision=half, use_orig_params=True, cpu_offload=True
    )

    assert strategy.reshard_after_forward is False and strategy.cpu_offload
    assert strategy.mixed_precision == MixedPrecisionPolicy(torch.bfloat16, torch.float32)


@pytest.mark.parametrize(
    "policy",
    [
        {nn.Bilinear},
        lambda module: isinstance(module, nn.Bilinear),
        ModuleWrapPolicy({nn.Bilinear}),
        functools.partial(size_based_auto_wrap_policy, min_num_params=20),
    ],
)
def test_policies_of_all_kinds_find_the_layers(policy):
    model = nn.Sequential(nn.Linear(2, 2), nn.Bilinear(3, 3, 3), nn.Sequential(nn.Bilinear(3, 3, 3), nn.ReLU()))

    found = list(_matching(model, policy))

    assert model[1] in found and model[0] not in found and model not in found
    assert model[2][0] in found


def test_a_class_alone_is_a_policy():
    assert FSDPStrategy(activation_checkpointing=nn.Linear)._recomputes == {nn.Linear}


# As many processes as one likes are on the CPU alone; here, none begins.
@pytest.mark.cpu
@pytest.mark.parametrize("name", ["fsdp", "fsdp_cpu_offload", "model_parallel"])
def test_a_name_makes_a_strategy(name):
    trainer = Trainer(**{**QUIET, "devices": 2, "strategy": name})

    assert isinstance(trainer.strategy, ModelParallelStrategy if name == "model_parallel" else FSDPStrategy)
    assert trainer.strategy.sharded and not trainer.strategy.allows_inference_mode
    assert pickle.loads(pickle.dumps(trainer.strategy)).world_size == 2
    assert getattr(trainer.strategy, "cpu_offload", False) == name.endswith("offload")


@pytest.mark.cpu
@pytest.mark.parametrize(
    ("sizes", "found"),
    [(("auto", "auto"), (1, 4)), ((2, "auto"), (2, 2)), (("auto", 1), (4, 1)), ((4, 1), (4, 1))],
)
def test_sizes_make_up_the_processes(sizes, found):
    trainer = Trainer(**{**QUIET, "devices": 4, "strategy": ModelParallelStrategy(*sizes)})

    assert trainer.strategy.sizes == found
    assert trainer.distributed_sampler_kwargs == {"num_replicas": found[0], "rank": 0}


@pytest.mark.cpu
@pytest.mark.parametrize("sizes", [(3, "auto"), (2, 1)])
def test_sizes_that_do_not_make_up_the_processes_are_told(sizes):
    trainer = Trainer(**{**QUIET, "devices": 4, "strategy": ModelParallelStrategy(*sizes)})

    with pytest.raises(MisconfigurationException, match="do not make up the 4 processes"):
        _ = trainer.strategy.sizes


@pytest.mark.parametrize("size", [0, True, 1.5, "all"])
def test_a_size_that_is_none_is_told(size):
    with pytest.raises(MisconfigurationException, match="data_parallel_size"):
        ModelParallelStrategy(data_parallel_size=size)
