"""Who listens to what. Resolved once a run; an event that nobody overrides is None and costs a truth test.

Callbacks run first, in their order, then the module. At ``on_train_epoch_end`` the callbacks that monitor a metric
(early stopping, checkpoints) come last, so that they see what the module logs there; those that write checkpoints come
last also after a batch and a validation, so that the file holds what everybody did.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fulgurite.core.callback import Callback
from fulgurite.metrics import Moment
from fulgurite.runtime.profiling import action_of

SHARED = (
    "on_fit_start", "on_fit_end",
    "on_train_start", "on_train_end", "on_train_epoch_start", "on_train_epoch_end",
    "on_train_batch_start", "on_train_batch_end",
    "on_validation_start", "on_validation_end", "on_validation_epoch_start", "on_validation_epoch_end",
    "on_validation_batch_start", "on_validation_batch_end",
    "on_test_start", "on_test_end", "on_test_epoch_start", "on_test_epoch_end",
    "on_test_batch_start", "on_test_batch_end",
    "on_predict_start", "on_predict_end", "on_predict_epoch_start", "on_predict_epoch_end",
    "on_predict_batch_start", "on_predict_batch_end",
    "on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_before_zero_grad",
)  # fmt: skip
CLOSING = ("on_train_batch_end", "on_validation_end", "on_train_epoch_end")
"""The hooks in which checkpoints are written: after all others have done their part, so that the file has it."""
CALLBACKS_ONLY = ("on_sanity_check_start", "on_sanity_check_end")

Listener = Callable[..., Any]


class Event:
    """One hook with all its listeners. Called with the hook's arguments; returns what the module's own hook returns."""

    __slots__ = ("name", "moment", "head", "callbacks", "own", "closing")

    def __init__(self, name: str, moment: Moment, head: tuple[Any, Any]) -> None:
        self.name, self.moment, self.head = name, moment, head
        self.callbacks: list[Listener] = []
        self.own: Listener | None = None
        self.closing: list[Listener] = []

    def __call__(self, *args: Any) -> Any:
        moment, head = self.moment, self.head
        outer, moment.hook = moment.hook, self.name
        for listener in self.callbacks:
            listener(*head, *args)
        answer = self.own(*args) if self.own is not None else None
        for listener in self.closing:
            listener(*head, *args)
        moment.hook = outer
        return answer

    def __bool__(self) -> bool:
        return bool(self.callbacks or self.own or self.closing)


class Hooks:
    """The table of events of one run, one attribute each: `Event` or None."""

    __slots__ = SHARED + CALLBACKS_ONLY

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Event | None: ...

    def __init__(self, trainer: Any, module: Any, base: type, callbacks: Iterable[Callback], moment: Moment) -> None:
        """``base`` is the class whose methods count as not overridden (`LightningModule`)."""
        callbacks = list(callbacks)
        for name in self.__slots__:
            event = Event(name, moment, (trainer, module))
            for callback in callbacks:
                if overrides(callback, name, Callback):
                    last = name in CLOSING and monitors(callback, name)
                    (event.closing if last else event.callbacks).append(getattr(callback, name))
            if name in SHARED and overrides(module, name, base):
                event.own = getattr(module, name)
            setattr(self, name, event if event else None)


def overrides(thing: Any, name: str, base: type) -> bool:
    """Whether ``thing`` has a ``name`` of its own, in its class or set on the object, rather than ``base``'s."""
    if name in getattr(thing, "__dict__", {}):
        return True
    found = getattr(type(thing), name, None)
    return found is not None and found is not getattr(base, name, None)


def monitors(callback: Callback, name: str) -> bool:
    """Whether the callback acts on what the module does in the hook ``name``, and must therefore run after it."""
    saves = getattr(callback, "saves_checkpoints", False)
    return saves or (name == "on_train_epoch_end" and getattr(callback, "runs_after_module", False))


def call(moment: Moment, name: str, method: Listener | None, *args: Any) -> Any:
    """Call a hook that fires once in a run, under its name."""
    if method is None:
        return None
    if moment.profiler is not None:
        method = moment.profiler.watched(method, action_of(method, name))
    outer, moment.hook = moment.hook, name
    try:
        return method(*args)
    finally:
        moment.hook = outer
