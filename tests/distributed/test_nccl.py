"""The same on GPUs, over NCCL. One GPU is a group of one; two ranks need two."""

import pytest
import torch

from fulgurite import Trainer
from fulgurite.strategies import DDPStrategy
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
