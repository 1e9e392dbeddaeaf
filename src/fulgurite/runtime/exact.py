"""What a checkpoint holds beyond Lightning's layout, so that a run goes on as if it had not stopped.

Counters tell what had happened when the file was written, to the hook; the open meters and the board what was measured;
the gradients what an open accumulation window had gathered; random states and the loaders' places what comes next.
"""

from dataclasses import dataclass, field
from typing import Any

import torch

from fulgurite.base.arguments import shown
from fulgurite.base.pieces import like
from fulgurite.base.rank import warn_once
from fulgurite.base.seed import collect_rng_states, packed_rng_states, set_rng_states, unpacked_rng_states
from fulgurite.base.tree import move_data_to_device
from fulgurite.metrics import Metrics, detached, is_metric_object
from fulgurite.runtime.data import loader_states, standing
from fulgurite.runtime.layout import exact_counters
from fulgurite.runtime.parts import check_kinds, misfit, part
from fulgurite.runtime.session import Session

Data = dict[str, Any]
BOARD = ("callback", "logged", "bar")
STAGES = ("train", "val")
"""Whose loaders a fit reads."""


@dataclass(slots=True)
class Restart:
    """What a checkpoint brought, until each part is put back in its turn."""

    feeds: dict[str, Data] = field(default_factory=dict)
    loader_states: list[Any] = field(default_factory=list)
    meters: list[Data] = field(default_factory=list)
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)
    random: Data | None = None


def captured(session: Session) -> Data:
    """Everything of the run beside weights, optimizers and callbacks. Tensors are the live ones."""
    progress, metrics = session.progress, session.train_metrics
    opened = metrics is not None and (progress.inside_epoch or progress.epochs_processed > progress.epoch)
    return {
        "progress": exact_counters(progress),
        "board": {name: _on_cpu(getattr(session.board, name)) for name in BOARD},
        "meters": metrics.state() if metrics is not None and opened else [],
        "metrics": _metric_states(session.module, without=_of_validation(session)),
        "eval_rows": dict(session.eval_rows),
        "loggers": [[type(logger).__name__, logger.state_dict()] for logger in session.loggers],
        "gradients": _gradients(session),
        "loaders": _loader_states(session),
        "feeds": {stage: standing(feed, progress) for stage, feed in session.feeds.items() if stage in STAGES},
        "random": packed_rng_states(session.before_validation or collect_rng_states()),
    }


def of_all_ranks(session: Session, own: Data) -> Data:
    """What rank 0 keeps, and under "ranks" what the others do: each has random numbers and meters of its own."""
    strategy = session.strategy
    if strategy.world_size == 1:
        return own
    # Gradients in pieces are one thing, which all ranks bring to the checkpoint together.
    sent = {**own, "gradients": {}} if strategy.sharded else own
    everybody = strategy.gather(
        "what each rank knows", None if strategy.is_global_zero else move_data_to_device(sent, "cpu")
    )
    return {**own, "data_seed": strategy.data_seed, "ranks": everybody[1:] if everybody else []}


def of_this_rank(session: Session, data: Data) -> Data:
    """This rank's part of what `of_all_ranks` brought together; rank 0's, where the ranks were of another number."""
    strategy, others = session.strategy, data.get("ranks", [])
    if not data or len(others) + 1 == strategy.world_size:
        own = others[strategy.global_rank - 1] if strategy.global_rank else data
        return {**own, "gradients": data.get("gradients", {})} if strategy.sharded else own
    warn_once(
        f"The checkpoint was written by {len(others) + 1} processes, and {strategy.world_size} go on. Weights, "
        "optimizers and the order of the data are the same; random numbers of the ranks (dropout, augmentation) are "
        "other ones, and means of the epoch in whose middle it was written begin anew."
    )
    return {**data, "meters": [], "metrics": {}, "gradients": {}} if data.get("meters") is not None else data


def train_loader_states(session: Session) -> list[Any]:
    """The states of train loaders that keep one, where an epoch goes on."""
    return _loader_states(session) if session.progress.inside_epoch else []


def put_back_feeds(session: Session, checkpoint: Data) -> None:
    """Let the loaders be fetched, and their data dealt out, as in the run that wrote the file."""
    data, strategy = checkpoint.get("fulgurite") or {}, session.strategy
    found = data.get("feeds", {})
    session.stored_feeds = dict(found) if isinstance(found, dict) else {}
    if strategy.data_seed is not None:
        strategy.data_seed = data.get("data_seed", strategy.data_seed)


KINDS: dict[str, Any] = {
    "board": dict, "meters": list, "metrics": dict, "eval_rows": dict, "loggers": list, "gradients": dict,
    "loaders": list, "feeds": dict, "random": (dict, type(None)),
}  # fmt: skip
OF_A_FEED: dict[str, Any] = {"loaded_at_epoch": int, "workers": list, "generators": list, "own": list}


def check(session: Session, data: Data) -> None:
    """Raise ``CheckpointError`` where a part is of another kind than `captured` gives it."""
    check_kinds(session, "fulgurite", data, KINDS)
    for stage, feed in data.get("feeds", {}).items():
        check_kinds(session, f"fulgurite/feeds/{stage}", feed, OF_A_FEED)
        if not all(isinstance(each, bool) for each in feed.get("workers", ())):
            raise misfit(session, f"fulgurite/feeds/{stage}/workers", f"it is {shown(feed['workers'])}")


