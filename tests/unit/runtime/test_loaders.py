"""One loader: length, limits, order, epochs, workers."""

import math
import os
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from fulgurite.base import rank
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import PossibleUserWarning
from fulgurite.base.seed import pl_worker_init_function
from fulgurite.runtime import loaders
from fulgurite.runtime.combined import CombinedLoader


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


class SizedStream(Stream):
    def __len__(self):
        return 5


class Squares:
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return index**2


class OddBatches(BatchSampler):
    pass


class Fixed:
    def __iter__(self):
        return iter([[1, 2], [0]])

    def __len__(self):
        return 2


class Named(DataLoader):
    def __init__(self, name, **kwargs):
        super().__init__(range(6), **kwargs)
        self.title = name.upper()


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch):
    monkeypatch.setattr(rank, "_warned", set())


@pytest.mark.parametrize(
    ("loader", "length"),
    [
        (DataLoader(range(5), batch_size=2), 3),
        ([1, 2], 2),
        (iter([1]), math.inf),
        (DataLoader(Stream()), math.inf),
        (DataLoader(SizedStream()), 5),
        (CombinedLoader([range(2), DataLoader(Stream())], "max_size"), math.inf),
    ],
)
def test_length(loader, length):
    """Sized loaders tell their length, all others are infinite, and nobody is warned."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaders.length_of(loader) == length


def test_a_stream_with_a_length_and_workers_warns():
    """Workers that each read a whole sized stream would repeat it: the warning says so."""
    with pytest.warns(UserWarning, match="SizedStream has a `__len__`"):
        assert loaders.length_of(DataLoader(SizedStream(), num_workers=2)) == 5


@given(n=st.integers(0, 10_000), count=st.integers(0, 10_000))
def test_a_count_is_an_upper_bound(n, count):
    """A whole number takes that many batches, or all there are."""
    assert loaders.limit(n, count, "limit_train_batches") == min(n, count)


@given(n=st.integers(1, 10_000), fraction=st.floats(0, 1))
def test_a_fraction_takes_its_part(n, fraction):
    """A fraction takes that part, rounded down, and refuses to round a wish down to nothing."""
    if fraction > 0 and int(n * fraction) == 0:
        with pytest.raises(MisconfigurationException, match="less than one batch"):
            loaders.limit(n, fraction, "limit_val_batches")
    else:
        taken = loaders.limit(n, fraction, "limit_val_batches")
        assert taken <= n * fraction < taken + 1


def test_the_advised_fraction_works():
    """The fraction that the error proposes gives one batch."""
    with pytest.raises(MisconfigurationException) as error:
        loaders.limit(7, 0.1, "limit_train_batches")
    advised = float(str(error.value).split("at least limit_train_batches=")[1].split(",")[0])

    assert loaders.limit(7, advised, "limit_train_batches") == 1


@pytest.mark.parametrize(("limit", "taken"), [(1.0, math.inf), (0.0, 0), (3, 3), (0, 0)])
def test_limits_of_an_endless_loader(limit, taken):
    """Without a length, all, nothing and a number of batches are still possible."""
    assert loaders.limit(math.inf, limit, "limit_train_batches") == taken


def test_no_fraction_of_an_endless_loader():
    """A part of an unknown length is refused with both ways out."""
    with pytest.raises(MisconfigurationException, match="limit_train_batches=1.0 for all batches, or a number"):
        loaders.limit(math.inf, 0.5, "limit_train_batches")


@pytest.mark.parametrize("wrong", [1.5, -1, -0.5, "a", True, None, math.nan], ids=repr)
def test_wrong_limits(wrong):
    """Anything but a fraction or a count is refused by name."""
    with pytest.raises(MisconfigurationException, match="limit_test_batches="):
        loaders.check_limit(wrong, "limit_test_batches")


def test_what_cannot_be_iterated_is_refused():
    """Numbers are no loaders; old-style sequences are."""
    loaders.check_iterable(Squares(), "passed")
    with pytest.raises(TypeError, match=r"An invalid dataloader was passed to `Trainer.fit`: 5 \(int\)"):
        loaders.check_iterable(5, "passed to `Trainer.fit`")


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(range(6), shuffle=True),
        DataLoader(range(6), shuffle=True, batch_size=None),
        DataLoader(range(6), sampler=WeightedRandomSampler([1.0] * 6, 6)),
        DataLoader(range(6), batch_sampler=OddBatches(RandomSampler(range(6)), 2, False)),
        DataLoader(range(6), sampler=DistributedSampler(range(6), num_replicas=1, rank=0)),
        Named("x", shuffle=True, batch_size=4),
    ],
    ids=range(6),
)
def test_shuffling_is_turned_off_for_every_kind_of_loader(loader):
    """The copy reads in order; the user's own loader still shuffles."""
    torch.manual_seed(0)
    ordered = loaders.without_shuffling(loader)

    assert loaders.shuffles(loader) and not loaders.shuffles(ordered)
    assert torch.cat([torch.as_tensor(batch).view(-1) for batch in ordered]).tolist() == list(range(6))
    assert len(ordered) == len(loader)


