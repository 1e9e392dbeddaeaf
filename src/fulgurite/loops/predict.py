"""Prediction: batches in, what ``predict_step`` returns out."""

from collections import deque
from contextlib import AbstractContextManager
from itertools import zip_longest
from typing import Any

from fulgurite.base.tree import move_data_to_device
from fulgurite.loops.evaluate import check_loader_argument, evaluation_mode
from fulgurite.runtime.data import Feed, transfer
from fulgurite.runtime.loaders import NotedBatches, noting, set_epoch
from fulgurite.runtime.rounds import batches_of
from fulgurite.runtime.session import Session

_NONE = object()


def predict(session: Session, feed: Feed, keep: bool, gradients: AbstractContextManager[Any]) -> list[Any] | None:
    """Return the predictions of all batches, a list for each loader where there are several; None unless ``keep``."""
    hooks, moment = session.hooks, session.moment
    check_loader_argument(session, "predict", feed)
    set_epoch(feed.structure, session.progress.epoch)
    moment.metrics = session.metrics()
    with gradients, evaluation_mode(session, "predict"):
        if hooks.on_predict_start is not None:
            hooks.on_predict_start()
        if hooks.on_predict_epoch_start is not None:
            hooks.on_predict_epoch_start()
        predictions = predict_batches(session, feed, keep)
        if hooks.on_predict_epoch_end is not None:
            hooks.on_predict_epoch_end()
        if hooks.on_predict_end is not None:
            hooks.on_predict_end()
    if not keep:
        return None
    predictions = of_all_ranks(session, predictions)
    return predictions if feed.several else predictions[0]


def of_all_ranks(session: Session, predictions: list[list[Any]]) -> list[list[Any]]:
    """The predictions of all ranks in the order of the data: batches were dealt out in turn."""
    if session.strategy.data_world_size == 1:
        return predictions
    everybody = session.strategy.meet("predictions", move_data_to_device(predictions, "cpu"))
    everybody = everybody[:: session.strategy.data_copies]
    dealt = [
        list(zip_longest(*(ranks[loader] for ranks in everybody), fillvalue=_NONE))
        for loader in range(len(predictions))
    ]
    return [[each for round_ in rounds for each in round_ if each is not _NONE] for rounds in dealt]


def predict_batches(session: Session, feed: Feed, keep: bool) -> list[list[Any]]:
    hooks, moment, step = session.hooks, session.moment, session.steps["predict_step"]
    move, several = transfer(session), feed.several
    predictions: list[list[Any]] = [[] for _ in feed.sizes]
    session.trainer._predictions = predictions
    noted = note_indices(session, feed)
    for batch, batch_idx, loader in batches_of(session, feed, feed.sizes):
        if move is not None:
            batch = move(batch, loader)
        if noted is not None:
            session.batch_indices = noted[loader].popleft() if noted[loader] else []
        moment.begin(batch, loader if several else None)
        where = (loader,) if several else ()
        if hooks.on_predict_batch_start is not None:
            hooks.on_predict_batch_start(batch, batch_idx, *where)
        outer, moment.hook = moment.hook, "predict_step"
        output = step(batch, batch_idx, *where)
        moment.hook = outer
        if hooks.on_predict_batch_end is not None:
            hooks.on_predict_batch_end(output, batch, batch_idx, *where)
        if keep:
            predictions[loader].append(output)
    return predictions


def note_indices(session: Session, feed: Feed) -> list[deque[list[int]]] | None:
    """Let the loaders say which rows each batch is made of, if a callback asks; return where they say it."""
    if not any(getattr(callback, "needs_batch_indices", False) for callback in session.callbacks):
        return None
    if not feed.combined:
        feed.loaders = [noting(loader) for loader in feed.loaders]
    samplers = [getattr(loader, "batch_sampler", None) for loader in feed.loaders]
    return [sampler.indices if isinstance(sampler, NotedBatches) else deque() for sampler in samplers]
