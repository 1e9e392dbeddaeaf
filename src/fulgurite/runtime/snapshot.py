"""What is in memory now, to be put back later: weights, optimizers, loaders, and the attributes of any object.

Each function looks at one kind of thing and returns a function that puts it back, as often as wanted. What is kept is
kept in the host's memory: the device's is what a search may be about.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from fulgurite.metrics import is_metric_object
from fulgurite.runtime.combined import CombinedLoader
from fulgurite.runtime.loaders import put_back, stateful, states_of
from fulgurite.runtime.reading import generator_states, set_generators
from fulgurite.runtime.session import Session

Restore = Callable[[], Any]


def attributes_of(*things: Any, depth: int = 1, but: tuple[str, ...] = ()) -> Restore:
    """Keep what each thing refers to, and what its lists, dicts and sets contain, ``depth`` containers deep.

    Objects and tensors are referred to, not copied. Attributes named in ``but`` are left alone.
    """
    kept = [(thing, {name: _held(value, depth) for name, value in _attributes(thing, but)}) for thing in things]

    def restore() -> None:
        for thing, held in kept:
            # Past the thing's own `__setattr__`: a module would sort the value in anew.
            for name in [name for name, _ in _attributes(thing, but) if name not in held]:
                object.__delattr__(thing, name)
            for name, back in held.items():
                object.__setattr__(thing, name, back())

    return restore


def contents_of(tensors: Iterable[Tensor]) -> Restore:
    """Keep the numbers in the tensors; they go back into the same memory."""
    unique = {id(tensor): tensor for tensor in tensors if not is_lazy(tensor)}
    kept = [(tensor, tensor.detach().to("cpu", copy=True)) for tensor in unique.values()]

    def restore() -> None:
        with torch.no_grad():
            for tensor, numbers in kept:
                tensor.copy_(numbers)

    return restore


def manner_of(module: nn.Module) -> Restore:
    """Keep what a module has beside its weights: modes, gradients, running metrics, attributes of all sub-modules."""
    children = [child for child in module.modules() if not any(map(is_lazy, child.parameters(recurse=False)))]
    sums, attributes = contents_of(_metric_states(children)), attributes_of(*children)
    flags = [(weight, weight.requires_grad, weight.grad) for weight in module.parameters()]

    def restore() -> None:
        attributes()
        sums()
        for weight, required, gradient in flags:
            weight.requires_grad_(required).grad = gradient

    return restore


def place_of(module: nn.Module) -> Restore:
    """Keep which memory holds weights and buffers, which device and type that is, and what requires gradients.

    What is in that memory is `training_of`'s.
    """
    weights = [
        (weight, weight.data, weight.requires_grad, weight.grad, None if weight.grad is None else weight.grad.data)
        for weight in module.parameters()
    ]
    buffers = [(child._buffers, dict(child._buffers)) for child in module.modules()]

    def restore() -> None:
        for weight, data, required, gradient, content in weights:
            if not is_lazy(data):
                weight.data = data
            if gradient is not None and content is not None:
                # It went to the run's device with its weight, and a step that dropped it left it there.
                gradient.data = content
            weight.requires_grad_(required).grad = gradient
        for place, kept in buffers:
            place.update(kept)

    return restore


def training_of(session: Session) -> Restore:
    """Keep what training changes: weights, buffers, the optimizers' groups and memory, the schedulers, the scaler."""
    module, scaler = session.module, session.precision.scaler
    scalers = [] if scaler is None else [scaler]
    schedulers = _with_inner(config.scheduler for config in session.schedulers)
    owners = attributes_of(*session.optimizers, *schedulers, *scalers, depth=4)
    memory = [tensor for optimizer in session.optimizers for tensor in _memory(optimizer)]
    scales = [value for scaler in scalers for value in vars(scaler).values() if isinstance(value, Tensor)]
    numbers = contents_of([*module.parameters(), *module.buffers(), *memory, *scales])

    def restore() -> None:
        owners()
        numbers()

    return restore


def positions_of(session: Session) -> Restore:
    """Keep where the loaders stand: those of the run's stages, and those that were given and are not opened yet."""
    loaders = {id(loader): loader for loader in _loaders(session)}.values()
    feeds = list(session.feeds.values())
    places = attributes_of(*feeds, *(reader for feed in feeds for reader in feed.readers))
    generators = [(loader, generator_states(loader)) for loader in loaders]
    iterators = [(loader, loader._iterator) for loader in loaders if hasattr(loader, "_iterator")]
    able = stateful(loaders)
    states = states_of(able)

    def restore() -> None:
        places()
        for loader, states_before in generators:
            set_generators(loader, states_before)
        for loader, iterator in iterators:
            loader._iterator = iterator
        put_back(able, states)

    return restore


def _attributes(thing: Any, but: tuple[str, ...]) -> list[tuple[str, Any]]:
    slots = [name for name in getattr(type(thing), "__slots__", ()) if hasattr(thing, name)]
    names = [*getattr(thing, "__dict__", ()), *slots]
    return [
        (name, getattr(thing, name) if name in slots else thing.__dict__[name]) for name in names if name not in but
    ]


def _held(value: Any, depth: int) -> Restore:
    if not depth or not isinstance(value, dict | list | set | deque):
        return lambda: value
    if isinstance(value, dict):
        entries = {key: _held(each, depth - 1) for key, each in value.items()} if depth > 1 else dict(value)
        return lambda: _refilled(value, {key: each() for key, each in entries.items()} if depth > 1 else entries)
    members = [_held(each, depth - 1) for each in value] if depth > 1 else list(value)
    return lambda: _refilled(value, [each() for each in members] if depth > 1 else members)


def _refilled(container: Any, contents: Any) -> Any:
    container.clear()
    container.extend(contents) if isinstance(container, list | deque) else container.update(contents)
    return container


def _metric_states(modules: Iterable[nn.Module]) -> Iterator[Tensor]:
    """What torchmetrics objects have summed up so far, which is neither weight nor buffer."""
    if "torchmetrics" not in sys.modules:
        return
    for module in modules:
        if is_metric_object(module):
            held = (getattr(module, name) for name in module._defaults)  # type: ignore[union-attr]
            yield from (state for state in held if isinstance(state, Tensor))


def _memory(optimizer: Optimizer) -> Iterator[Tensor]:
    """The tensors that an optimizer changes beside the weights."""
    for state in optimizer.state.values():
        if isinstance(state, dict):
            yield from (value for value in state.values() if isinstance(value, Tensor))
    for group in optimizer.param_groups:
        yield from (value for value in group.values() if isinstance(value, Tensor))


def _with_inner(schedulers: Iterable[Any]) -> Iterator[Any]:
    """The schedulers, and those that they are made of."""
    for scheduler in schedulers:
        yield scheduler
        yield from _with_inner(getattr(scheduler, "_schedulers", ()))


def _loaders(session: Session) -> Iterator[Any]:
    for feed in session.feeds.values():
        yield from feed.loaders
    for given in session.given.values():
        if isinstance(given, list | tuple | dict):
            yield from CombinedLoader(given, "sequential").flattened
        elif given is not None:
            yield from getattr(given, "flattened", [given])
