"""What the run asks of one loader that the user made: its length, its order, its workers."""

import copy
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler, Subset, TensorDataset

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import PossibleUserWarning, warn_once
from fulgurite.base.seed import pl_worker_init_function

INFINITE = float("inf")


def length_of(loader: Any) -> int | float:
    """Return the number of batches, or infinity where the loader cannot tell.

    The length of an iterable dataset is taken at its word; the data may still end sooner.
    """
    try:
        length = len(loader)
    except (TypeError, NotImplementedError):
        return INFINITE
    if isinstance(loader, DataLoader) and isinstance(loader.dataset, IterableDataset) and loader.num_workers > 1:
        warn_once(
            f"{type(loader.dataset).__name__} has a `__len__`, and {loader.num_workers} workers read it. Unless each "
            "reads its own share (see torch.utils.data.get_worker_info), batches repeat and the length is wrong."
        )
    return length


def check_limit(limit: Any, name: str) -> None:
    """Raise ``MisconfigurationException`` unless ``limit`` is a whole number of batches or a fraction of them."""
    is_count = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
    if not is_count and not (isinstance(limit, float) and 0.0 <= limit <= 1.0):
        raise MisconfigurationException(
            f"{name}={limit!r} is neither a fraction (a float from 0.0 to 1.0) nor a number of batches (an int from 0)."
        )


def limit(n_batches: int | float, limit: int | float, name: str) -> int | float:
    """Return how many of ``n_batches`` run under ``limit``, a number of batches or a fraction of them.

    Raises ``MisconfigurationException`` where the fraction is of an unknown length, or of less than one batch.
    """
    check_limit(limit, name)
    if limit == 0 or n_batches == 0:
        return 0
    if isinstance(limit, int):
        return min(n_batches, limit)
    if limit == 1.0:
        return n_batches
    if n_batches == INFINITE:
        raise MisconfigurationException(
            f"{name}={limit} is a fraction, but the loader has no length to take it of. "
            f"Pass {name}=1.0 for all batches, or a number of batches."
        )
    if int(n_batches * limit) == 0:
        raise MisconfigurationException(
            f"{name}={limit} of {n_batches} batches is less than one batch. "
            f"Pass at least {name}={1 / n_batches}, or a number of batches."
        )
    return int(n_batches * limit)


def check_iterable(loader: Any, source: str) -> None:
    """Raise ``TypeError`` unless ``loader`` can be iterated; ``source`` says where it came from.

    Nothing is iterated: that could start workers.
    """
    iterates = hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")
    # A class, and an array of no dimension, only look like it.
    if not iterates or isinstance(loader, type) or getattr(loader, "ndim", None) == 0:
        raise TypeError(
            f"An invalid dataloader was {source}: {loader!r} ({type(loader).__name__}) cannot be iterated. "
            "Give a DataLoader, any other iterable over batches, or a list or dict of them."
        )


def shuffles(loader: Any) -> bool:
    """Whether the data come in another order than their own: any sampler but a sequential one counts.

    Data sets and batch samplers that keep their order to themselves do not.
    """
    return _is_random(_inner_sampler(loader))


def without_shuffling(loader: Any) -> Any:
    """Return a loader that reads the same data in order; the loader itself where it already does.

    The new loader is a copy, so a subclass keeps all its attributes and needs no particular ``__init__``.
    """
    sampler = _inner_sampler(loader)
    return with_sampler(loader, _in_order(sampler, loader.dataset)) if _is_random(sampler) else loader


def with_sampler(loader: DataLoader[Any], sampler: Iterable[Any]) -> DataLoader[Any]:
    """Return a copy of ``loader`` that reads in the order of ``sampler``; all else, workers included, is kept.

    Raises ``MisconfigurationException`` where a batch sampler of the user's own has no ``sampler`` to exchange.
    """
    changed = copy.copy(loader)
    # DataLoader refuses to set these after its __init__, as they must agree: here they do.
    state = changed.__dict__
    state["_iterator"] = None
    state["sampler"] = sampler
    if loader.batch_sampler is None:
        return changed
    if not hasattr(loader.batch_sampler, "sampler"):
        raise MisconfigurationException(
            f"The order of {type(loader).__name__} is decided by {type(loader.batch_sampler).__name__}, which has no "
            "attribute `sampler` to exchange. Keep the inner sampler there, or give the loader a `sampler=` instead."
        )
    state["batch_sampler"] = copy.copy(loader.batch_sampler)
    state["batch_sampler"].sampler = sampler
    return changed


