"""Several loaders read as one."""

import pickle
from collections import OrderedDict, namedtuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, SequentialSampler

from fulgurite.runtime.combined import CombinedLoader

Pair = namedtuple("Pair", "first second")
MODES = ["min_size", "max_size_cycle", "max_size", "sequential"]


class Unsized:
    def __init__(self, n=3):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class Stateful(Unsized):
    position = 0

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


@pytest.mark.parametrize(
    ("mode", "items"),
    [
        ("min_size", [({"a": 0, "b": "x"}, 0, 0), ({"a": 1, "b": "y"}, 1, 0)]),
        ("max_size", [({"a": 0, "b": "x"}, 0, 0), ({"a": 1, "b": "y"}, 1, 0), ({"a": 2, "b": None}, 2, 0)]),
        ("max_size_cycle", [({"a": 0, "b": "x"}, 0, 0), ({"a": 1, "b": "y"}, 1, 0), ({"a": 2, "b": "x"}, 2, 0)]),
        ("sequential", [(0, 0, 0), (1, 1, 0), (2, 2, 0), ("x", 0, 1), ("y", 1, 1)]),
    ],
)
def test_modes(mode, items):
    """Each mode pairs, pads, cycles or chains the loaders, with the batch's and the loader's index."""
    loader = CombinedLoader({"a": range(3), "b": "xy"}, mode)

    assert list(loader) == items
    assert len(loader) == len(items)


@pytest.mark.parametrize(
    ("iterables", "batch"),
    [
        (range(2), 0),
        ([range(2), range(2)], [0, 0]),
        ((range(2),), (0,)),
        (Pair(range(2), range(3)), Pair(0, 0)),
        (OrderedDict(a=range(2)), OrderedDict(a=0)),
        ({"a": [range(2), range(1)], "b": {"c": range(2)}}, {"a": [0, 0], "b": {"c": 0}}),
        ([[1, 2], [3, 4]], [1, 3]),
        ([5, 6], 5),
        ("ab", "a"),
    ],
)
def test_batches_keep_the_nesting(iterables, batch):
    """A batch is nested as the loaders were, class included; a collection of plain values is one loader."""
    first, index, slot = next(iter(CombinedLoader(iterables)))

    assert (first, index, slot) == (batch, 0, 0)
    assert type(first) is type(batch)


@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4), mode=st.sampled_from(MODES), data=st.data())
def test_length_is_the_number_of_items(sizes, mode, data):
    """Whatever the sizes, limits and mode, `len` says how many items come."""
    loader = CombinedLoader([DataLoader(range(size)) for size in sizes], mode)
    loader.limits = data.draw(st.none() | st.integers(0, 6) | st.just([2] * len(sizes)))

    assert len(loader) == len(list(loader))


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3), mode=st.sampled_from(MODES))
def test_items_are_lightnings(sizes, mode):
    """Item by item, the iteration equals Lightning's."""
    reference = pytest.importorskip("lightning.pytorch.utilities").CombinedLoader

    assert list(CombinedLoader([range(n) for n in sizes], mode)) == list(reference([range(n) for n in sizes], mode))


def test_each_iteration_starts_anew():
    """A second pass gives the same items; `reset` ends the first."""
    loader = CombinedLoader([range(3)], "min_size")
    next(iter(loader))
    loader.reset()

    with pytest.raises(RuntimeError, match="iter"):
        next(loader)
    assert [index for _, index, _ in loader] == [0, 1, 2]


@pytest.mark.parametrize(
    ("mode", "length"), [("min_size", 2), ("max_size", None), ("max_size_cycle", None), ("sequential", None)]
)
def test_loaders_without_length(mode, length):
    """A length is told unless an unsized loader decides it; the iteration works all the same."""
    loader = CombinedLoader([Unsized(), range(2)], mode)

    if length is None:
        with pytest.raises(TypeError, match="no length"):
            len(loader)
    else:
        assert len(loader) == length
    assert list(loader)[0][1:] == (0, 0)


def test_limits_cut_each_loader():
    """One limit holds for all loaders, a list for each; infinity cuts nothing."""
    loader = CombinedLoader([range(3), range(5)], "sequential")
    loader.limits = [float("inf"), 1]

    assert list(loader) == [(0, 0, 0), (1, 1, 0), (2, 2, 0), (0, 0, 1)]
    loader.limits = 1
    assert loader.limits == [1, 1] and len(loader) == 2


def test_an_empty_loader_ends_a_cycle():
    """An empty loader cannot be cycled: the iteration is empty instead of endless."""
    assert list(CombinedLoader([DataLoader([]), range(2)], "max_size_cycle")) == []


def test_exchanging_the_loaders_keeps_their_nesting():
    """Setting `flattened` fills the user's structure with the new loaders."""
    loader = CombinedLoader({"a": range(1), "b": [range(2)]})
    loader.flattened = [range(3), range(4)]

    assert loader.iterables == {"a": range(3), "b": [range(4)]}
    assert len(loader) == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda loader: CombinedLoader([], "shortest"), "mode='shortest'"),
        (lambda loader: setattr(loader, "flattened", []), "0 loaders"),
        (lambda loader: setattr(loader, "limits", [1, 2]), "2 limits for 1"),
        (lambda loader: setattr(loader, "limits", -1), "negative"),
    ],
)
def test_wrong_use_is_named(wrong, message):
    """Each refusal says what was given."""
    with pytest.raises(ValueError, match=message):
        wrong(CombinedLoader([range(2)]))


def test_samplers_are_nested_like_the_loaders():
    """`sampler` and `batch_sampler` mirror the structure, with None where a loader has none."""
    loader = CombinedLoader({"a": DataLoader(range(4)), "b": range(2)})

    assert isinstance(loader.sampler["a"], SequentialSampler) and loader.sampler["b"] is None
    assert loader.batch_sampler["a"].batch_size == 1


def test_states_return_to_their_loaders():
    """Loaders with a state give and get it in order; another number of them is refused."""
    loader = CombinedLoader([Stateful(), range(5), Stateful()])
    loader._load_state_dicts([{"position": 2}, {"position": 7}])

    assert loader._state_dicts() == [{"position": 2}, {"position": 7}]
    loader._load_state_dicts([])
    with pytest.raises(RuntimeError, match="states of 1 loaders, but 2"):
        loader._load_state_dicts([{"position": 1}])


def test_pickle_leaves_the_iteration_behind():
    """A loader in use can be pickled; the copy starts from the beginning."""
    loader = CombinedLoader([torch.arange(3)])
    next(iter(loader))

    assert len(list(pickle.loads(pickle.dumps(loader)))) == 3
