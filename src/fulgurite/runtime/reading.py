"""How the training data is read: where each loader stands, and the way back there without loading what was seen.

A pass over a loader draws random numbers when it begins: a seed for the workers, and the order in which the sampler
gives the indices. So its place is what the random states were then, and how many batches were taken since. To go back
there, the pass begins anew with those states and the sampler's indices are dropped, up to the place.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from fulgurite.base.rank import warn_once
from fulgurite.base.seed import (
    collect_rng_states,
    isolate_rng,
    packed_rng_states,
    set_rng_states,
    unpacked_rng_states,
)
from fulgurite.runtime.loaders import INFINITE, in_memory, length_of, states_of

States = dict[str, Any]


@dataclass(slots=True)
class Place:
    """Where a pass over one loader stands."""

    count: int = 0
    """Batches taken."""
    passes: int = 1
    """How many times the loader was begun in this epoch, this pass included."""
    before: States = field(default_factory=dict)
    """The random states as the pass began."""
    first: States | None = None
    """Those at its first batch, where other loaders began in between."""
    own: list[torch.Tensor] = field(default_factory=list)
    """The states of the loader's own generators as the pass began."""
    new_workers: bool = True
    """Whether it began without workers of an earlier pass, and so drew a seed for them."""

    def packed(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "count": self.count,
            "passes": self.passes,
            "before": packed_rng_states(self.before) if self.before else {},
            "first": packed_rng_states(self.first) if self.first else None,
            "own": list(self.own),
            "new_workers": self.new_workers,
        }

    @classmethod
    def unpacked(cls, data: dict[str, Any]) -> "Place":
        before = unpacked_rng_states(data["before"]) if data["before"] else {}
        first = unpacked_rng_states(data["first"]) if data["first"] else None
        return cls(**{**data, "before": before, "first": first})


class Reader(Iterable[Any]):
    """One loader of the training data. Iterated like the loader itself, and knows where it is.

    Only with ``counts`` does it count what is taken, at the price of a call a batch; else the caller knows.
    """

    def __init__(
        self, loader: Any, counts: bool = False, had_workers: bool = False, begun: Callable[..., Any] = iter
    ) -> None:
        """``had_workers`` is whether the run that goes on here had the loader's workers already.

        ``begun`` is told of each pass, and returns it.
        """
        self.loader, self.counts, self.had_workers, self.begun = loader, counts, had_workers, begun
        self.place = Place(passes=0)
        self._resumed: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        batches, self._resumed = self._resumed, None
        if batches is None:
            batches = self.begun(self._begin())
        return _Counted(batches, self.place) if self.counts else batches

    def _begin(self) -> Iterator[Any]:
        are_there = has_workers(self.loader)
        self.place = Place(
            passes=self.place.passes + 1,
            before=collect_rng_states(),
            own=generator_states(self.loader),
            new_workers=not (are_there or self.had_workers),
        )
        must_come = self.had_workers and not are_there
        return resumed(self.loader, self.place) if must_come else iter(self.loader)

    def __len__(self) -> int:
        return len(self.loader)

    @property
    def passes(self) -> int:
        """How many times it was begun in this epoch."""
        return self.place.passes

    @property
    def taken(self) -> int:
        """Batches that were taken in this pass, if it counts."""
        return self.place.count

    def resume(self, place: Place) -> None:
        """Let the next pass go on from ``place``. The random states are other ones afterwards."""
        self.place = place
        self._resumed = self.begun(resumed(self.loader, place))

    def leave(self) -> None:
        """Nothing is left to read of the pass that was resumed: the next one begins anew."""
        self._resumed = None


class _Counted:
    """The batches of a pass, counted at its place."""

    def __init__(self, batches: Iterator[Any], place: Place) -> None:
        self.batches, self.place = batches, place

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        place = self.place
        if place.first is None:
            place.first = collect_rng_states()
        batch = next(self.batches)
        place.count += 1
        return batch


