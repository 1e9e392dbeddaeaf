"""Where batches come from: the user's loaders, what is taken of them, and the way to the device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import warn_once
from fulgurite.base.seed import (
    collect_rng_states,
    isolate_rng,
    packed_rng_states,
    set_rng_states,
    unpacked_rng_states,
)
from fulgurite.base.tree import move_data_to_device
from fulgurite.core.hooks import DataHooks
from fulgurite.progress import Progress
from fulgurite.runtime.combined import CombinedLoader
from fulgurite.runtime.hooks import call, overrides
from fulgurite.runtime.loaders import (
    advise_workers,
    check_iterable,
    length_of,
    limit,
    put_back,
    seed_workers,
    states_of,
    without_shuffling,
)
from fulgurite.runtime.parts import part
from fulgurite.runtime.plan import INFINITE, Plan
from fulgurite.runtime.profiling import action_of, of_strategy
from fulgurite.runtime.reading import (
    Mark,
    Place,
    Reader,
    generator_states,
    has_workers,
    set_generators,
    sizes_of,
    tell_what_has_changed,
    tell_what_is_inexact,
    with_workers_of_before,
)
from fulgurite.runtime.shards import most_batches, shared_out
from fulgurite.runtime.workers import deaths, end, has_processes

if TYPE_CHECKING:
    from fulgurite.runtime.session import Session

Waits = Callable[[Callable[[], Iterator[Any]], str], Iterator[Any]]
"""What surrounds each wait for a batch, given the way to begin the pass and its stage."""

_END = object()


@dataclass(slots=True)
class Feed:
    """The data of one stage."""

    stage: str
    structure: Any
    """What the user gave or returned, with shuffling taken out where ``overfit_batches`` asks for it."""
    loaders: list[Any]
    sizes: list[int | float] = field(default_factory=list)
    """Batches taken of each loader, infinite where only the end tells; for training one number."""
    most: list[int | float] = field(default_factory=list)
    """The same on the rank that has the most of them."""
    limit: int | float = 1.0
    """What ``sizes`` were counted with."""
    loaded_at_epoch: int = 0
    loaded_with: dict[str, Any] | None = None
    """The random states as the loaders were asked for; None where they were given."""
    readers: list[Reader] = field(default_factory=list)
    """For training: through these the loaders are read."""
    marks: dict[int, Mark] = field(default_factory=dict)
    """Where the loaders stood before the batch of that number was fetched; only where what follows can't tell."""
    workers_of_before: list[bool] = field(default_factory=list)
    """For each loader whether the run that this one goes on from had its workers already."""
    at: tuple[int, int] | None = None
    """Loader and number of the last batch that was given, or that could not be: see ``is_fetching``."""
    is_fetching: bool = False
    """Whether it was an error that ended the last wait for a batch."""
    passes: WeakKeyDictionary[Any, int] = field(default_factory=WeakKeyDictionary)
    """The passes that worker processes read for, with the loader's number."""

    @property
    def combined(self) -> bool:
        """Whether one batch holds a part from each of several loaders."""
        return isinstance(self.structure, CombinedLoader) and self.structure.mode != "sequential"

    @property
    def size(self) -> int | float:
        return sum(self.sizes)

    @property
    def is_empty(self) -> bool:
        """Whether no rank has a batch."""
        return not sum(self.most)

    @property
    def several(self) -> bool:
        """Whether hooks and names tell loaders apart."""
        return len(self.sizes) > 1

    def begun(self, index: int, batches: Iterator[Any]) -> Iterator[Any]:
        """Note a pass over the loader of that number, for whoever must end its workers."""
        if has_processes(batches):
            self.passes[batches] = index
        return batches

    def failed(self, index: int, number: int) -> None:
        """Note which batch could not be fetched."""
        self.at, self.is_fetching = (index, number), True

    def hangs(self, progress: Progress) -> None:
        """Note that the batch does not come which is waited for right now."""
        index, number = self.at or (0, -1)
        self.failed(index, progress.batches_ready if self.stage == "train" else number + 1)


