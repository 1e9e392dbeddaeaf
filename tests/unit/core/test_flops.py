"""How many operations a model does, as Lightning and torch count them."""

import torch
from torch import nn

from fulgurite.utilities import measure_flops


def test_forward_and_backward_are_counted():
    """A product of (2, 4) and (4, 8) is 128 operations; its backward, of the weights alone, as many again."""
    model, x = nn.Linear(4, 8), torch.randn(2, 4)

    assert measure_flops(model, lambda: model(x)) == 2 * 2 * 4 * 8
    assert measure_flops(model, lambda: model(x), lambda y: y.sum()) == 2 * (2 * 2 * 4 * 8)


def test_a_model_without_memory_is_counted():
    """Shapes are enough."""
    with torch.device("meta"):
        model, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10)), torch.randn(2, 3, 8, 8)

    assert measure_flops(model, lambda: model(x)) == 2 * 2 * 36 * 8 * 3 * 9 + 2 * 2 * 8 * 36 * 10
