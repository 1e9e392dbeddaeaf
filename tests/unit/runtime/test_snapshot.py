"""What is kept comes back, in place, as often as wanted."""

from collections import deque
from types import SimpleNamespace

import torch

from fulgurite.runtime.snapshot import attributes_of, contents_of, manner_of, place_of


def test_attributes_come_back_with_their_containers():
    """The same containers, with what they held; what is new goes."""
    numbers, names, line, seen = [1, 2], {"a": 1}, deque([1], maxlen=2), {1}
    thing = SimpleNamespace(numbers=numbers, names=names, line=line, seen=seen, count=1)
    restore = attributes_of(thing)

    for _ in range(2):
        thing.numbers.append(3)
        thing.names = {"b": 2}
        thing.line.extend([7, 8])
        thing.seen.clear()
        thing.count, thing.extra = 2, True
        restore()

        assert vars(thing) == {"numbers": [1, 2], "names": {"a": 1}, "line": deque([1]), "seen": {1}, "count": 1}
        assert thing.numbers is numbers and thing.names is names and thing.line is line and thing.seen is seen


def test_depth_says_how_far_inside():
    """An optimizer's state is a dict of dicts; anybody else's is looked at from outside."""
    deep, flat = SimpleNamespace(state={"w": {"step": 1}}), SimpleNamespace(state={"w": {"step": 1}})
    restores = [attributes_of(deep, depth=2), attributes_of(flat)]

    for thing in (deep, flat):
        thing.state["w"]["step"] = 2
    for restore in restores:
        restore()

    assert (deep.state, flat.state) == ({"w": {"step": 1}}, {"w": {"step": 2}})


def test_numbers_go_back_into_the_same_memory():
    """Whoever holds the tensor, or a view of it, sees them."""
    tensor = torch.arange(4.0)
    view = tensor[:2]
    restore = contents_of([tensor, tensor])

    tensor.fill_(9)
    restore()

    assert view.tolist() == [0, 1]


def test_a_module_comes_back_whole():
    """Weights that were exchanged, buffers, modes, what requires gradients, and the gradients."""
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    weight, before = module[0].weight, {name: value.clone() for name, value in module.state_dict().items()}
    weight.grad = torch.ones(2, 2)
    numbers, manner = contents_of([*module.parameters(), *module.buffers()]), manner_of(module)

    weight.grad = None
    module(torch.randn(3, 2))
    module[0].weight = torch.nn.Parameter(torch.zeros(2, 2))
    module.eval()
    module[1].requires_grad_(False)
    manner()
    numbers()

    assert module[0].weight is weight and torch.equal(weight.grad, torch.ones(2, 2))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert module.training and module[1].training and module[1].weight.requires_grad


def test_a_module_whose_shapes_are_not_known_yet_is_left_alone():
    """Its first batch makes it another one."""
    module = torch.nn.Sequential(torch.nn.LazyLinear(2), torch.nn.Linear(2, 1))
    before = module[1].weight.clone()
    numbers, manner = contents_of(module.parameters()), manner_of(module)

    module(torch.randn(3, 4)).sum().backward()
    module[1].weight.data.fill_(9)
    manner()
    numbers()

    assert type(module[0]) is torch.nn.Linear and torch.equal(module[1].weight, before)
    module(torch.randn(3, 4))


def test_a_module_comes_back_to_its_place():
    """The type, and the memory, that weights and buffers had."""
    module = torch.nn.BatchNorm1d(2)
    memory = module.weight.data_ptr()
    restore = place_of(module)

    module.to(torch.bfloat16)
    restore()

    assert module.weight.dtype is module.running_mean.dtype is torch.float32
    assert module.weight.data_ptr() == memory