def open_feed(session: "Session", stage: str, given: Any) -> Feed | None:
    """Fetch the loaders of ``stage`` ("train", "val", "test", "predict") and count what will be taken of them.

    ``given`` are the loaders passed to the Trainer's method; without them the datamodule or the module is asked.
    None where a validation has no loader. Raises ``TypeError`` for what cannot be iterated.
    """
    stored = session.stored_feeds.pop(stage, None)
    structure, loaded_with = (given, None) if given is not None else _asked_as_before(session, stage, stored)
    if structure is None or (stage != "train" and isinstance(structure, list | tuple) and not structure):
        return None
    structure = _prepared(session, stage, structure)
    loaders = structure.flattened if isinstance(structure, CombinedLoader) else [structure]
    feed = Feed(stage, structure, loaders, loaded_at_epoch=session.progress.epoch, loaded_with=loaded_with)
    if stored is not None:
        feed.loaded_at_epoch = stored.get("loaded_at_epoch", feed.loaded_at_epoch)
        feed.workers_of_before = list(stored.get("workers", ()))
        with part(session, f"fulgurite/feeds/{stage}/generators"):
            for loader, states in zip(loaders, stored.get("generators", ()), strict=False):
                set_generators(loader, states)
    count(session, feed)
    if stage == "train":
        counts = feed.combined or feed.size == INFINITE
        had_workers = [*feed.workers_of_before, *[False] * len(loaders)]
        feed.readers = [
            Reader(loader, counts, had, partial(feed.begun, index))
            for index, (loader, had) in enumerate(zip(loaders, had_workers, strict=False))
        ]
    return feed