@dataclass(slots=True)
class Mark:
    """Where all loaders stood between two batches."""

    places: list[Place]
    states: list[Any] = field(default_factory=list)
    """Of those loaders that keep a state."""
    random: States | None = None
    """The random states, where the batch behind the mark is fetched before its turn."""

    @classmethod
    def of(cls, readers: list[Reader], ahead: bool = False) -> "Mark":
        """Where they stand now; ``ahead`` is whether a batch is about to be fetched before its turn."""
        places = [replace(reader.place) for reader in readers]
        if not ahead:
            return cls(places)
        loaders = [reader.loader for reader in readers]
        # What workers fetch draws no random numbers here.
        draws = not all(getattr(loader, "num_workers", 0) for loader in loaders)
        return cls(places, states_of(loaders), collect_rng_states() if draws else None)


class Skipping(Iterable[Any]):
    """The indices of ``sampler``, in its first pass without the first ``count``; all of them in any later one.

    ``before`` is called before the first index is taken, and may set what the sampler draws its order with.
    """

    def __init__(self, sampler: Any, count: int, before: Callable[[], object]) -> None:
        self.sampler, self.rest = sampler, _Rest(count, before)

    def __iter__(self) -> Iterator[Any]:
        # DataLoader begins twice where it has workers, and takes from the second only.
        indices = iter(self.sampler)
        if self.rest.dropped:
            return indices
        self.rest.indices = indices
        return self.rest

    def __len__(self) -> int:
        return len(self.sampler)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "sampler":
            raise AttributeError(name)
        return getattr(self.sampler, name)


class _Rest:
    """What is left of the indices. They are dropped at once in `drop`, or before the first that is asked for."""

    def __init__(self, count: int, before: Callable[[], object]) -> None:
        self.count, self.before = count, before
        self.indices: Iterator[Any] = iter(())
        self.dropped = False

    def drop(self) -> None:
        if not self.dropped:
            self.dropped = True
            self.before()
            deque(islice(self.indices, self.count), maxlen=0)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self.dropped:
            self.drop()
        return next(self.indices)


def resumed(loader: Any, place: Place) -> Iterator[Any]:
    """Begin a pass over ``loader`` that goes on from ``place``. The random states are other ones afterwards.

    Where the loader takes indices from a sampler, nothing that was seen is loaded again; else it is, and thrown away.
    """

    def before() -> None:
        if not place.new_workers:
            # Workers that were there already drew no seed: the order came first.
            set_generators(loader, place.own)
            set_rng_states(place.before)
        elif place.first is not None:
            set_rng_states(place.first)

    if isinstance(loader, DataLoader) and has_workers(loader):
        # Those of an earlier run in this process hold a sampler of their own, from which nothing can be skipped.
        loader._iterator = None
    set_generators(loader, place.own)
    set_rng_states(place.before)
    if not takes_indices(loader):
        batches = iter(loader)
        before()
        deque(islice(batches, place.count), maxlen=0)
        return batches
    with _exchanged(loader, place.count, before) as skipping:
        batches = iter(loader)
    skipping.rest.drop()
    return batches


def with_workers_of_before(loader: Any) -> Iterator[Any]:
    """Begin a pass over a loader whose workers are new here, but were there already in the run that goes on."""
    place = Place(before=collect_rng_states(), own=generator_states(loader))
    place.new_workers = False
    return resumed(loader, place)


def tell_what_is_inexact(loader: Any, place: Place) -> None:
    """Say once, as a pass goes on from the middle of an epoch, what can't be as if it had not stopped; and the way."""
    if not takes_indices(loader):
        what = getattr(loader, "dataset", loader)
        if not in_memory(what):
            warn_once(
                f"{type(what).__name__} keeps no state, so its first {place.count} batches are read again and thrown "
                "away. The rest is what it would have been only if it gives the same again: an iterator that can be "
                "read once does not. A loader with `state_dict` and `load_state_dict`, such as torchdata's "
                "StatefulDataLoader, goes on where it was."
            )
    elif loader.num_workers and not in_memory(loader.dataset) and not hasattr(loader.dataset, "seeds_each_sample"):
        warn_once(
            f"The {loader.num_workers} workers of the train dataloader begin with new random numbers in the middle of "
            f"an epoch. If {type(loader.dataset).__name__} draws any (augmentation), its samples are other ones until "
            "the epoch ends. Wrap it in `fulgurite.utilities.SeededSamples` to have the same."
        )


