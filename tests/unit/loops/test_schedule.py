"""When a run steps, validates and writes rows, against a small model of the rules written here on its own."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fulgurite import Callback, Trainer
from fulgurite.testing import QUIET, TinyModule, batches
from support.observed import Noted

pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass(frozen=True)
class Run:
    """The arguments of one run; ``sized`` says whether the train loader has a length."""

    number: int = 4
    limit: int | float = 1.0
    accumulate: int = 1
    max_epochs: int = 1
    max_steps: int = -1
    interval: int | float = 1.0
    every_n_epochs: int | None = 1
    log_every: int = 1
    sized: bool = True

    def arguments(self):
        return {
            "limit_train_batches": self.limit, "accumulate_grad_batches": self.accumulate,
            "max_epochs": self.max_epochs, "max_steps": self.max_steps, "val_check_interval": self.interval,
            "check_val_every_n_epoch": self.every_n_epochs, "log_every_n_steps": self.log_every,
        }  # fmt: skip


@dataclass
class Story:
    """What happened: batches as (epoch, batch_idx), the batches whose window closed, rows by step."""

    trained: list = field(default_factory=list)
    steps: int = 0
    validated_after: list = field(default_factory=list)
    step_rows: list = field(default_factory=list)
    val_rows: list = field(default_factory=list)
    epoch_rows: list = field(default_factory=list)
    epochs: int = 0


def expected(run: Run) -> Story:
    """The rules in plain words of Python: nothing here knows how the package does it."""
    story = Story()
    size = min(run.number, run.limit) if isinstance(run.limit, int) else int(run.number * run.limit)
    if size == 0 or run.max_epochs == 0 or run.max_steps == 0:
        return story
    every = run.interval if isinstance(run.interval, int) else max(1, int(size * run.interval))
    if not run.sized and isinstance(run.limit, float) and run.interval == 1.0 and isinstance(run.interval, float):
        every = None
    total = 0
    while story.epochs != run.max_epochs and story.steps != run.max_steps:
        for index in range(size):
            last = index == size - 1
            story.trained.append((story.epochs, index))
            total += 1
            closes = last or (index + 1) % run.accumulate == 0
            story.steps += closes
            if closes and run.log_every and story.steps % run.log_every == 0:
                story.step_rows.append(story.steps - 1)
            in_epoch = run.every_n_epochs is None or (story.epochs + 1) % run.every_n_epochs == 0
            count = total if run.every_n_epochs is None else index + 1
            if in_epoch and (last if every is None else count % every == 0):
                story.validated_after.append((story.epochs, index))
                # A row belongs to the window that is open or has just been closed.
                story.val_rows.append(story.steps - closes)
            if story.steps == run.max_steps:
                break
        story.epoch_rows.append(story.steps - 1)
        story.epochs += 1
    return story


class Watcher(Callback):
    def __init__(self):
        self.story = Story()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.story.trained.append((trainer.current_epoch, batch_idx))

    def on_validation_start(self, trainer, pl_module):
        self.story.validated_after.append(self.story.trained[-1])


class Logs(TinyModule):
    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss


class Stream(torch.utils.data.IterableDataset):
    """The same batches without a length."""

    def __init__(self, number):
        self.items = list(batches(number))

    def __iter__(self):
        return iter(self.items)


def observed(run: Run) -> Story:
    watcher, logger = Watcher(), Noted()
    trainer = Trainer(callbacks=watcher, num_sanity_val_steps=0, **{**QUIET, "logger": logger}, **run.arguments())
    train = batches(run.number) if run.sized else torch.utils.data.DataLoader(Stream(run.number), batch_size=None)
    trainer.fit(Logs(), train, batches(1))
    story = watcher.story
    story.steps, story.epochs = trainer.global_step, trainer.current_epoch
    for name, rows in (("loss_step", story.step_rows), ("val_loss", story.val_rows), ("loss_epoch", story.epoch_rows)):
        rows.extend(step for step, _ in logger.values(name))
    assert trainer.batches_that_stepped == trainer.global_step
    assert [row["epoch"] for _, row in logger.rows if "loss_epoch" in row] == list(range(story.epochs))
    return story


runs = st.builds(
    Run,
    number=st.integers(1, 7),
    limit=st.one_of(st.just(1.0), st.integers(0, 8), st.sampled_from([0.25, 0.5, 0.8])),
    accumulate=st.integers(1, 5),
    max_epochs=st.integers(0, 4),
    max_steps=st.one_of(st.just(-1), st.integers(0, 12)),
    interval=st.one_of(st.just(1.0), st.sampled_from([0.0, 0.2, 0.5, 0.75]), st.integers(1, 9)),
    every_n_epochs=st.one_of(st.none(), st.integers(1, 3)),
    log_every=st.integers(0, 4),
    sized=st.booleans(),
)


def possible(run: Run) -> bool:
    """Whether the Trainer takes these together; what it refuses is tested elsewhere."""
    counts_across = run.every_n_epochs is None
    if counts_across and isinstance(run.interval, float):
        return False
    if isinstance(run.limit, float) and run.number * run.limit < 1:
        return False
    size = min(run.number, run.limit) if isinstance(run.limit, int) else run.number * run.limit
    if not run.sized:
        # A stream has no shares; and one that ends before its limit is never known to end, as in Lightning.
        if isinstance(run.limit, float) and run.limit != 1.0 or isinstance(run.limit, int) and run.limit > run.number:
            return False
        size = run.limit if isinstance(run.limit, int) else math.inf
        if isinstance(run.interval, float) and run.interval != 1.0 and size == math.inf:
            return False
    return not (isinstance(run.interval, int) and not counts_across and run.interval > size)


@settings(max_examples=250)
@given(runs)
def test_steps_validations_and_rows(run):
    """Every batch trained, every validation, every row's step, for any mix of limits, windows and intervals."""
    assume(possible(run))

    assert observed(run) == expected(run)