def _asked_as_before(session: "Session", stage: str, stored: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """The loaders that the hook gives, and the random states it began with: those of the run that goes on here."""
    if stored is None or stored.get("loaded_with") is None:
        states = collect_rng_states()
        return _ask(session, stage), states
    states = unpacked_rng_states(stored["loaded_with"])
    with isolate_rng():
        set_rng_states(states)
        return _ask(session, stage), states


def reopen(session: "Session", feed: Feed) -> None:
    """Fetch the loaders of an open feed again: whoever holds it reads the new ones."""
    fresh = open_feed(session, feed.stage, session.given.get(feed.stage))
    if fresh is not None:
        _end_workers(feed, but=fresh)
        for name in feed.__slots__:
            setattr(feed, name, getattr(fresh, name))


def _end_workers(feed: Feed, but: Feed) -> None:
    """End the workers of loaders that nobody reads any more, since ``but`` has taken the feed's place."""
    read = set(map(id, but.loaders))
    left = [batches for batches, index in feed.passes.items() if id(feed.loaders[index]) not in read]
    end(feed.loaders, left, hidden_too=False)


def open_train_feed(session: "Session") -> Feed:
    """Return the training data: fetched once, and again as often as ``reload_dataloaders_every_n_epochs`` says."""
    feed = _current(session, "train")
    if feed is None:
        raise _missing(session, "train")
    plan = session.plan
    validates = plan.limit_val_batches != 0 and "validation_step" in session.steps and has_loader(session, "val")
    session.val_check_batch = _val_check_batch(plan, feed.size) if validates else INFINITE
    if session.loggers and not plan.fast_dev_run and plan.log_every_n_steps > feed.size / plan.accumulate_grad_batches:
        warn_once(
            f"An epoch has {feed.size} training batches, and log_every_n_steps={plan.log_every_n_steps}: some epochs "
            "write no row of their steps. Set a lower log_every_n_steps in the Trainer to see more."
        )
    return feed


def open_val_feed(session: "Session") -> Feed | None:
    """Return the validation data, or None where there is none or nothing to do with it."""
    if "validation_step" not in session.steps or session.plan.limit_val_batches == 0:
        return None
    return _current(session, "val")


def has_loader(session: "Session", stage: str) -> bool:
    """Whether somebody gives or defines loaders for ``stage``; asks nobody for them."""
    sources = (session.datamodule, session.module)
    defined = any(source is not None and overrides(source, f"{stage}_dataloader", DataHooks) for source in sources)
    return defined or session.given.get(stage) is not None


def _current(session: "Session", stage: str) -> Feed | None:
    feed = session.feeds.get(stage)
    if feed is None or session.plan.reloads(session.progress.epoch - feed.loaded_at_epoch):
        before, feed = feed, open_feed(session, stage, session.given.get(stage))
        if feed is not None:
            session.feeds[stage] = feed
            if before is not None:
                _end_workers(before, but=feed)
    elif feed.limit is not session.plan.limit_of(stage):
        # Not `!=`: one batch and the whole, 1 and 1.0, are equal as numbers.
        count(session, feed)
    return feed


def training_batches(feed: Feed, waits: Waits | None = None) -> Iterator[tuple[Any, bool]]:
    """Begin an epoch: (batch, whether it is the epoch's last), one by one.

    Looks one batch ahead only where the length is unknown.
    """
    for reader in feed.readers:
        reader.place = Place(passes=0)
    return _training_batches(feed, 0, waits)


def _training_batches(feed: Feed, consumed: int, waits: Waits | None) -> Iterator[tuple[Any, bool]]:
    feed.at, feed.is_fetching = (0, consumed), False
    try:
        batches = _each(feed) if waits is None else waits(partial(_each, feed), feed.stage)
        if feed.size == INFINITE:
            return _looking_ahead(feed, batches, consumed)
    except Exception:
        feed.failed(0, consumed)
        raise
    return _up_to_size(feed, batches, consumed)


def _up_to_size(feed: Feed, batches: Iterator[Any], consumed: int) -> Iterator[tuple[Any, bool]]:
    size, count = feed.size, consumed
    if count >= size:
        return
    marked = feed.combined
    feed.marks = {count: Mark.of(feed.readers)} if marked else {}
    try:
        for count, batch in enumerate(batches, start=consumed + 1):
            yield batch, count >= size
            if count >= size:
                return
            if marked:
                feed.marks = {count: Mark.of(feed.readers)}
            if deaths:
                raise deaths[0]
    except Exception:
        # What the taker of a batch raises does not come by here.
        feed.failed(0, count)
        raise
    if count < size:
        warn_once(
            f"The train dataloader ended after {count} batches, but {size} were announced: what happens at the last "
            f"batch "
            "(validation, the end of an accumulation window) was left out. Correct its length, or limit_train_batches."
        )


def standing(feed: Feed, progress: Progress) -> dict[str, Any]:
    """Where the feed stands, as plain data: what `go_to` and `open_feed` need to come back there."""
    mark = feed.marks.get(progress.batches_processed) or Mark.of(feed.readers)
    for place in mark.places:
        if feed.size != INFINITE and not feed.combined:
            place.count = progress.batches_processed
    return {
        "loaded_at_epoch": feed.loaded_at_epoch,
        "loaded_with": None if feed.loaded_with is None else packed_rng_states(feed.loaded_with),
        "workers": [has_workers(loader) for loader in feed.loaders],
        "generators": [generator_states(loader) for loader in feed.loaders],
        "sizes": [sizes_of(loader) for loader in feed.loaders],
        "places": [place.packed() for place in mark.places],
        "fetched_with": None if mark.random is None else packed_rng_states(mark.random),
    }


def loader_states(feed: Feed, progress: Progress) -> list[Any]:
    """The states of those train loaders that keep one, as of the last batch that was trained on."""
    mark = feed.marks.get(progress.batches_processed)
    return mark.states if mark is not None and mark.states else states_of(feed.loaders)


def go_to(
    feed: Feed,
    stored: dict[str, Any] | None,
    states: list[Any],
    consumed: int,
    waits: Waits | None = None,
) -> Iterator[tuple[Any, bool]]:
    """Return the train batches behind the first ``consumed``, one or more. The random states are other ones afterwards.

    ``stored`` is the feed's `standing`; without one a shuffled order is drawn anew. ``states`` are those of loaders
    that keep one: they know themselves where they were.
    """
    begun = consumed < feed.size
    if stored is not None and "sizes" in stored:
        tell_what_has_changed(feed.loaders, stored["sizes"], consumed)
    places = [Place(consumed, before=collect_rng_states()) for _ in feed.readers]
    if stored is not None and len(stored.get("places", ())) == len(feed.readers):
        places = [Place.unpacked(place) for place in stored["places"]]
    positioned = set(map(id, put_back(feed.loaders, states, goes_on=begun))) if states else set()
    try:
        for reader, place in zip(feed.readers, places, strict=True):
            if id(reader.loader) in positioned:
                reader.place = replace(place, passes=place.passes - 1)
            elif place.passes:
                tell_what_is_inexact(reader.loader, place)
                reader.resume(place)
    except Exception:
        feed.failed(0, consumed)
        raise
    if stored is not None and stored.get("fetched_with") is not None:
        set_rng_states(unpacked_rng_states(stored["fetched_with"]))
    if not begun:
        for reader in feed.readers:
            reader.leave()
        return iter(())
    return _training_batches(feed, consumed, waits)


def evaluation_batches(
    feed: Feed, at_most: list[int | float], waits: Waits | None = None
) -> Iterator[tuple[Any, int, int]]:
    """Yield (batch, batch_idx, dataloader_idx), loader after loader."""

    def waited(begin: Callable[[], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
        return begin if waits is None else partial(waits, begin, feed.stage)

    feed.at, feed.is_fetching = None, False
    if feed.combined:
        yield from _counted(feed, waited(partial(_together, feed)), at_most[0], 0)
        return
    for index, loader in enumerate(feed.loaders):
        if at_most[index] > 0:
            yield from _counted(feed, waited(partial(_begun, feed, index, loader)), at_most[index], index)


def _together(feed: Feed) -> Iterator[Any]:
    readers = [Reader(loader, begun=partial(feed.begun, index)) for index, loader in enumerate(feed.loaders)]
    return _through(feed.structure, readers)


def _begun(feed: Feed, index: int, loader: Any) -> Iterator[Any]:
    if index < len(feed.workers_of_before) and feed.workers_of_before[index] and not has_workers(loader):
        feed.workers_of_before[index] = False
        return feed.begun(index, with_workers_of_before(loader))
    return feed.begun(index, iter(loader))


def transfer(session: "Session") -> Callable[[Any, int], Any] | None:
    """Return the way of a batch to the device, or None where nothing is to be done."""
    moment, precision = session.moment, session.precision
    before = _owner(session, "on_before_batch_transfer")
    move = _owner(session, "transfer_batch_to_device")
    after = _owner(session, "on_after_batch_transfer")
    device = session.device
    convert = precision.convert_input if precision.converts_input else None
    if not (before or move or after or convert or device.type != "cpu"):
        return None
    if session.profiler is not None:
        before, move, after = (
            hook and session.profiler.watched(hook, action_of(hook, name))
            for hook, name in (
                (before, "on_before_batch_transfer"),
                (move, "transfer_batch_to_device"),
                (after, "on_after_batch_transfer"),
            )
        )

    def transferred(batch: Any, dataloader_idx: int) -> Any:
        outer = moment.hook
        if convert is not None:
            batch = convert(batch)
        if before is not None:
            moment.hook = "on_before_batch_transfer"
            batch = before(batch, dataloader_idx)
        if move is not None:
            moment.hook = "transfer_batch_to_device"
            batch = move(batch, device, dataloader_idx)
        elif device.type != "cpu":
            batch = move_data_to_device(batch, device)
        if after is not None:
            moment.hook = "on_after_batch_transfer"
            batch = after(batch, dataloader_idx)
        moment.hook = outer
        return batch

    return session.watched(transferred, of_strategy(session, "batch_to_device"))


def _owner(session: "Session", hook: str) -> Callable[..., Any] | None:
    for source in (session.datamodule, session.module):
        if source is not None and overrides(source, hook, DataHooks):
            return getattr(source, hook)
    return None


def _ask(session: "Session", stage: str) -> Any:
    hook = f"{stage}_dataloader"
    for source in (session.datamodule, session.module):
        if source is not None and overrides(source, hook, DataHooks):
            return call(session.moment, hook, getattr(source, hook))
    return None


def _prepared(session: "Session", stage: str, structure: Any) -> Any:
    overfits = session.plan.overfit_batches and stage in ("train", "val")
    if isinstance(structure, list | tuple | dict):
        mode = "max_size_cycle" if stage == "train" else "sequential"
        structure = CombinedLoader(structure, mode)
    if isinstance(structure, CombinedLoader):
        if stage == "train" and structure.mode == "sequential":
            raise ValueError(
                "mode='sequential' of CombinedLoader cannot be used for training: it knows no end of a step."
            )
        structure.flattened = [_single(session, loader, stage, overfits) for loader in structure.flattened]
        return structure
    return _single(session, structure, stage, overfits)


def _single(session: "Session", loader: Any, stage: str, overfits: Any) -> Any:
    check_iterable(loader, f"given for or returned from `{stage}_dataloader`")
    loader = without_shuffling(loader) if overfits else loader
    seed_workers(loader)
    advise_workers(loader, f"{stage}_dataloader")
    rank, world, seed = session.strategy.data_rank, session.strategy.data_world_size, session.strategy.data_seed
    if world > 1 and seed is not None and session.plan.use_distributed_sampler:
        loader = shared_out(loader, rank, world, seed, even=stage == "train")
    return loader


def count(session: "Session", feed: Feed) -> None:
    """Find how many batches of each loader the limit of the moment leaves."""
    overfits = session.plan.overfit_batches and feed.stage in ("train", "val")
    name = "overfit_batches" if overfits else f"limit_{feed.stage}_batches"
    feed.limit = session.plan.limit_of(feed.stage)
    together = feed.stage == "train" or feed.combined
    lengths = [_combined_length(feed)] if together else [length_of(loader) for loader in feed.loaders]
    # The rank with the most batches decides what a share of them is; another may have fewer.
    most = lengths if together else list(map(most_batches, feed.loaders, lengths))
    feed.most = [limit(length, feed.limit, name) for length in most]
    feed.sizes = list(map(min, lengths, feed.most))


def _combined_length(feed: Feed) -> int | float:
    if not isinstance(feed.structure, CombinedLoader):
        return length_of(feed.structure)
    lengths = [length_of(loader) for loader in feed.loaders]
    return min(lengths) if feed.structure.mode == "min_size" else max(lengths)


def _each(feed: Feed) -> Iterator[Any]:
    if not isinstance(feed.structure, CombinedLoader):
        return iter(feed.readers[0])
    return _through(feed.structure, feed.readers)


def _through(structure: CombinedLoader, readers: list[Reader]) -> Iterator[Any]:
    if type(structure).__iter__ is CombinedLoader.__iter__:
        return structure.through(readers)
    return (batch for batch, _, _ in structure)


def _looking_ahead(feed: Feed, batches: Iterator[Any], consumed: int) -> Iterator[tuple[Any, bool]]:
    feed.marks = {consumed: Mark.of(feed.readers, ahead=True)}
    return _with_next(feed, batches, next(batches, _END), consumed)


def _with_next(feed: Feed, batches: Iterator[Any], held: Any, count: int) -> Iterator[tuple[Any, bool]]:
    while held is not _END:
        count += 1
        feed.marks = {count - 1: feed.marks[count - 1], count: Mark.of(feed.readers, ahead=True)}
        try:
            if deaths:
                raise deaths[0]
            following = next(batches, _END)
        except Exception:
            feed.failed(0, count)
            raise
        yield held, following is _END
        held = following


def _counted(
    feed: Feed, begin: Callable[[], Iterator[Any]], at_most: int | float, index: int
) -> Iterator[tuple[Any, int, int]]:
    count = -1
    feed.at = (index, count)
    try:
        for count, batch in enumerate(begin()):
            feed.at = (index, count)
            yield batch, count, index
            if count + 1 >= at_most:
                return
            if deaths:
                raise deaths[0]
    except Exception:
        feed.failed(index, count + 1)
        raise


def _val_check_batch(plan: Plan, size: int | float) -> int | float:
    every = plan.val_check_interval
    if isinstance(every, int):
        if every > size and plan.check_val_every_n_epoch is not None:
            raise ValueError(
                f"val_check_interval={every} is more than the {size} training batches of an epoch. To count across "
                f"epochs "
                "set check_val_every_n_epoch=None."
            )
        return every
    if size == INFINITE:
        if every != 1.0:
            raise MisconfigurationException(
                f"val_check_interval={every} is a share of the epoch, but the train dataloader has no length. "
                "Pass an int: a number of batches."
            )
        return INFINITE
    return max(1, int(size * every))


def _missing(session: "Session", stage: str) -> MisconfigurationException:
    hook = f"{stage}_dataloader"
    return MisconfigurationException(
        f"There is no data to train on: no `{hook}` and no loaders. Define `{hook}` on "
        f"{type(session.module).__name__} or on "
        "the datamodule, or pass the loaders to the Trainer's method."
    )