def sizes_of(loader: Any) -> list[int | None]:
    """How many samples its dataset has and how many a batch; None for what it does not tell."""
    batch = getattr(loader, "batch_size", None)
    samples = length_of(getattr(loader, "dataset", None))
    # A batch of several ranks is what they take together.
    ranks = getattr(getattr(loader, "batch_sampler", None), "world", 1)
    return [int(samples) if samples != INFINITE else None, batch * ranks if isinstance(batch, int) else None]


def tell_what_has_changed(loaders: Sequence[Any], before: list[list[int | None]], consumed: int) -> None:
    """Say so where an epoch goes on with other data than it was begun with: what was seen is counted in batches."""
    if len(loaders) != len(before):
        warn_once(
            f"The checkpoint was written in the middle of an epoch with {len(before)} train loaders; now there are "
            f"{len(loaders)}. Its first {consumed} batches are passed over in each of them."
        )
        return
    for loader, sizes in zip(loaders, before, strict=False):
        now = sizes_of(loader)
        for what, old, new in zip(("samples", "samples a batch"), sizes, now, strict=True):
            if old != new:
                warn_once(
                    f"The checkpoint was written in the middle of an epoch, after {consumed} batches of train data "
                    f"with {old} {what}; now there are {new} {what}. {consumed} batches are passed over, so that some "
                    "samples of this epoch are seen twice or not at all. Go on from a checkpoint of an epoch's end, or "
                    "with the same data and batch size until then."
                )


def takes_indices(loader: Any) -> bool:
    """Whether a DataLoader reads a map-style dataset by a sampler, in the way that DataLoader itself does."""
    return (
        isinstance(loader, DataLoader)
        and not isinstance(loader.dataset, IterableDataset)
        and type(loader).__iter__ is DataLoader.__iter__
    )


def samples_of(loader: Any, number: int, place: Place | None) -> Any:
    """What a pass over ``loader`` asks the dataset for as its batch of that number; None where that can't be known.

    ``place`` is where the pass began, if it is known. Only torch's own samplers are asked again: another may remember.
    """
    if not takes_indices(loader) or not _says_again(loader, drawn_anew=place is not None and bool(place.before)):
        return None
    with isolate_rng():
        states = generator_states(loader)
        try:
            if place is not None and place.before:
                set_generators(loader, place.own)
                set_rng_states(place.before)
                if place.new_workers:
                    # The workers' seed comes before the order.
                    torch.empty((), dtype=torch.int64).random_(generator=loader.generator)
            asked = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
            return next(islice(asked, number, None), None)
        finally:
            set_generators(loader, states)


def _says_again(loader: Any, drawn_anew: bool) -> bool:
    if loader.batch_sampler is not None and type(loader.batch_sampler) is not BatchSampler:
        return False
    kinds = (SequentialSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
    return type(loader.sampler) in (kinds if drawn_anew else kinds[:1]) and getattr(loader, "in_order", True)


def has_workers(loader: Any) -> bool:
    """Whether it keeps workers of an earlier pass (``persistent_workers``)."""
    return getattr(loader, "_iterator", None) is not None


def own_generators(loader: Any) -> list[torch.Generator]:
    """The generators that the loader and its samplers were given, each once."""
    sampler, batches = getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)
    owners = (loader, sampler, batches, getattr(batches, "sampler", None))
    found = {id(each): each for each in (getattr(owner, "generator", None) for owner in owners)}
    return [each for each in found.values() if isinstance(each, torch.Generator)]


def generator_states(loader: Any) -> list[torch.Tensor]:
    """The states of those generators."""
    return [generator.get_state() for generator in own_generators(loader)]


def set_generators(loader: Any, states: list[torch.Tensor]) -> None:
    """Put back what `generator_states` gave."""
    for generator, state in zip(own_generators(loader), states, strict=False):
        generator.set_state(state.cpu())


@contextmanager
def _exchanged(loader: DataLoader[Any], count: int, before: Callable[[], object]) -> Iterator[Skipping]:
    """Let the pass that begins inside skip indices. The loader is the same as before afterwards."""
    name = "sampler" if loader.batch_sampler is None else "batch_sampler"
    # DataLoader refuses to set these after its __init__.
    state = loader.__dict__
    own = state[name]
    state[name] = skipping = Skipping(own, count, before)
    try:
        yield skipping
    finally:
        state[name] = own