@settings(max_examples=60)
@given(
    number=st.integers(1, 6), accumulate=st.integers(1, 4), max_epochs=st.integers(1, 3),
    clip=st.sampled_from([None, ("norm", 0.05), ("norm", 10.0), ("value", 0.01)]),
    adam=st.booleans(), lr=st.sampled_from([0.5, 0.01]),
)  # fmt: skip
def test_weights_are_those_of_the_loop_written_by_hand(number, accumulate, max_epochs, clip, adam, lr):
    """Bit for bit on the CPU: the loss divided by the window, clipped, stepped, cleared."""

    class Chosen(TinyModule):
        def configure_optimizers(self):
            return (torch.optim.Adam if adam else torch.optim.SGD)(self.parameters(), lr=lr)

    algorithm, value = clip or (None, None)
    model, hand = Chosen(), Chosen()
    arguments = {"gradient_clip_val": value, "gradient_clip_algorithm": algorithm}
    Trainer(max_epochs=max_epochs, accumulate_grad_batches=accumulate, **arguments, **QUIET).fit(model, batches(number))

    optimizer = hand.configure_optimizers()
    for _ in range(max_epochs):
        for index, batch in enumerate(batches(number)):
            (hand.loss(batch) / accumulate).backward()
            if (index + 1) % accumulate == 0 or index + 1 == number:
                if algorithm == "norm":
                    torch.nn.utils.clip_grad_norm_(hand.parameters(), value)
                if algorithm == "value":
                    torch.nn.utils.clip_grad_value_(hand.parameters(), value)
                optimizer.step()
                optimizer.zero_grad()

    assert torch.equal(model.layer.weight, hand.layer.weight) and torch.equal(model.layer.bias, hand.layer.bias)


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    limit=st.one_of(st.just(1.0), st.integers(0, 6), st.just(0.5)),
    verb=st.sampled_from(["validate", "test", "predict"]),
)
def test_limits_of_evaluation_hold_for_each_loader(sizes, limit, verb):
    """Each loader gives its share, in order, with its own batch indices."""
    assume(limit != 0.5 or all(size != 1 for size in sizes))
    seen = []

    class Sees(TinyModule):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            seen.append((dataloader_idx, batch_idx))

        test_step = predict_step = validation_step

    stage = {"validate": "val"}.get(verb, verb)
    trainer = Trainer(**QUIET, max_epochs=1, **{f"limit_{stage}_batches": limit})
    loaders = [torch.utils.data.DataLoader([torch.ones(4)] * size, batch_size=1) for size in sizes]
    getattr(trainer, verb)(Sees(), loaders)

    taken = [min(size, limit) if isinstance(limit, int) else int(size * limit) for size in sizes]
    assert seen == [(loader, index) for loader, count in enumerate(taken) for index in range(count)]


@settings(max_examples=60)
@given(
    stop_at=st.integers(0, 9), min_epochs=st.integers(0, 3), min_steps=st.integers(0, 9), max_epochs=st.integers(1, 4),
    accumulate=st.integers(1, 3),
)  # fmt: skip
def test_a_wish_to_stop_waits_for_the_minimum(stop_at, min_epochs, min_steps, max_epochs, accumulate):
    """The run ends at the first batch after the wish at which both minima are reached, or at its own end."""
    number = 3

    class Stops(Callback):
        seen = 0

        def on_train_batch_end(self, trainer, *_):
            if self.seen == stop_at:
                trainer.should_stop = True
            self.seen += 1

    trainer = Trainer(
        callbacks=(callback := Stops()), min_epochs=min_epochs, min_steps=min_steps, max_epochs=max_epochs,
        accumulate_grad_batches=accumulate, **QUIET,
    )  # fmt: skip
    trainer.fit(TinyModule(), batches(number))

    # Minimum of steps without one of epochs means at least one epoch, as in Lightning only where it was left out.
    batch = steps = epoch = 0
    while epoch < max_epochs:
        for index in range(number):
            steps += index == number - 1 or (index + 1) % accumulate == 0
            batch += 1
            if batch > stop_at and epoch >= min_epochs and steps >= min_steps:
                break
        epoch += 1
        if batch > stop_at and epoch >= min_epochs and steps >= min_steps:
            break
    assert (callback.seen, trainer.global_step, trainer.current_epoch) == (batch, steps, epoch)
