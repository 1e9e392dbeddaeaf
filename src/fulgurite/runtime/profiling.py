"""Where a profiler looks: what a run calls is wrapped before it is called. Without a profiler nothing is."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from fulgurite.core.callback import Callback
from fulgurite.core.datamodule import LightningDataModule
from fulgurite.core.module import LightningModule
from fulgurite.core.profiler import PassThroughProfiler, Profiler, report

if TYPE_CHECKING:
    from fulgurite.runtime.session import Session

WAITS = {
    "train": "[_TrainingEpochLoop].train_dataloader_next",
    "val": "[_EvaluationLoop].val_next",
    "test": "[_EvaluationLoop].test_next",
    "predict": "[_PredictionLoop].predict_next",
}
"""The actions that are waits for the next batch, by stage, under Lightning's names."""

_END = object()


def measuring(profiler: Profiler) -> Profiler | None:
    """The profiler, or None for the one that measures nothing."""
    return None if type(profiler) is PassThroughProfiler else profiler


def begin(session: "Session") -> None:
    """Tell the profiler of the run, before its first hook."""
    profiler, trainer = session.profiler, session.trainer
    if profiler is not None:
        profiler.setup(str(trainer.state.fn), session.strategy.local_rank, trainer.log_dir)
        session.moment.profiler = profiler


def end(session: "Session") -> None:
    """Let the profiler report and let go, after the last hook; nothing the second time."""
    profiler, session.profiler, session.moment.profiler = session.profiler, None, None
    if profiler is not None:
        report(profiler)
        profiler.teardown(str(session.trainer.state.fn))


def action_of(hook: Callable[..., Any], name: str) -> str:
    """The name under which a hook is measured: whose it is, then which: ``[Callback]Timer.on_fit_start``."""
    inner = hook.func if isinstance(hook, partial) else hook
    owner = getattr(inner, "__self__", None)
    if owner is None and isinstance(hook, partial) and hook.args:
        owner = hook.args[0]
    if isinstance(owner, Callback):
        return f"[Callback]{owner.state_key}.{name}"
    for kind in (LightningModule, LightningDataModule):
        if isinstance(owner, kind):
            return f"[{kind.__name__}]{type(owner).__name__}.{name}"
    return f"{getattr(inner, '__qualname__', type(inner).__name__)}.{name}"


def of_strategy(session: "Session", name: str) -> str:
    return f"[Strategy]{type(session.strategy).__name__}.{name}"


def of_module(session: "Session", name: str) -> str:
    return f"[LightningModule]{type(session.module).__name__}.{name}"


def watch_hooks(hooks: Any, profiler: Profiler) -> None:
    """Measure every listener in the table of events."""
    for name in hooks.__slots__:
        event = getattr(hooks, name)
        if event is None:
            continue
        for listeners in (event.callbacks, event.closing):
            listeners[:] = [profiler.watched(each, action_of(each, name)) for each in listeners]
        if event.own is not None:
            event.own = profiler.watched(event.own, action_of(event.own, name))


def waiting(profiler: Profiler, batches: Callable[[], Iterator[Any]], stage: str) -> Iterator[Any]:
    """Yield from ``batches()`` and measure each wait for the next one, the start of the loader's workers included."""
    action, iterator = WAITS[stage], None
    while True:
        with profiler.profile(action):
            iterator = iter(batches()) if iterator is None else iterator
            batch = next(iterator, _END)
        if batch is _END:
            return
        yield batch
