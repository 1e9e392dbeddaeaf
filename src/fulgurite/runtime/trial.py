"""Batches of a run that leave no trace: what a search does with a model before, or in the middle of, its training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fulgurite.base.compiled import unwrap
from fulgurite.base.seed import isolate_rng
from fulgurite.core.callback import Callback
from fulgurite.core.datamodule import LightningDataModule
from fulgurite.core.logger import DummyLogger, Logger
from fulgurite.core.module import LightningModule
from fulgurite.runtime import lifecycle
from fulgurite.runtime.hooks import Hooks
from fulgurite.runtime.plan import Plan
from fulgurite.runtime.session import Session
from fulgurite.runtime.snapshot import Restore, attributes_of, manner_of, place_of, positions_of, training_of

KEPT_BY_OTHERS = ("received_sigterm", "received_sigint", "received_requeue")
"""What a signal sets may not be taken back."""


class Trials:
    """Trials of the running session, one after the other, each from the same state."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.session = trainer, trainer._session
        session = self.session
        learnt, manner = training_of(session), manner_of(session.module)
        self.restores: list[Restore] = [manner, learnt, positions_of(session), trainers_own(trainer)]

    def run(self, listener: Callback, reload: bool = False, **changes: Any) -> None:
        """Run the loop of the verb that was called, heard by ``listener`` alone, and put everything back.

        It goes on until the listener sets ``trainer.should_stop``. With ``reload`` the loaders are fetched anew.
        ``changes`` are those of the plan.
        """
        with isolate_rng():
            try:
                session = self._session(listener, reload, changes)
                try:
                    self.trainer._run(session, keep=False)
                finally:
                    lifecycle.end_workers(session, but=self.session.feeds.values())
            finally:
                for restore in self.restores:
                    restore()

    def _session(self, listener: Callback, reload: bool, changes: dict[str, Any]) -> Session:
        trainer, outer = self.trainer, self.session
        loggers = silent(outer.loggers)
        by_hand = not outer.module.automatic_optimization
        session = replace(
            outer, plan=trial_plan(outer.plan, **changes), callbacks=[listener], loggers=loggers, wrappers=[],
            feeds={} if reload else dict(outer.feeds), stored_feeds={}, restart=None, eval_rows={}, shielded=[],
            closed_loggers=[],
            # Steps by hand may step the schedulers, too; the automatic ones would undo what the search sets.
            schedulers=outer.schedulers if by_hand else [],
            train_metrics=None, step=None, resumed=False, before_validation=None, exhausted=False,
        )  # fmt: skip
        session.hooks = Hooks(trainer, outer.module, LightningModule, [listener], outer.moment)
        trainer._session, trainer.plan, trainer.callbacks, trainer.loggers = session, session.plan, [listener], loggers
        trainer.should_stop = False
        trainer.progress.begin_fit()
        session.board.clear()
        session.moment.hook = None
        session.moment.begin(None)
        for weight in outer.module.parameters():
            weight.grad = None
        return session


def trainers_own(trainer: Any) -> Restore:
    """Keep counters, metrics, the moment, the state, and whatever the trainer refers to."""
    owners = (trainer.progress, trainer._board, trainer._moment, trainer.state)
    return attributes_of(trainer, trainer.strategy, *owners, but=KEPT_BY_OTHERS)


def trial_plan(plan: Plan, **changes: Any) -> Plan:
    """The plan without an end of its own, without validation, and without rows."""
    endless: dict[str, Any] = {"max_epochs": -1, "min_epochs": None, "max_steps": -1, "min_steps": None}
    alone: dict[str, Any] = {"limit_val_batches": 0, "num_sanity_val_steps": 0, "log_every_n_steps": 0}
    return replace(plan, **{**endless, **alone, **changes})


def silent(loggers: list[Logger]) -> list[Logger]:
    """Loggers that take everything and write nothing; none where there are none."""
    return [DummyLogger()] if loggers else []


@contextmanager
def rehearsal(trainer: Any, fn: Any, stage: Any, model: Any, given: dict[str, Any], datamodule: Any) -> Iterator[None]:
    """Open a run as the verb ``fn`` does and close it again; nothing is logged, saved, or left on the trainer.

    Callbacks set up the model, as those that freeze layers do, and are not called otherwise. What ``prepare_data``,
    ``setup`` and ``configure_model`` build stays.
    """
    module = unwrap(model)[0]
    restores = [trainers_own(trainer), attributes_of(*trainer.callbacks)]
    attached: list[tuple[Any, Any]] = []
    if isinstance(module, LightningModule):
        restores.append(place_of(module))
        attached.append((module, module._trainer))
    if isinstance(datamodule, LightningDataModule):
        attached.append((datamodule, datamodule.trainer))
    with isolate_rng():
        try:
            trainer.loggers, trainer.should_stop = silent(trainer.loggers), False
            with trainer._calling(fn, stage):
                trainer.progress.begin_fit()
                session = trainer._open(model, given, datamodule, None, None, listening=lambda: [Preparing(trainer)])
                yield
                lifecycle.finish(session)
        finally:
            for restore in restores:
                restore()
            for owner, earlier in attached:
                owner.trainer = earlier


class Preparing(Callback):
    """Lets a trainer's callbacks set up the model and tear down what they set up, and keeps them silent between."""

    def __init__(self, trainer: Any) -> None:
        apart = {id(callback) for callback in trainer.checkpoint_callbacks}
        self.callbacks = [
            callback
            for callback in trainer.callbacks
            if id(callback) not in apart and not getattr(callback, "runs_first", False)
        ]

    def setup(self, trainer: Any, pl_module: LightningModule, stage: str) -> None:
        for callback in self.callbacks:
            callback.setup(trainer, pl_module, stage)

    def teardown(self, trainer: Any, pl_module: LightningModule, stage: str) -> None:
        for callback in self.callbacks:
            callback.teardown(trainer, pl_module, stage)
