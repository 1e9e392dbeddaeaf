"""What one run needs, in one place: the loops' only argument."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from fulgurite.core.callback import Callback
from fulgurite.core.logger import Logger
from fulgurite.core.precision import Precision
from fulgurite.core.profiler import Profiler
from fulgurite.core.strategy import Strategy
from fulgurite.metrics import Board, Metrics, Moment, SilentMetrics
from fulgurite.progress import Progress
from fulgurite.runtime.hooks import Hooks
from fulgurite.runtime.optim import LRSchedulerConfig
from fulgurite.runtime.plan import Plan
from fulgurite.runtime.profiling import waiting
from fulgurite.runtime.rank_metrics import RankMetrics

if TYPE_CHECKING:
    from fulgurite.core.datamodule import LightningDataModule
    from fulgurite.core.module import LightningModule
    from fulgurite.runtime.data import Feed, Waits
    from fulgurite.runtime.watch import Watch


@dataclass(slots=True)
class Session:
    """The references of one ``fit``, ``validate``, ``test`` or ``predict``. Owns nothing that outlives the run."""

    trainer: Any
    module: "LightningModule"
    plan: Plan
    progress: Progress
    board: Board
    moment: Moment
    strategy: Strategy
    precision: Precision
    callbacks: list[Callback]
    loggers: list[Logger]
    datamodule: "LightningDataModule | None" = None
    profiler: Profiler | None = None
    hooks: Hooks = None  # type: ignore[assignment]  # set as soon as setup hooks have run
    steps: dict[str, Callable[..., Any]] = field(default_factory=dict)
    """``training_step`` and its siblings as the strategy bound them."""
    optimizers: list[torch.optim.Optimizer] = field(default_factory=list)
    schedulers: list[LRSchedulerConfig] = field(default_factory=list)
    wrappers: list[Any] = field(default_factory=list)
    """The optimizers as `self.optimizers()` gives them."""
    feeds: dict[str, "Feed"] = field(default_factory=dict)
    """By stage: "train", "val", "test", "predict"."""
    given: dict[str, Any] = field(default_factory=dict)
    """Loaders passed to the Trainer's method, by stage."""
    stored_feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How the loaders were fetched in the run that goes on, by stage, until they are fetched here."""
    restart: Any = None
    """What else a checkpoint brought (`runtime.exact.Restart`), until the first epoch has begun."""
    val_check_batch: int | float = float("inf")
    """A validation follows every so many batches; infinite where only the epoch's end tells."""
    train_metrics: Metrics | None = None
    batch_indices: list[int] = field(default_factory=list)
    """The rows of the data set that the batch to predict was made of, where a callback asks for them."""
    before_validation: dict[str, Any] | None = None
    """The random states as a validation inside training began: one that is broken off is done again from its start."""
    eval_rows: dict[int, int] = field(default_factory=dict)
    """Validation and test batches logged so far, by loader: the batch axis of their step rows."""
    validated_at: float = 0.0
    """When the last validation ended, on the monotonic clock."""
    timed: tuple[int, bool] = (-1, False)
    """The last batch after which the clock was asked whether a validation is due, and its answer."""
    step: Any = None
    """The shape of the training step, once it is chosen."""
    exhausted: bool = False
    """Whether the train data ended for good."""
    resumed: bool = False
    """Whether the first epoch goes on where a checkpoint left it."""
    unmeasured: bool = False
    """Whether the checkpoint did not say what had been logged (Lightning's do not)."""
    torn_down: bool = False
    """Whether the ``teardown`` hooks were called."""
    shielded: list[Any] = field(default_factory=list)
    """Modules whose ``log`` the compiler must step over."""
    watch: "Watch | None" = None
    """What ends a wait for a batch that lasts too long, where a callback asks for it."""
    closed_loggers: list[Logger] = field(default_factory=list)
    """Those that were finalized, well or not."""

    @property
    def device(self) -> torch.device:
        return self.strategy.root_device

    @property
    def waits(self) -> "Waits | None":
        """What surrounds each wait for a batch; None where nobody measures or bounds it."""
        profiler, watch = self.profiler, self.watch
        if watch is None:
            return None if profiler is None else partial(waiting, profiler)
        if profiler is None:
            return watch.around
        return lambda begin, stage: watch.around(partial(waiting, profiler, begin, stage), stage)

    def watched(self, function: Callable[..., Any], action: str) -> Callable[..., Any]:
        """Return ``function``, measured under the name ``action`` where the run has a profiler."""
        return function if self.profiler is None else self.profiler.watched(function, action)

    def take_over(self, earlier: "Session") -> None:
        """Keep what the run before left to look at and to save: a test must not cost the optimizers of a fit."""
        self.feeds = {stage: feed for stage, feed in earlier.feeds.items() if stage not in self.given}
        for feed in self.feeds.values():
            feed.at, feed.is_fetching = None, False
        if earlier.module is self.module:
            self.optimizers, self.schedulers = earlier.optimizers, earlier.schedulers

    def metrics(self, training: bool = False) -> Metrics:
        """Open the measurements of a stage."""
        has_logger = bool(self.loggers)
        if self.strategy.world_size > 1 and not self.plan.barebones:
            opened: Metrics = RankMetrics(self.moment, training, has_logger, self.strategy, self.module)
        else:
            kind = SilentMetrics if self.plan.barebones else Metrics
            opened = kind(self.moment, training, has_logger)
        opened.attribute_of = self.module._metric_attribute
        return opened
