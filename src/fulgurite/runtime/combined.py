"""Several loaders read as one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from fulgurite.runtime.loaders import length_of, put_back, states_of

Item = tuple[Any, int, int]


class CombinedLoader(Iterable[Item]):
    """Iterates over any nesting of loaders; yields ``(batch, batch_idx, dataloader_idx)``.

    ``mode`` says what happens when the first loader ends:

    - ``"min_size"``: the iteration ends too.
    - ``"max_size_cycle"``: it starts anew, until the longest has ended.
    - ``"max_size"``: it gives None, until the longest has ended.
    - ``"sequential"``: one loader after the other, each batch by itself; ``batch_idx`` restarts with each loader.

    In the first three modes a batch has the nesting of ``iterables``. ``limits`` cuts each loader.
    """

    def __init__(self, iterables: Any, mode: str = "min_size") -> None:
        if mode not in _MODES:
            raise ValueError(f"CombinedLoader got mode={mode!r}; choose one of {', '.join(map(repr, _MODES))}.")
        self._mode = mode
        self._iterables = iterables
        self._flattened: list[Any] = []
        self._nesting = _number_leaves(iterables, self._flattened)
        self._limits: list[int | float] | None = None
        self._iterator: Iterator[Item] | None = None

    @property
    def mode(self) -> str:
        return self._mode

    @property
    def iterables(self) -> Any:
        """The loaders, nested as they were given."""
        return self._iterables

    @property
    def flattened(self) -> list[Any]:
        """The loaders in order; set a list of the same length to exchange them."""
        return self._flattened

    @flattened.setter
    def flattened(self, loaders: list[Any]) -> None:
        if len(loaders) != len(self._flattened):
            raise ValueError(f"Got {len(loaders)} loaders in place of the {len(self._flattened)} there are.")
        self._flattened = list(loaders)
        self._iterables = _nest(self._nesting, self._flattened)

    @property
    def limits(self) -> list[int | float] | None:
        """The most batches that each loader gives; set one number for all, or one for each."""
        return self._limits

    @limits.setter
    def limits(self, limits: int | float | list[int | float] | None) -> None:
        if isinstance(limits, int | float):
            limits = [limits] * len(self._flattened)
        if limits is not None and len(limits) != len(self._flattened):
            raise ValueError(f"Got {len(limits)} limits for {len(self._flattened)} loaders; give one for each.")
        if limits is not None and any(limit < 0 for limit in limits):
            raise ValueError(f"limits={limits} holds a negative number; give None for no limit.")
        self._limits = limits

    @property
    def sampler(self) -> Any:
        """The loaders' samplers, nested like them; None where there is none."""
        return _nest(self._nesting, [getattr(loader, "sampler", None) for loader in self._flattened])

    @property
    def batch_sampler(self) -> Any:
        return _nest(self._nesting, [getattr(loader, "batch_sampler", None) for loader in self._flattened])

    def __iter__(self) -> "CombinedLoader":
        nesting = self._nesting
        self._iterator = _MODES[self._mode](self._cut(self._flattened), lambda values: _nest(nesting, values))
        return self

    def __next__(self) -> Item:
        if self._iterator is None:
            raise RuntimeError("This CombinedLoader is not being iterated: call `iter(combined_loader)` first.")
        return next(self._iterator)

    def __len__(self) -> int:
        """The number of items; raises ``TypeError`` where a loader without length decides it."""
        length = _LENGTHS[self._mode]([length_of(loader) for loader in self._cut(self._flattened)])
        if length == float("inf"):
            raise TypeError("This CombinedLoader has no length, since one of its loaders has none.")
        return int(length)

    def through(self, readers: list[Any]) -> Iterator[Any]:
        """The batches of a pass that reads each loader through something else: an iterable for each, in order.

        One that stands inside a pass says so by ``passes`` and ``taken``: how often it was begun, and what it gave.
        """
        nesting = self._nesting
        items = _MODES[self._mode](self._cut(readers), lambda values: _nest(nesting, values))
        return (batch for batch, _, _ in items)

    def reset(self) -> None:
        """End the iteration and let go of the loaders' iterators and their workers."""
        self._iterator = None

    def _cut(self, loaders: list[Any]) -> list[Any]:
        if self._limits is None:
            return loaders
        return [_Cut(loader, limit) for loader, limit in zip(loaders, self._limits, strict=True)]

    def _state_dicts(self) -> list[dict[str, Any]]:
        """The states of those loaders that have one, in order."""
        return states_of(self._flattened)

    def _load_state_dicts(self, states: list[dict[str, Any]]) -> None:
        if states:
            put_back(self._flattened, states)

    def __getstate__(self) -> dict[str, Any]:
        # A running iteration cannot be pickled; the loaders can.
        return {**self.__dict__, "_iterator": None}