def restored(session: Session, data: Data, loader_states: list[Any]) -> None:
    """Put back what is put back at once, and hold the rest for its turn. ``data`` is empty for a file of Lightning."""
    session.unmeasured = "board" not in data
    for name in BOARD:
        getattr(session.board, name).update(data.get("board", {}).get(name, {}))
    session.eval_rows.update(data.get("eval_rows", {}))
    put_back_loggers(session, data)
    _load_metric_states(session.module, data.get("metrics", {}))
    feeds = dict(data.get("feeds", {}))
    session.restart = Restart(
        feeds, data.get("loaders", loader_states), data.get("meters", []), data.get("gradients", {}), data.get("random")
    )
    if session.progress.inside_epoch and session.restart.random is None:
        warn_once(
            "The checkpoint was written in the middle of an epoch, and holds no random states (Lightning's do not): a "
            "shuffled order is drawn anew, so that some samples of this epoch are seen twice and others not at all."
        )
    if session.progress.batches_ready > session.progress.batches_processed and session.progress.inside_epoch:
        warn_once(
            f"The checkpoint was written in the middle of a batch ({session.progress.batches_processed} of epoch "
            f"{session.progress.epoch}): the batch is done again, with other random numbers."
        )
        session.progress.batches_ready = session.progress.batches_processed
        session.progress.is_last_batch = False


def put_back_loggers(session: Session, data: Data) -> None:
    """Let loggers of the same kinds, in the same order, go back to where their rows stood."""
    for logger, (kind, state) in zip(session.loggers, data.get("loggers", ()), strict=False):
        if state and type(logger).__name__ == kind:
            logger.load_state_dict(state)


def put_back_random_states(session: Session) -> None:
    """From here on the same random numbers are drawn as in the run that goes on."""
    restart = session.restart
    if restart is not None and restart.random is not None:
        with part(session, "fulgurite/random"):
            set_rng_states(unpacked_rng_states(restart.random))


def put_back_meters(session: Session, metrics: Metrics) -> None:
    """Go on with what was logged in the epoch so far. Raises ``CheckpointError`` where that can't be read."""
    meters, session.restart.meters = session.restart.meters, []
    with part(session, "fulgurite/meters"):
        metrics.load(meters, session.module, session.device)


def put_back_gradients(session: Session) -> None:
    """What the open accumulation window had gathered."""
    if session.restart is None:
        return
    parameters = dict(session.module.named_parameters())
    for name, gradient in session.restart.gradients.items():
        if name in parameters:
            parameters[name].grad = like(parameters[name], gradient).to(parameters[name].device)


def _loader_states(session: Session) -> list[Any]:
    feed, progress = session.feeds.get("train"), session.progress
    begun = progress.earlier_batches + progress.batches_processed > 0
    return loader_states(feed, progress) if feed is not None and begun else []


def _gradients(session: Session) -> dict[str, torch.Tensor]:
    """Those that later batches add to; by hand nobody but the module knows, so that it is all there are."""
    progress, window = session.progress, session.plan.accumulate_grad_batches
    if not progress.inside_epoch:
        return {}
    waiting = not progress.window_closed and progress.batches_processed % window != 0
    if session.module.automatic_optimization and not waiting:
        return {}
    named = session.module.named_parameters()
    return {name: parameter.grad for name, parameter in named if parameter.grad is not None}


def _on_cpu(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.detach().cpu() if isinstance(value, torch.Tensor) else value for name, value in values.items()}


def _of_validation(session: Session) -> set[str]:
    """The torchmetrics objects that a validation has begun to fill, which is done again from its start."""
    metrics = session.moment.metrics
    if session.before_validation is None or metrics is None or metrics is session.train_metrics:
        return set()
    return {meter.attribute for meter in metrics.meters.values() if meter.attribute}


def _metric_states(module: Any, without: set[str]) -> dict[str, dict[str, Any]]:
    """What each torchmetrics object in ``module`` has counted so far, by its place there."""
    return {
        path: {
            "state": {name: getattr(metric, name) for name in metric._defaults},
            "updates": metric._update_count,
            "shown": detached(metric._forward_cache),
        }
        for path, metric in module.named_modules()
        if is_metric_object(metric) and metric._update_count and path not in without
    }


def _load_metric_states(module: Any, states: dict[str, dict[str, Any]]) -> None:
    """Let them go on counting from there; those that the module does not have any more are passed over."""
    found = {path: metric for path, metric in module.named_modules() if is_metric_object(metric)}
    for path in states.keys() & found.keys():
        metric, state = found[path], states[path]
        for name in metric._defaults.keys() & state["state"].keys():
            value, now = state["state"][name], getattr(metric, name)
            device = now.device if isinstance(now, torch.Tensor) else metric.device
            moved = value.to(device) if isinstance(value, torch.Tensor) else [each.to(device) for each in value]
            setattr(metric, name, moved)
        metric._update_count, metric._computed = state["updates"], None
        metric._forward_cache = state["shown"]
