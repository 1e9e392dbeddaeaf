"""The Trainer: arguments in, runs out. It decides, hands a Session to a loop, and answers questions about it."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from fulgurite import assemble, hardware
from fulgurite.base.compiled import unwrap
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn, warn_once
from fulgurite.base.state import RunningStage, TrainerFn, TrainerState, TrainerStatus
from fulgurite.core.callback import Callback
from fulgurite.core.datamodule import LightningDataModule
from fulgurite.core.module import LightningModule
from fulgurite.loops.evaluate import evaluate
from fulgurite.loops.fit import fit, validation_due
from fulgurite.loops.predict import predict
from fulgurite.loops.step import manual_optimizer_step
from fulgurite.loops.table import results_table
from fulgurite.metrics import Board, Metrics, Moment
from fulgurite.progress import Progress
from fulgurite.runtime import checkpoint as checkpoints
from fulgurite.runtime import lifecycle, profiling, requeue
from fulgurite.runtime.asked import check_kinds
from fulgurite.runtime.data import open_feed, open_train_feed
from fulgurite.runtime.hooks import call
from fulgurite.runtime.optim import LightningOptimizer, clip
from fulgurite.runtime.plan import INFINITE
from fulgurite.runtime.session import Session
from fulgurite.runtime.signals import ended_at_once, noticed_signals, raise_if_asked
from fulgurite.runtime.workers import deaths_wait_for_a_fetch
from fulgurite.trainer_views import TrainerViews


class Trainer(TrainerViews):
    """Runs a `LightningModule`: ``fit``, ``validate``, ``test``, ``predict``.

    All arguments are keyword-only and checked here, before anything runs; any of them can also come from the
    environment as ``PL_TRAINER_<ARGUMENT>``. ``docs/reference/trainer.md`` says what each means. Limits may be changed
    while a run is on and hold from the next decision.
    """

    @assemble.from_environment
    def __init__(
        self,
        *,
        accelerator: Any = "auto",
        strategy: Any = "auto",
        devices: Any = "auto",
        num_nodes: int = 1,
        precision: Any = None,
        logger: Any = None,
        callbacks: Any = None,
        fast_dev_run: bool | int = False,
        max_epochs: int | None = None,
        min_epochs: int | None = None,
        max_steps: int = -1,
        min_steps: int | None = None,
        max_time: Any = None,
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        overfit_batches: int | float = 0.0,
        val_check_interval: Any = None,
        check_val_every_n_epoch: int | None = 1,
        num_sanity_val_steps: int | None = None,
        log_every_n_steps: int | None = None,
        enable_checkpointing: bool | None = None,
        enable_progress_bar: bool | None = None,
        enable_model_summary: bool | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
        deterministic: Any = None,
        benchmark: bool | None = None,
        inference_mode: bool = True,
        use_distributed_sampler: bool = True,
        profiler: Any = None,
        detect_anomaly: bool = False,
        barebones: bool = False,
        plugins: Any = None,
        sync_batchnorm: bool = False,
        reload_dataloaders_every_n_epochs: int = 0,
        default_root_dir: str | os.PathLike[str] | None = None,
        enable_autolog_hparams: bool = True,
        exact_accumulation: bool = False,
        legacy_validation_axis: bool = False,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        check_kinds(given)
        self.state = TrainerState()
        self.should_stop = False
        self.received_sigterm = self.received_sigint = self.ended_as_asked = False
        self.received_requeue, self.received_stop = 0, False
        self.interrupted = False
        self.ckpt_path: str | os.PathLike[str] | None = None
        self.barebones, self.fast_dev_run = barebones, fast_dev_run
        self.enable_progress_bar = enable_progress_bar is not False and not barebones
        self.enable_autolog_hparams = enable_autolog_hparams
        self.default_root_dir = os.path.expanduser(default_root_dir if default_root_dir is not None else os.getcwd())
        self.plan = assemble.plan(given)
        self._unsaid_end = assemble.unsaid_end(given)
        self.accelerator, self.strategy, self.precision_plugin = hardware.hardware(given)
        self.loggers = assemble.loggers(given, self.default_root_dir)
        self.profiler = assemble.profiler(given)
        self.callbacks = assemble.callbacks(given)
        _set_backends(deterministic, benchmark)
        self.progress = Progress()
        self._board = Board()
        self._moment = _closed_moment()
        self._session: Session | None = None
        self._predictions: list[Any] = []
        self.datamodule: LightningDataModule | None = None

    def __getstate__(self) -> dict[str, Any]:
        # What belongs to a run stays here: another process assembles its own.
        return {**self.__dict__, "_session": None, "_moment": _closed_moment(), "_predictions": []}

    def fit(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train ``model`` on its own loaders, the given ones, or a datamodule's; from ``ckpt_path`` on if given.

        ``ckpt_path`` is a path, "last" or "best". ``weights_only=False`` trusts that file to unpickle anything.
        """
        given = (train_dataloaders, val_dataloaders, datamodule, ckpt_path, weights_only)
        self.strategy.launch(self, self._fit, model, *given)

    def _fit(
        self,
        model: Any,
        train_dataloaders: Any,
        val_dataloaders: Any,
        datamodule: Any,
        ckpt_path: Any,
        weights_only: bool | None,
    ) -> None:
        self.should_stop = False
        self._warn_of_unsaid_end()
        given = {"train": train_dataloaders, "val": val_dataloaders}
        with ExitStack() as until_closed, self._calling(TrainerFn.FITTING, RunningStage.TRAINING):
            until_closed.enter_context(requeue.again(self))
            self.progress.begin_fit()
            with ended_at_once(self):
                session = self._open(model, given, datamodule, ckpt_path, weights_only)
            until_closed.enter_context(noticed_signals(self))
            with requeue.saved(session):
                self._run(session)
            lifecycle.finish(session)
        # It came when there was no batch any more to end after: the run is complete, and the program ends.
        self.received_requeue = 0
        raise_if_asked(self)

    def validate(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """Return what ``validation_step`` and the epoch-end hooks logged: one dict for each loader.

        Without a model, the last one is taken with the weights of its best checkpoint.
        """
        given = (model, dataloaders, ckpt_path, verbose, datamodule, weights_only)
        return self.strategy.launch(self, self._evaluate, "val", *given)

    def test(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """Return what ``test_step`` and the epoch-end hooks logged: one dict for each loader."""
        given = (model, dataloaders, ckpt_path, verbose, datamodule, weights_only)
        return self.strategy.launch(self, self._evaluate, "test", *given)

    def predict(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        return_predictions: bool | None = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        weights_only: bool | None = None,
    ) -> list[Any] | None:
        """Return the predictions of all batches, a list for each loader where there are several.

        Several processes predict their shares, and each returns those of all, in the order of the data.
        """
        given = (model, dataloaders, datamodule, return_predictions, ckpt_path, weights_only)
        return self.strategy.launch(self, self._predict, *given)

    def _predict(
        self,
        model: Any,
        dataloaders: Any,
        datamodule: Any,
        return_predictions: bool | None,
        ckpt_path: Any,
        weights_only: bool | None,
    ) -> list[Any] | None:
        with self._calling(TrainerFn.PREDICTING, RunningStage.PREDICTING):
            session = self._open(model, {"predict": dataloaders}, datamodule, ckpt_path, weights_only)
            found = self._run(session, keep=return_predictions is not False)
            lifecycle.finish(session)
            return found

    def save_checkpoint(
        self, filepath: str | os.PathLike[str], weights_only: bool | None = None, storage_options: Any = None
    ) -> None:
        """Write a checkpoint of the current or last run. With ``weights_only`` it cannot be resumed from."""
        if self._session is None and self.lightning_module is not None:
            raise AttributeError(
                "The processes that ran the model have ended, and its optimizers with them: nothing is left to save. "
                "Let `ModelCheckpoint` write files during the run, or use `torch.save(model.state_dict(), path)`."
            )
        if self._session is None:
            raise AttributeError(
                "This Trainer has no model yet, so there is nothing to save. Call `save_checkpoint` after or during "
                "`fit`, `validate`, `test` or `predict`."
            )
        session = self._session

        def save() -> None:
            found = checkpoints.capture(session, bool(weights_only))
            self.strategy.save_checkpoint(found, os.path.expanduser(filepath), storage_options=storage_options)

        session.watched(save, "save_checkpoint")()
        if self.state.status is not TrainerStatus.RUNNING:
            # Nobody comes by later who could be told of a failure.
            self.strategy.checkpoint_io.wait()

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on rank 0."""
        if self.is_global_zero:
            print(*args, **kwargs)

    @contextmanager
    def init_module(self, empty_init: bool | None = None) -> Iterator[None]:
        """Build a model directly on the device and in the precision of this Trainer."""
        with self.strategy.tensor_init_context(empty_init), self.precision_plugin.module_init_context():
            yield

    @property
    def estimated_stepping_batches(self) -> int | float:
        """Optimizer steps that ``fit`` will do; infinite where nothing bounds it. Loads the train data if necessary."""
        plan = self.plan
        if plan.max_epochs == -1:
            return INFINITE if plan.max_steps == -1 else plan.max_steps
        feed = self._session.feeds.get("train") if self._session is not None else None
        if feed is None:
            if self._session is None:
                raise MisconfigurationException(
                    "estimated_stepping_batches is counted on the train data of a model, and there is none yet. Read "
                    "it in `configure_optimizers` or later."
                )
            feed = open_train_feed(self._session)
        if feed.size == INFINITE:
            return INFINITE if plan.max_steps == -1 else plan.max_steps
        steps = -(-feed.size // plan.accumulate_grad_batches) * max(plan.max_epochs, 1)
        return int(min(steps, plan.max_steps) if plan.max_steps != -1 else steps)

    @property
    def validation_follows(self) -> bool:
        """Whether validation comes right after this training batch; a question for ``on_train_batch_end``."""
        return self._session is not None and validation_due(self._session, self.progress.is_last_batch)

    def _warn_of_unsaid_end(self) -> None:
        # Not when it is made: a Trainer that only tests or predicts needs no end.
        if self._unsaid_end and self.plan.max_epochs == 1000:
            rank_zero_warn(
                "Neither max_epochs nor max_steps nor max_time was given: training ends after 1000 epochs. Pass one "
                "of them; max_epochs=-1 has no end."
            )

    def _evaluate(
        self,
        data: str,
        model: Any,
        loaders: Any,
        ckpt_path: Any,
        verbose: bool,
        datamodule: Any,
        weights_only: bool | None,
    ) -> list[dict[str, float]]:
        validates = data == "val"
        fn = TrainerFn.VALIDATING if validates else TrainerFn.TESTING
        with self._calling(fn, RunningStage.VALIDATING if validates else RunningStage.TESTING):
            session = self._open(model, {data: loaders}, datamodule, ckpt_path, weights_only)
            results = self._run(session)
            lifecycle.finish(session)
            if verbose and any(results):
                self.print(results_table(results, str(self.state.fn)))
            return results

    def _run(self, session: Session, keep: bool = True) -> Any:
        """Go through the batches of the verb that was called, and return what it answers; a search does so, too."""
        verb = str(self.state.fn)
        if verb == "fit":
            return self._train(session)
        data, stage = {"validate": ("val", "validation"), "test": ("test", "test")}.get(verb, ("predict", "predict"))
        with self._without_gradients():
            feed = open_feed(session, data, session.given[data])
        if feed is None:
            raise _no_data(session, data, verb)
        session.feeds[data] = feed
        if verb == "predict":
            return predict(session, feed, keep, self._without_gradients())
        if not feed.is_empty:
            return evaluate(session, stage, feed, feed.sizes, self._without_gradients())
        warn_once(f"The {data} dataloader has no batches: nothing to {verb}.")
        return []

    def _train(self, session: Session) -> None:
        with ExitStack() as around:
            # A search before the first batch comes here, too.
            around.enter_context(noticed_signals(self))
            around.enter_context(torch.enable_grad())
            if self.plan.detect_anomaly:
                around.enter_context(torch.autograd.set_detect_anomaly(True))
            fit(session)

    def _open(
        self,
        model: Any,
        given: dict[str, Any],
        datamodule: Any,
        ckpt_path: Any,
        weights_only: bool | None,
        listening: Callable[[], list[Callback]] | None = None,
    ) -> Session:
        """Attach everything to one another and go through the hooks before the first batch.

        ``listening`` names those that hear the run where it is not the trainer's callbacks.
        """
        has_model = model is not None
        module, compile_step = unwrap(model if has_model else self.lightning_module)
        if module is None:
            raise TypeError(
                f"`Trainer.{self.state.fn}()` got no model, and there is none from an earlier call. "
                "Pass a LightningModule."
            )
        if not isinstance(module, LightningModule):
            raise TypeError(
                f"`Trainer.{self.state.fn}()` got a {type(module).__qualname__} as model. Pass a LightningModule, "
                "compiled with torch.compile or not."
            )
        given, datamodule = _sorted_data(given, datamodule)
        session = Session(
            self, module, self.plan, self.progress, self._board, self._moment, self.strategy, self.precision_plugin,
            self.callbacks, self.loggers, datamodule, profiling.measuring(self.profiler), given=given,
        )  # fmt: skip
        if self._session is not None:
            session.take_over(self._session)
        self.ckpt_path = checkpoints.find(self, ckpt_path, has_model)
        self._session, self.datamodule = session, datamodule
        self.strategy.connect(module)
        module.trainer = self
        if datamodule is not None:
            datamodule.trainer = self
        profiling.begin(session)
        if compile_step is not None:
            # The compiler must step over logging: it would try to trace the meters.
            session.shielded = _shield_logs(module)
        self._begin_logging(session)
        brought = call(self._moment, "configure_callbacks", module.configure_callbacks)
        self.callbacks = assemble.with_model_callbacks(self.callbacks, brought)
        session.callbacks = self.callbacks if listening is None else listening()
        lifecycle.verify(session)
        if self.state.fn == "fit":
            lifecycle.warn_of_halves(session)
        lifecycle.begin(session, partial(checkpoints.read, session, weights_only), compile_step)
        return session

    def _begin_logging(self, session: Session) -> None:
        self._moment.hook = None
        self._moment.begin(None)
        self._moment.metrics = session.metrics()

    @contextmanager
    def _calling(self, fn: TrainerFn, stage: RunningStage) -> Iterator[None]:
        """The state of one call. When it fails everybody is told, then the error goes on to the user."""
        self.state = TrainerState(TrainerStatus.RUNNING, fn, stage)
        self.interrupted = self.received_sigterm = self.received_sigint = self.ended_as_asked = False
        self.received_requeue, self.received_stop = 0, False
        earlier = self._session
        with deaths_wait_for_a_fetch():
            try:
                yield
            except BaseException as error:
                self.state.status = TrainerStatus.INTERRUPTED
                self.interrupted = True
                if self._session is not None and self._session is not earlier:
                    lifecycle.fail(self._session, error)
                self.state.stage = None
                raise
        self.state.status, self.state.stage = TrainerStatus.FINISHED, None

    def _without_gradients(self) -> AbstractContextManager[Any]:
        can_infer = self.plan.inference_mode and self.strategy.allows_inference_mode
        return torch.inference_mode() if can_infer else torch.no_grad()

    def _backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """What ``manual_backward`` does: scale, hooks, backward."""
        session = self._session
        assert session is not None
        loss = self.strategy.pre_backward(session.precision.scale(loss))
        if session.hooks.on_before_backward is not None:
            session.hooks.on_before_backward(loss)
        backward = session.watched(session.module.backward, profiling.of_strategy(session, "backward"))
        backward(loss, *args, **kwargs)
        if session.hooks.on_after_backward is not None:
            session.hooks.on_after_backward()

    def _clip(self, optimizer: Any, value: float | None, algorithm: str) -> None:
        if value is not None and value > 0:
            clip(optimizer, value, algorithm, self.precision_plugin)

    @property
    def _lightning_optimizers(self) -> list[LightningOptimizer]:
        session = self._session
        if session is None:
            return []
        if not session.wrappers:
            session.wrappers = [_counted(session, optimizer) for optimizer in session.optimizers]
        return session.wrappers


def _closed_moment() -> Moment:
    """Outside a run there is no hook to log in, and it says so."""
    moment = Moment()
    moment.metrics = Metrics(moment, training=False)
    return moment


def _counted(session: Session, optimizer: Any) -> LightningOptimizer:
    def step(inner: Any, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        return manual_optimizer_step(session, inner, closure, **kwargs)

    return LightningOptimizer(optimizer, on_step=session.watched(step, "optimizer_step"), module=session.module)


def _sorted_data(given: dict[str, Any], datamodule: Any) -> tuple[dict[str, Any], Any]:
    """Tell loaders from a datamodule, which may come in the loaders' place."""
    first = next(iter(given))
    if isinstance(given[first], LightningDataModule):
        if datamodule is not None:
            raise MisconfigurationException("Two datamodules were given. Pass one.")
        return dict.fromkeys(given), given[first]
    if datamodule is not None and any(loaders is not None for loaders in given.values()):
        raise MisconfigurationException("Loaders and a datamodule were both given. Pass one of them.")
    if datamodule is not None and not isinstance(datamodule, LightningDataModule):
        raise TypeError(
            f"datamodule={datamodule!r}: a LightningDataModule was expected, not {type(datamodule).__name__}."
        )
    return given, datamodule


def _no_data(session: Session, stage: str, verb: str) -> MisconfigurationException:
    return MisconfigurationException(
        f"`Trainer.{verb}` has no data: no loaders were passed and there is no `{stage}_dataloader`. Define it on "
        f"{type(session.module).__name__} or on the datamodule, or pass `dataloaders=`."
    )


def _set_backends(deterministic: Any, benchmark: bool | None) -> None:
    if benchmark not in (None, True, False):
        raise ValueError(f"benchmark={benchmark!r}: choose True or False, or leave it out.")
    if deterministic not in (None, True, False, "warn"):
        raise ValueError(f"deterministic={deterministic!r}: choose True, False or 'warn'.")
    if benchmark is None and deterministic:
        benchmark = False
    if benchmark is not None:
        torch.backends.cudnn.benchmark = bool(benchmark)
    if deterministic is None:
        return
    torch.use_deterministic_algorithms(bool(deterministic), warn_only=deterministic == "warn")
    if deterministic:
        # cuBLAS is deterministic only with a fixed workspace, and reads this when it starts.
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"


def _shield_logs(module: LightningModule) -> list[LightningModule]:
    shielded = [each for each in module.modules() if isinstance(each, LightningModule) and "log" not in each.__dict__]
    for each in shielded:
        each.log = torch.compiler.disable(each.log)  # type: ignore[method-assign]
    return shielded
