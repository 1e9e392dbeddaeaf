"""Evaluation where each rank holds pieces of the model: a rank that has no batch left takes part in those of others.

Batches are dealt out in turn, so that in the last round some ranks may have none. A forward pass brings the pieces of
all together; without the ranks that have nothing to do it would wait for ever. They follow, and count nothing.
"""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import BatchSampler

from fulgurite.runtime.data import Feed, evaluation_batches
from fulgurite.runtime.session import Session
from fulgurite.runtime.shards import Share

Reach = Callable[[int], None]


def batches_of(
    session: Session, feed: Feed, at_most: list[int | float], reach: Reach | None = None
) -> Iterator[tuple[Any, int, int]]:
    """Yield (batch, batch_idx, dataloader_idx), loader after loader, in rounds where the ranks need one another.

    ``reach`` hears of a loader that this rank has no batch of, before others use theirs.
    """
    batches = evaluation_batches(feed, at_most, session.waits)
    return in_rounds(session.strategy, feed, at_most, batches, reach) if session.strategy.sharded else batches


def in_rounds(
    strategy: Any,
    feed: Feed,
    at_most: list[int | float],
    batches: Iterator[tuple[Any, int, int]],
    reach: Reach | None = None,
) -> Iterator[tuple[Any, int, int]]:
    """Yield the batches of this rank; whenever others have one and it has not, follow them."""
    held = next(batches, None)
    for loader, limit in enumerate(at_most):
        count, certain = 0, _certain(feed, loader, limit)
        while True:
            has_one = held is not None and held[2] == loader
            everybody = [has_one] if count < certain else strategy.meet("a round of batches", has_one)
            if not any(everybody):
                break
            if all(everybody):
                yield held  # type: ignore[misc]
            elif has_one:
                strategy.lead()
                yield held  # type: ignore[misc]
                strategy.end_lead()
            else:
                if reach is not None:
                    reach(loader)
                strategy.follow()
            held = next(batches, None) if has_one else held
            count += 1


def _certain(feed: Feed, loader: int, limit: int | float) -> int | float:
    """How many rounds every rank surely has a batch for; beyond them they ask one another."""
    share = None if feed.combined else getattr(feed.loaders[loader], "batch_sampler", None)
    # A batch sampler of the user's own may end before the length that it tells.
    if not isinstance(share, Share) or type(share.batches) is not BatchSampler:
        return 0
    return min(limit, share.least)