class _Cut:
    """The first ``limit`` batches of a loader."""

    def __init__(self, loader: Iterable[Any], limit: int | float) -> None:
        self.loader, self.limit = loader, limit

    def __iter__(self) -> Iterator[Any]:
        if self.limit == 0:
            return iter(())
        batches = iter(self.loader)
        taken = getattr(self.loader, "taken", 0)
        return islice(batches, None if self.limit == float("inf") else int(self.limit) - taken)

    @property
    def passes(self) -> int:
        return getattr(self.loader, "passes", 0)

    def __len__(self) -> int:
        length = min(length_of(self.loader), self.limit)
        if length == float("inf"):
            raise TypeError("This loader has no length.")
        return int(length)


class _Slot(int):
    """Where in the flat list the value for this place is."""


def _number_leaves(tree: Any, found: list[Any]) -> Any:
    """Return ``tree`` with each loader replaced by its slot, the loaders themselves appended to ``found``."""
    if _is_nest(tree):
        if isinstance(tree, Mapping):
            return _like(tree, {key: _number_leaves(value, found) for key, value in tree.items()})
        return _like(tree, [_number_leaves(value, found) for value in tree])
    found.append(tree)
    return _Slot(len(found) - 1)


def _is_nest(tree: Any) -> bool:
    """Whether a collection holds loaders; one of plain values, such as ``[1, 2]``, is a loader itself."""
    if type(tree) not in (list, tuple) and not isinstance(tree, dict) and not hasattr(tree, "_fields"):
        return False
    values = tree.values() if isinstance(tree, dict) else tree
    return any(isinstance(value, Iterable) and not isinstance(value, str) for value in values)


def _nest(nesting: Any, values: list[Any]) -> Any:
    if type(nesting) is _Slot:
        return values[nesting]
    if isinstance(nesting, Mapping):
        return _like(nesting, {key: _nest(value, values) for key, value in nesting.items()})
    return _like(nesting, [_nest(value, values) for value in nesting])


def _like(original: Any, values: Any) -> Any:
    kind = type(original)
    if hasattr(original, "_fields"):
        return kind(*values)
    factory = getattr(original, "default_factory", None)
    return kind(values) if factory is None else kind(factory, values)


Nest = Callable[[list[Any]], Any]


def _min_size(loaders: list[Any], nest: Nest) -> Iterator[Item]:
    for index, values in enumerate(zip(*loaders, strict=False)):
        yield nest(list(values)), index, 0


def _max_size(loaders: list[Any], nest: Nest) -> Iterator[Item]:
    iterators = [iter(loader) for loader in loaders]
    open_slots, index = set(range(len(loaders))), 0
    while True:
        values: list[Any] = [None] * len(loaders)
        for slot in sorted(open_slots):
            try:
                values[slot] = next(iterators[slot])
            except StopIteration:
                open_slots.discard(slot)
        if not open_slots:
            return
        yield nest(values), index, 0
        index += 1


def _max_size_cycle(loaders: list[Any], nest: Nest) -> Iterator[Item]:
    # A loader that was begun more than once had come to its end before.
    unread, index = {slot for slot, loader in enumerate(loaders) if getattr(loader, "passes", 0) <= 1}, 0
    iterators = [iter(loader) for loader in loaders]
    while unread:
        values = []
        for slot, loader in enumerate(loaders):
            try:
                value = next(iterators[slot])
            except StopIteration:
                unread.discard(slot)
                if not unread:
                    return
                iterators[slot] = iter(loader)
                try:
                    value = next(iterators[slot])
                except StopIteration:
                    # An empty loader cannot be cycled, and there is no batch without it.
                    return
            values.append(value)
        yield nest(values), index, 0
        index += 1


def _sequential(loaders: list[Any], nest: Nest) -> Iterator[Item]:
    for slot, loader in enumerate(loaders):
        for index, batch in enumerate(loader):
            yield batch, index, slot


_MODES: dict[str, Callable[[list[Any], Nest], Iterator[Item]]] = {
    "min_size": _min_size,
    "max_size_cycle": _max_size_cycle,
    "max_size": _max_size,
    "sequential": _sequential,
}
_LENGTHS: dict[str, Callable[[list[int | float]], int | float]] = {
    "min_size": lambda lengths: min(lengths, default=0),
    "max_size_cycle": lambda lengths: max(lengths) if all(lengths) and lengths else 0,
    "max_size": lambda lengths: max(lengths, default=0),
    "sequential": sum,
}