def test_an_ordered_copy_keeps_everything_else():
    """Arguments, attributes of a subclass, and the batch sampler's class survive."""
    collate, generator = (lambda samples: samples), torch.Generator()
    loader = Named(
        "x", shuffle=True, batch_size=4, drop_last=True, collate_fn=collate, generator=generator, num_workers=1
    )
    ordered = loaders.without_shuffling(loader)

    assert type(ordered) is Named and ordered.title == "X"
    assert ordered.collate_fn is collate and ordered.generator is generator and ordered.num_workers == 1
    assert list(ordered) == [[0, 1, 2, 3]]
    custom = DataLoader(range(6), batch_sampler=OddBatches(RandomSampler(range(6)), 2, False))
    assert type(loaders.without_shuffling(custom).batch_sampler) is OddBatches


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(range(3)),
        DataLoader(Stream()),
        [1, 2],
        DataLoader(range(3), batch_sampler=Fixed()),
    ],
    ids=["ordered", "stream", "list", "custom"],
)
def test_loaders_that_keep_their_own_order_are_left_alone(loader):
    """Where nothing is known to shuffle, the very loader comes back."""
    assert loaders.without_shuffling(loader) is loader


def test_a_batch_sampler_without_sampler_cannot_be_reordered():
    """The error says what is missing and where to put it."""
    with pytest.raises(MisconfigurationException, match="Fixed, which has no attribute `sampler`"):
        loaders.with_sampler(DataLoader(range(3), batch_sampler=Fixed()), [0, 1, 2])


def test_every_sampler_learns_the_epoch():
    """Samplers inside batch samplers and combined loaders are told; all others are passed over."""
    plain, inner = (DistributedSampler(range(6), num_replicas=2, rank=0) for _ in range(2))
    both = CombinedLoader(
        {
            "a": DataLoader(range(6), sampler=plain),
            "b": DataLoader(range(6), batch_sampler=BatchSampler(inner, 2, False)),
            "c": range(3),
        }
    )

    loaders.set_epoch(both, 3)

    assert (plain.epoch, inner.epoch) == (3, 3)


@pytest.mark.parametrize(("asked", "seeded"), [("1", True), ("0", False)])
def test_workers_are_seeded_where_that_was_asked(asked, seeded, monkeypatch):
    """`seed_everything(workers=True)` gives each worker its own seed; a function of the user's own stays."""
    monkeypatch.setenv("PL_SEED_WORKERS", asked)
    own = DataLoader(range(3), worker_init_fn=print)
    plain = DataLoader(range(3))
    for loader in (own, plain, [1, 2]):
        loaders.seed_workers(loader)

    assert own.worker_init_fn is print
    assert plain.worker_init_fn is (pl_worker_init_function if seeded else None)


@pytest.mark.parametrize(
    ("dataset", "workers", "warned"),
    [
        (Squares(), 0, True),
        (Squares(), 1, True),
        (Squares(), 2, False),
        (TensorDataset(torch.zeros(4)), 0, False),
    ],
)
def test_more_workers_are_advised_once_where_they_help(dataset, workers, warned, monkeypatch):
    """One warning for a slow loader on a machine with processors to spare; none for data in memory."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    loader = DataLoader(dataset, num_workers=workers)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        loaders.advise_workers(loader, "train_dataloader")
        loaders.advise_workers(loader, "train_dataloader")

    assert [entry.category for entry in said] == [PossibleUserWarning] * warned
    assert all("num_workers=7" in str(entry.message) for entry in said)
