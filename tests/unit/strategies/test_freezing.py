"""Parameters in pieces are frozen and freed together with the layer that they make up."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from fulgurite.strategies.freezing import Freezing


@pytest.fixture
def mesh():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.fixture
def layer(mesh):
    """Once it has been called it stays together until a backward."""
    return fully_shard(nn.Linear(2, 1), mesh=mesh, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))


def needs_grad(layer):
    return layer(torch.ones(1, 2)).requires_grad


def test_a_layer_that_is_together_is_frozen_and_freed(layer):
    pieces = list(layer.parameters())
    freezing = Freezing(layer, [layer])
    for required in (True, False, True, False):
        for piece in pieces:
            freezing.require_grad(piece, required)
        assert needs_grad(layer) is required
        assert all(piece.requires_grad is required for piece in pieces)


def test_a_layer_that_was_frozen_at_its_first_call_learns_later(layer):
    weight, bias = pieces = list(layer.parameters())
    bias.requires_grad = False
    freezing = Freezing(layer, [layer])
    freezing.require_grad(weight, False)
    freezing.require_grad(bias, False)
    assert not needs_grad(layer)
    freezing.require_grad(weight, True)
    layer(torch.ones(1, 2)).sum().backward()
    assert [piece.grad is not None for piece in pieces] == [True, False]
    assert weight.grad.dtype == torch.float32


def test_it_leaves_no_hook_behind(layer):
    before = list(layer._forward_pre_hooks)
    for is_called in (False, True):
        freezing = Freezing(layer, [layer])
        freezing.require_grad(layer.weight, False)
        assert len(layer._forward_pre_hooks) == len(before) + 2
        needs_grad(layer) if is_called else freezing.end()
        assert list(layer._forward_pre_hooks) == before


def test_a_parameter_of_no_layer_is_frozen_by_itself(layer):
    other = nn.Parameter(torch.ones(1))
    Freezing(layer, [layer]).require_grad(other, False)
    assert not other.requires_grad
