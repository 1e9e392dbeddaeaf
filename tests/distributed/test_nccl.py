"""The same on GPUs, over NCCL. One GPU is a group of one; two ranks need two."""

import pytest
import torch

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.strategies import DDPStrategy, FSDPStrategy
from fulgurite.testing import QUIET, TinyModule, batches
from support.ranks import on_ranks

needs_one = pytest.mark.skipif(torch.cuda.device_count() < 1, reason="there is no GPU")
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")


def trained(devices, size, strategy="auto"):
    model = TinyModule()
    trainer = Trainer(**{**QUIET, "accelerator": "gpu", "devices": devices, "strategy": strategy, "max_epochs": 2})
    trainer.fit(model, batches(16 // size, size), batches(3, 2))
    predicted = trainer.predict(model, batches(3, 2))
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return {name: value.cpu() for name, value in model.state_dict().items()}, metrics, torch.cat(predicted).cpu()


def trained_as_a_group(devices, size):
    return (*trained(devices, size, DDPStrategy()), torch.distributed.get_backend())


@needs_one
def test_a_group_of_one():
    """The weights of a run without a group, to the bit."""
    [(weights, _, _, backend)] = on_ranks(trained_as_a_group, 1, 8, ranks=1)
    alone, _, _ = on_ranks(trained, 1, 8, ranks=1)[0]

    assert backend == "nccl"
    assert all(torch.equal(weights[name], alone[name]) for name in alone)


@needs_two
def test_two_ranks():
    """The weights of one process with the whole batch, within 1e-6; each rank has the predictions of both."""
    one, two = on_ranks(trained, 2, 4)
    alone, _, predicted = on_ranks(trained, 1, 8, ranks=1)[0]

    for weights, _, seen in (one, two):
        assert all(torch.allclose(weights[name], alone[name], atol=1e-6) for name in alone)
        assert torch.allclose(seen, predicted, atol=1e-5)


class Normed(TinyModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))


class Wide(TinyModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def fitted(model, devices, size, **arguments):
    trainer = Trainer(**{**QUIET, "accelerator": "gpu", "devices": devices, "max_epochs": 2, **arguments})
    trainer.fit(model, batches(16 // size, size))
    return trainer


def whole(model):
    found = model.state_dict()
    return {name: getattr(each, "full_tensor", lambda each=each: each)().cpu() for name, each in found.items()}


def normed(devices, size):
    model = Normed()
    fitted(model, devices, size, sync_batchnorm=devices > 1)
    return whole(model)


@needs_two
def test_batch_norms_of_two_ranks():
    """Their statistics are those of both ranks' batches: weights and running ones are those of the whole batch."""
    one, two = on_ranks(normed, 2, 4)
    [alone] = on_ranks(normed, 1, 8, ranks=1)

    for name, value in alone.items():
        assert torch.allclose(one[name].float(), value.float(), atol=1e-5), name
        assert torch.equal(one[name], two[name])


def in_pieces(cpu_offload):
    """The weights after training, after predicting with them, where they lie in between, and what is predicted."""
    model = Wide()
    strategy = FSDPStrategy(auto_wrap_policy={torch.nn.Linear}, cpu_offload=cpu_offload)
    trainer = fitted(model, 2, 4, strategy=strategy)
    trained, where = whole(model), next(model.parameters()).device.type
    predicted = torch.cat(trainer.predict(model, batches(3, 2))).cpu()
    return trained, whole(model), where, predicted


def plain():
    model = Wide()
    trainer = fitted(model, 1, 8)
    return whole(model), torch.cat(trainer.predict(model, batches(3, 2))).cpu()


@needs_two
@pytest.mark.parametrize("cpu_offload", [False, True])
def test_pieces_on_two_ranks(cpu_offload):
    """They learn what whole weights do, and can be brought together after the run as in it."""
    found = on_ranks(in_pieces, cpu_offload)
    [(alone, expected)] = on_ranks(plain, ranks=1)

    for trained, after, where, predicted in found:
        assert where == ("cpu" if cpu_offload else "cuda")
        for name, value in alone.items():
            assert torch.allclose(trained[name], value, atol=1e-5), name
            assert torch.equal(trained[name], after[name])
        assert torch.allclose(predicted, expected, atol=1e-5)


def offloads_late():
    fitted(Wide(), 2, 4)
    with pytest.raises(MisconfigurationException) as caught:
        fitted(Wide(), 2, 4, strategy=FSDPStrategy(cpu_offload=True))
    return str(caught.value)


@needs_two
def test_pieces_in_the_computers_memory_need_gloo_as_well():
    """A process group that is there has NCCL alone, which says nothing of what to do."""
    for told in on_ranks(offloads_late):
        assert "process_group_backend='cpu:gloo,cuda:nccl'" in told
