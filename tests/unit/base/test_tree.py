"""Nested batches: visiting, moving, measuring."""

import warnings
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from fulgurite.base import rank
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.tree import as_tensors, batch_size_of, leaves, map_tensors, move_data_to_device

Point = namedtuple("Point", "x y")
META = torch.device("meta")


@dataclass
class Sample:
    image: Tensor
    name: str = "a"
    derived: int = field(init=False, default=0)


@dataclass(frozen=True, slots=True)
class Sealed:
    image: Tensor


@dataclass
class Checked:
    image: Tensor

    def __post_init__(self):
        self.image = self.image + 1


class Graph:
    def __init__(self, device="cpu"):
        self.device = device

    def to(self, device):
        return Graph(device)


class InPlace:
    def to(self, device):
        self.device = device


class Encoding(dict):
    def to(self, device):
        return Encoding({key: value.to(device) for key, value in self.items()})


@pytest.mark.parametrize(
    "tree",
    [
        torch.zeros(2),
        [torch.zeros(2), 1],
        (torch.zeros(2), "word"),
        Point(torch.zeros(2), None),
        {"a": {"b": [torch.zeros(2)]}},
        OrderedDict(a=torch.zeros(2)),
        Sample(torch.zeros(2)),
        Sealed(torch.zeros(2)),
        Encoding(a=torch.zeros(2)),
    ],
    ids=lambda tree: type(tree).__name__,
)
def test_every_collection_moves_and_keeps_its_class(tree):
    """Each kind of collection comes back as itself, its tensors on the new device and its other values untouched."""
    moved = move_data_to_device(tree, META)

    assert type(moved) is type(tree)
    assert [leaf.device.type for leaf in leaves(moved) if isinstance(leaf, Tensor)] == ["meta"]
    others = [leaf for leaf in leaves(tree) if not isinstance(leaf, Tensor)]
    assert [leaf for leaf in leaves(moved) if not isinstance(leaf, Tensor)] == others


def test_nothing_to_move_returns_the_same_object():
    """A batch that is already in place is neither copied nor rebuilt."""
    batch = {"x": torch.zeros(2), "y": [torch.zeros(2), Sample(torch.zeros(2))]}

    assert move_data_to_device(batch, "cpu") is batch


def test_the_original_batch_is_left_alone():
    """Moving builds new collections instead of writing into the user's."""
    batch = Sample(torch.zeros(2))

    move_data_to_device([batch], META)

    assert batch.image.device.type == "cpu"


def test_dataclasses_are_not_initialised_again():
    """A copy keeps the fields as they are; `__post_init__` does not run twice."""
    mapped = map_tensors(Checked(torch.zeros(1)), lambda tensor: tensor * 10)

    assert mapped.image.item() == 10


def test_default_factory_survives():
    """A defaultdict stays one."""
    moved = move_data_to_device(defaultdict(list, a=torch.zeros(1)), META)

    assert moved["missing"] == [] and moved["a"].device.type == "meta"


def test_objects_with_to_move_themselves():
    """Unknown classes are asked to move; one that moves in place and returns nothing is kept."""
    graph, in_place = move_data_to_device([Graph(), InPlace()], META)

    assert graph.device == META and in_place.device == META


def test_packed_sequences_keep_their_lengths():
    """A packed sequence moves through its own `to`, and a map touches its data alone."""
    packed = pack_sequence([torch.ones(3, 2), torch.ones(2, 2)])

    doubled = map_tensors(packed, lambda tensor: tensor * 2)

    assert doubled.data.unique().tolist() == [2.0]
    assert torch.equal(doubled.batch_sizes, packed.batch_sizes)
    assert move_data_to_device([packed], META)[0].data.device.type == "meta"


@pytest.mark.parametrize(
    ("batch", "size"),
    [
        (torch.zeros(3, 2), 3),
        (torch.tensor(1.0), 1),
        ([["ab", "c"], torch.zeros(4)], 4),
        ({"a": {"b": torch.zeros(5)}}, 5),
        (Sample(torch.zeros(6, 1)), 6),
        (pack_sequence([torch.ones(3, 2), torch.ones(2, 2)]), 2),
        ((torch.zeros(2), torch.zeros(2, 9), 7), 2),
    ],
)
def test_batch_size_is_the_first_tensors_first_dimension(batch, size):
    """The size is found at any depth and without a word where all tensors agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert batch_size_of(batch) == size


def test_disagreeing_tensors_warn_once(monkeypatch):
    """Different first dimensions give the first, and one warning for the whole process."""
    monkeypatch.setattr(rank, "_warned", set())

    with pytest.warns(UserWarning, match="different first dimensions"):
        assert batch_size_of([torch.zeros(3), torch.zeros(4)]) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert batch_size_of([torch.zeros(2), torch.zeros(4)]) == 2


@pytest.mark.parametrize("batch", [[], {}, None, "word", ["word"], [1, 2]], ids=repr)
def test_a_batch_without_tensors_asks_for_its_size(batch):
    """Where no tensor is found, the error says how to state the size."""
    with pytest.raises(MisconfigurationException, match="batch_size="):
        batch_size_of(batch)


def test_numbers_become_tensors_wherever_they_are():
    """Those of NumPy too; what is no number stays."""
    Pair = namedtuple("Pair", "one other")
    given = {"a": [1, 2.5, True], "b": Pair(np.float32(3), np.arange(2)), "c": "word", "d": (None, torch.ones(1))}

    found = as_tensors(given, torch.device("cpu"))

    assert [each.tolist() for each in found["a"]] == [1, 2.5, True]
    assert type(found["b"]) is Pair and found["b"].one.item() == 3 and found["b"].other.tolist() == [0, 1]
    assert found["c"] == "word" and found["d"][0] is None and found["d"][1] is given["d"][1]
    assert type(as_tensors(OrderedDict(x=1), torch.device("cpu"))) is OrderedDict