class NotedBatches:
    """A batch sampler that notes which rows it asked for, in ``indices``; whoever gets the batch takes them out."""

    def __init__(self, batch_sampler: Any) -> None:
        self.batch_sampler = batch_sampler
        self.indices: deque[list[int]] = deque()

    def __iter__(self) -> Iterator[Any]:
        self.indices.clear()
        for rows in self.batch_sampler:
            self.indices.append(list(rows))
            yield rows

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __getattr__(self, name: str) -> Any:
        if name == "batch_sampler":
            # While it is copied there is none yet.
            raise AttributeError(name)
        return getattr(self.batch_sampler, name)


def noting(loader: Any) -> Any:
    """Return a copy of ``loader`` whose batch sampler is `NotedBatches`; the loader itself where rows have no number.

    That is so for iterable data sets, for loaders that do not batch or are no DataLoader, and where workers may hand
    in their batches in any order.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return loader
    if loader.batch_sampler is None or not getattr(loader, "in_order", True):
        return loader
    changed = copy.copy(loader)
    changed.__dict__.update(_iterator=None, batch_sampler=NotedBatches(loader.batch_sampler))
    return changed


def set_epoch(loader: Any, epoch: int) -> None:
    """Tell every sampler and dataset in ``loader`` which epoch begins; a ``CombinedLoader`` tells all its loaders."""
    for each in getattr(loader, "flattened", [loader]):
        for owner in (*_samplers(each), getattr(each, "dataset", None)):
            if callable(getattr(owner, "set_epoch", None)):
                owner.set_epoch(epoch)


def seed_workers(loader: Any) -> None:
    """Seed the loader's workers where ``seed_everything(workers=True)`` asked for it and the user does not do so."""
    wanted = os.environ.get("PL_SEED_WORKERS", "0") == "1"
    if wanted and isinstance(loader, DataLoader) and loader.worker_init_fn is None:
        loader.worker_init_fn = pl_worker_init_function


def stateful(loaders: Iterable[Any]) -> list[Any]:
    """Those loaders that can say where they are and go back there."""
    wanted = ("state_dict", "load_state_dict")
    return [loader for loader in loaders if all(callable(getattr(loader, name, None)) for name in wanted)]


def states_of(loaders: Iterable[Any]) -> list[Any]:
    """Where the loaders that can tell are, in order."""
    return [loader.state_dict() for loader in stateful(loaders)]


def put_back(loaders: Iterable[Any], states: list[Any], goes_on: bool = True) -> list[Any]:
    """Bring those loaders to where ``states_of`` found them, and return them.

    Their pass goes on when they are next iterated; if it shall not, it is ended here. Raises ``RuntimeError`` if they
    are not as many.
    """
    able = stateful(loaders)
    if len(states) != len(able):
        raise RuntimeError(
            f"The checkpoint holds the states of {len(states)} loaders, but {len(able)} of those given now "
            "keep a state. Pass the loaders that were used when it was saved."
        )
    for loader, state in zip(able, states, strict=True):
        loader.load_state_dict(state)
        if not goes_on:
            next(iter(loader), None)
    return able


def advise_workers(loader: Any, source: str) -> None:
    """Warn once per ``source`` ("train_dataloader", …) where more workers would likely help.

    They would not where the processors are few or the whole data set is in memory already.
    """
    if not isinstance(loader, DataLoader) or loader.num_workers >= 2 or in_memory(loader.dataset):
        return
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processors > 2:
        warn_once(
            f"The {source} has {loader.num_workers} workers and may keep the model waiting. Pass "
            f"`num_workers={processors - 1}` to its DataLoader, or ignore PossibleUserWarning.",
            PossibleUserWarning,
        )


def _inner_sampler(loader: Any) -> Any:
    """The sampler that decides the order; None where nothing that we know does."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return None
    return loader.sampler if loader.batch_sampler is None else getattr(loader.batch_sampler, "sampler", None)


def _is_random(sampler: Any) -> bool:
    if sampler is None or isinstance(sampler, SequentialSampler):
        return False
    # A sampler over several processes says itself whether it shuffles.
    return bool(getattr(sampler, "shuffle", True))


def _in_order(sampler: Any, dataset: Sized) -> Any:
    if not hasattr(sampler, "shuffle"):
        return SequentialSampler(dataset)
    sampler = copy.copy(sampler)
    sampler.shuffle = False
    return sampler


def _samplers(loader: Any) -> Iterator[Any]:
    sampler, batches = getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)
    inner = getattr(batches, "sampler", None)
    yield sampler
    yield batches
    if inner is not sampler:
        yield inner


def in_memory(dataset: Any) -> bool:
    """Whether it only holds its samples and makes nothing of them."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return isinstance(dataset, TensorDataset | Tensor | list | tuple | range)
