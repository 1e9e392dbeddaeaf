"""Validation and test: the same pass, inside training or alone."""

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from fulgurite.core.module import LightningModule
from fulgurite.metrics import Metrics
from fulgurite.runtime.data import Feed, transfer
from fulgurite.runtime.hooks import Event, call, overrides
from fulgurite.runtime.loaders import set_epoch
from fulgurite.runtime.rounds import batches_of
from fulgurite.runtime.rows import save_loggers, write_row
from fulgurite.runtime.session import Session
from fulgurite.runtime.signals import end_if_asked

Results = list[dict[str, float]]


def evaluate(
    session: Session, stage: str, feed: Feed, at_most: list[int | float], gradients: AbstractContextManager[Any]
) -> Results:
    """Run ``stage`` ("validation" or "test") over at most so many batches of each loader.

    ``gradients`` is the context that keeps them off. Returns for each loader what was logged for the
    epoch, and what the epoch-end hooks logged in each of them.
    """
    moment = session.moment
    check_loader_argument(session, stage, feed)
    set_epoch(feed.structure, session.progress.epoch)
    metrics = moment.metrics = session.metrics()
    fire = _events(session, stage)
    with gradients, evaluation_mode(session, stage):
        _fire(fire["start"])
        _fire(fire["epoch_start"])
        results = evaluate_batches(session, stage, fire, metrics, feed, at_most)
        results = end_pass(session, fire, metrics, results)
        if str(session.trainer.state.fn) == "fit" and not session.trainer.sanity_checking:
            # Whoever saves from here on has it behind them.
            session.progress.validated_batch = session.progress.total_batch_idx
            session.before_validation = None
        _fire(fire["end"])
    metrics.reset()
    return results


def evaluate_batches(
    session: Session,
    stage: str,
    fire: dict[str, Event | None],
    metrics: Metrics,
    feed: Feed,
    at_most: list[int | float],
) -> Results:
    """The batches, loader after loader; returns each loader's measurements."""
    moment, progress, step = session.moment, session.progress, session.steps[f"{stage}_step"]
    move, several = transfer(session), feed.several
    results: Results = [{} for _ in at_most]
    progress.val_batches = 0
    metrics.begin_batches()
    current = 0

    def reach(loader: int) -> None:
        nonlocal current
        for ended in range(current, loader):
            results[ended] = end_loader(session, metrics, ended)
        current = loader

    for batch, batch_idx, loader in batches_of(session, feed, at_most, reach):
        if loader != current:
            reach(loader)
        if move is not None:
            batch = move(batch, loader)
        moment.batch, moment.batch_size = batch, None
        moment.dataloader_idx = loader if several else None
        where = (loader,) if several else ()
        if fire["batch_start"] is not None:
            fire["batch_start"](batch, batch_idx, *where)
        outer, moment.hook = moment.hook, f"{stage}_step"
        output = step(batch, batch_idx, *where)
        moment.hook = outer
        progress.val_batches += 1
        progress.val_batches_total += 1
        if fire["batch_end"] is not None:
            fire["batch_end"](output, batch, batch_idx, *where)
        if metrics.has_step_values:
            write_step_row(session, metrics, loader)
        if session.strategy.world_size == 1:
            # Ranks have validation batches of their own, and nothing keeps them in step: they end after a train batch.
            end_if_asked(session)
    if several:
        # Also those that gave nothing here: on another rank they may have.
        reach(len(at_most))
    moment.begin(None)
    return results


def end_loader(session: Session, metrics: Metrics, loader: int) -> dict[str, float]:
    """Show what this loader amounts to, and return what goes to the loggers of it."""
    if session.trainer.sanity_checking:
        return {}
    metrics.end_loader(loader)
    session.board.take(metrics, on_step=True, loader=loader, every_loader=False)
    session.board.take(metrics, on_step=False, loader=loader, every_loader=False)
    return metrics.row(on_step=False, loader=loader, every_loader=False)


def end_pass(session: Session, fire: dict[str, Event | None], metrics: Metrics, results: Results) -> Results:
    """The epoch-end hooks, the row, and the results."""
    metrics.end_epoch()
    _fire(fire["epoch_end"])
    session.board.take(metrics, on_step=False)
    row = metrics.row(on_step=False)
    everywhere = metrics.row(on_step=False, loader=None, every_loader=False)
    if session.trainer.sanity_checking:
        return []
    floats = write_row(session, row)
    save_loggers(session)
    return [{name: floats[name] for name in {**result, **everywhere}} for result in results]


def write_step_row(session: Session, metrics: Metrics, loader: int) -> None:
    """Write what was logged with ``on_step=True``; one row for each batch."""
    if session.trainer.sanity_checking:
        return
    session.board.take(metrics, on_step=True)
    count = session.eval_rows.get(loader, 0)
    session.eval_rows[loader] = count + 1
    # The x-axis is the training's, also of a pass alone: one that counts batches would jump back in the same chart.
    at_train_step = session.plan.evaluation_rows_at_train_step
    index = session.moment.dataloader_idx
    row = metrics.row(on_step=True, loader=index, every_loader=index is None)
    write_row(session, row, step=None if at_train_step else count, with_epoch=False)


@contextmanager
def evaluation_mode(session: Session, stage: str) -> Iterator[None]:
    """Evaluation mode inside; afterwards every sub-module has the mode it had, or what an overridden hook gives it."""
    module = session.module
    modes = [(child, child.training) for child in module.modules()]
    hook = f"on_{stage}_model_train"
    by_hook = False
    try:
        call(session.moment, f"on_{stage}_model_eval", getattr(module, f"on_{stage}_model_eval"))
        yield
        if overrides(module, hook, LightningModule):
            call(session.moment, hook, getattr(module, hook))
            by_hook = True
    finally:
        # After an error as well: the next fit must not train in evaluation mode.
        if not by_hook:
            for child, training in modes:
                child.training = training


def check_loader_argument(session: Session, stage: str, feed: Feed) -> None:
    """With several loaders step and batch hooks must take ``dataloader_idx``; with one they must not need it."""
    for name in (f"{stage}_step", f"on_{stage}_batch_start", f"on_{stage}_batch_end"):
        check_one_loader_argument(name, getattr(session.module, name), feed)


def check_one_loader_argument(name: str, method: Any, feed: Feed) -> None:
    """Raise ``RuntimeError`` where ``method`` does not fit the number of loaders."""
    parameters = inspect.signature(method).parameters
    takes = "dataloader_idx" in parameters or any(one.kind is one.VAR_POSITIONAL for one in parameters.values())
    if feed.several and not takes and len(parameters) < (4 if name.endswith("_batch_end") else 3):
        raise RuntimeError(
            f"You have {len(feed.sizes)} dataloaders, but `{name}` has no `dataloader_idx` argument. Add it as the "
            f"last one, "
            "after `batch_idx`."
        )
    argument = parameters.get("dataloader_idx")
    if not feed.several and argument is not None and argument.default is inspect.Parameter.empty:
        raise RuntimeError(
            f"You provided only a single dataloader, but `{name}` needs `dataloader_idx`. Give it a default: "
            "`dataloader_idx=0`, or remove it."
        )


def _events(session: Session, stage: str) -> dict[str, Event | None]:
    names = ("start", "end", "epoch_start", "epoch_end", "batch_start", "batch_end")
    return {name: getattr(session.hooks, f"on_{stage}_{name}") for name in names}


def _fire(event: Event | None) -> None:
    if event is not None:
        event()
