"""Each rank's share of the data: batches are dealt out to the ranks in turn, as the user's own loader makes them.

The loader stays the user's, its dataset, workers and collate function included; only what it reads indices from is
wrapped. All ranks draw the same order, with the run's seed and the epoch, and take every `world`-th batch of it. A
round of batches, one for each rank, holds what one process with a batch of that size would have had.
"""

import copy
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from fulgurite.base.rank import PossibleUserWarning, warn_once
from fulgurite.base.seed import collect_rng_states, seeded, set_rng_states

_OUT = object()
LOOK = 64
"""Batches that are drawn at once where nobody knows how many there are."""


class Share(Iterable[Any]):
    """Every ``world``-th batch of ``batches``, from number ``rank`` on.

    With ``even`` all ranks get the same number of batches: the samples of a last round that is not full are dealt out
    anew, and filled up with the first of the order, so that no rank waits for one that has none. Without, every sample
    comes once. ``seed`` and the epoch, set by ``set_epoch``, give the order of random samplers.
    """

    def __init__(self, batches: Any, rank: int, world: int, seed: int, even: bool) -> None:
        self.batches, self.rank, self.world, self.seed, self.even = batches, rank, world, seed, even
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw another order in each epoch; the user's own sampler hears of it as well."""
        self.epoch = epoch
        for owner in (self.batches, getattr(self.batches, "sampler", None)):
            tell = getattr(owner, "set_epoch", None)
            if callable(tell):
                tell(epoch)

    def __len__(self) -> int:
        """Batches of this rank."""
        total, rest = divmod(len(self.batches), self.world)
        if self.even:
            return total + (rest > 0 and not self._drops_rest)
        return total + (self.rank < rest)

    @property
    def most(self) -> int:
        """Batches of the rank that has the most."""
        return -(-len(self.batches) // self.world) if not self.even else len(self)

    @property
    def least(self) -> int:
        """Batches of the rank that has the fewest."""
        return len(self) if self.even else len(self.batches) // self.world

    def __iter__(self) -> Iterator[Any]:
        drawn = _drawn_alike(self.batches, self.seed, self.epoch)
        if not self.even:
            yield from islice(drawn, self.rank, None, self.world)
            return
        first: list[Any] = []
        while True:
            round_ = list(islice(drawn, self.world))
            first = first or round_
            if len(round_) < self.world or self._is_short(round_):
                break
            yield round_[self.rank]
        if round_ and not self._drops_rest:
            yield self._of_last(round_, first)

    @property
    def _drops_rest(self) -> bool:
        return bool(getattr(self.batches, "drop_last", False))

    def _is_short(self, round_: list[Any]) -> bool:
        """Whether this is the end of torch's own batches, the last of which has fewer samples."""
        return type(self.batches) is BatchSampler and len(round_[-1]) < self.batches.batch_size

    def _of_last(self, round_: list[Any], first: list[Any]) -> Any:
        if type(self.batches) is not BatchSampler:
            # What is in a batch of the user's own making belongs together.
            whole = [*round_, *(first[at % len(first)] for at in range(self.world - len(round_)))]
            return whole[self.rank]
        samples = [sample for batch in round_ for sample in batch]
        start = [sample for batch in first for sample in batch]
        missing = -len(samples) % self.world
        samples += [start[at % len(start)] for at in range(missing)]
        return samples[self.rank :: self.world]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "batches":
            raise AttributeError(name)
        return getattr(self.batches, name)


def shared_out(loader: Any, rank: int, world: int, seed: int, even: bool) -> Any:
    """Return a copy of ``loader`` that reads the share of ``rank``; the loader itself where it can't be shared out.

    That is so where the user shares out already (a sampler that knows ``num_replicas`` or its ``rank``), and where no
    sampler says what is read: iterable datasets, and loaders that are no DataLoader.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        what = type(getattr(loader, "dataset", loader)).__name__
        warn_once(
            f"{what} gives no indices to share out, so each of the {world} ranks reads all that it gives. Let it give "
            "each rank its own part, by `trainer.global_rank` and `trainer.world_size`; or ignore "
            "PossibleUserWarning if it does.",
            PossibleUserWarning,
        )
        return loader
    name = "sampler" if loader.batch_sampler is None else "batch_sampler"
    batches = getattr(loader, name)
    owners = [each for each in (batches, getattr(batches, "sampler", None), loader.sampler) if _knows_ranks(each)]
    if owners:
        _check_place(owners[0], rank, world)
        return loader
    changed = copy.copy(loader)
    # DataLoader refuses to set these after its __init__.
    changed.__dict__.update({"_iterator": None, name: Share(batches, rank, world, seed, even)})
    return changed


def most_batches(loader: Any, own: int | float) -> int | float:
    """How many batches of ``loader`` the rank with the most has, where this one has ``own``."""
    for name in ("batch_sampler", "sampler"):
        share = getattr(loader, name, None)
        if isinstance(share, Share):
            return share.most
    return own


def _knows_ranks(owner: Any) -> bool:
    return isinstance(owner, Share) or hasattr(owner, "num_replicas") or hasattr(owner, "rank")


def _check_place(sampler: Any, rank: int, world: int) -> None:
    """Warn where a sampler of the user's shares out for another place than this one."""
    own = getattr(sampler, "rank", rank), getattr(sampler, "num_replicas", world)
    if not isinstance(sampler, Share) and all(isinstance(each, int) for each in own) and own != (rank, world):
        warn_once(
            f"The {type(sampler).__name__} gives the share of rank {own[0]} of {own[1]}, and this is rank {rank} of "
            f"{world}: rows are missing, or seen twice. Build it with `**trainer.strategy.distributed_sampler_kwargs`, "
            "or give the loader without it: it is shared out by itself."
        )


def _drawn_alike(batches: Any, seed: int, epoch: int) -> Iterator[Any]:
    """The user's batches in an order that is the same on all ranks, and moves nobody's random numbers."""
    drawn = iter(batches)
    if not _draws_at_once(batches):
        # It may draw from Python, NumPy or torch whenever it likes.
        if not _has_length(batches):
            return _bit_by_bit(drawn, seed, epoch)
        with seeded(seed, epoch):
            return iter(list(drawn))
    with seeded(seed, epoch):
        first = next(drawn, _OUT)
    return iter(()) if first is _OUT else _with_first(first, drawn)


def _bit_by_bit(drawn: Iterator[Any], seed: int, epoch: int) -> Iterator[Any]:
    """The same of what may have no end: its random numbers wait between two looks."""
    states = None
    while True:
        with seeded(seed, epoch):
            if states is not None:
                set_rng_states(states)
            some = list(islice(drawn, LOOK))
            states = collect_rng_states(include_cuda=False)
        if not some:
            return
        yield from some


def _has_length(batches: Any) -> bool:
    try:
        return len(batches) >= 0
    except TypeError:
        return False


def _with_first(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _draws_at_once(batches: Any) -> bool:
    """Whether it is torch's own, which draw all their random numbers, or a seed for them, before the first index."""
    sampler = getattr(batches, "sampler", None)
    known = [type(each).__module__.startswith("torch.utils.data.") for each in (batches, sampler) if each is not None]
    return all(known)
