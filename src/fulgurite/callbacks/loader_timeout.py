"""Ends a run whose data does not come any more."""

from __future__ import annotations

import os
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fulgurite.base.cadence import parse_duration
from fulgurite.base.errors import LoaderTimeoutError, MisconfigurationException
from fulgurite.core.callback import Callback
from fulgurite.runtime import lifecycle
from fulgurite.runtime.watch import Watch

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer

LAST_WORDS = 60.0
"""Seconds that there are to save in when the process must be ended."""


class LoaderTimeout(Callback):
    """End the run with `LoaderTimeoutError` when a loader gives no batch for ``seconds``.

    It holds for every stage and every kind of loader, with worker processes and without, and for their start. The error
    names loader, batch and step, and shows the stack of the thread that waits and of each worker. A fit that waits
    for train or validation data is saved by the checkpoint callbacks as after Ctrl-C, at the end of its last batch.

    ``seconds`` is a number, a ``timedelta``, or a string "DD:HH:MM:SS". Choose several times what the slowest batch
    takes. ``DataLoader(timeout=...)`` watches one loader, and only its workers.

    Where the wait is in native code that nothing can interrupt, the stack goes to stderr, checkpoints are written,
    loggers are closed, and the process ends with exit code 1.
    """

    def __init__(self, seconds: float | str | timedelta) -> None:
        self.seconds = _seconds(seconds)
        self._watch: Watch | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        session = trainer._session
        assert session is not None

        def is_deaf(stage: str, error: LoaderTimeoutError) -> None:
            end_process(trainer, stage, error)

        self._watch = session.watch = Watch(self.seconds, session.feeds, is_deaf)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, LoaderTimeoutError):
            # Between two batches, where a run that goes on does so exactly.
            trainer.ended_as_asked = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_watch": None}


def end_process(trainer: Trainer, stage: str, error: LoaderTimeoutError) -> None:
    """Save, close and exit from a thread beside the one that hangs; at once where that hangs as well."""
    ending = threading.Timer(LAST_WORDS, os._exit, (1,))
    ending.daemon = True
    ending.start()
    try:
        session = trainer._session
        assert session is not None
        session.feeds[stage].hangs(session.progress)
        lifecycle.fail(session, error)
        for line in (f"LoaderTimeoutError: {error}", *getattr(error, "__notes__", ())):
            print(line, file=sys.stderr)
        print("The waiting thread can't be interrupted, so the process ends.", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def _seconds(given: float | str | timedelta) -> float:
    if isinstance(given, str | timedelta):
        given = parse_duration(given, "LoaderTimeout(seconds=...)").total_seconds()
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < float("inf"):
        raise MisconfigurationException(
            f"LoaderTimeout(seconds={given!r}): a number of seconds above 0, a timedelta or 'DD:HH:MM:SS' was expected."
        )
    return float(given)
