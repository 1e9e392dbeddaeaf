"""The default progress bar, drawn by tqdm."""

import functools
import math
import os
import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import tqdm

from fulgurite.base.arguments import checked
from fulgurite.callbacks.progress.timed import SHORTEST_WAIT, TimedProgressBar, in_notebook, plain_line, short

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


class Tqdm(tqdm.std.tqdm):
    """A bar in a terminal. Whoever asks, no bar is drawn twice within a moment; ``draw`` draws at once."""

    monitor_interval = 0  # no thread: a bar that stands still is no news
    drawn_at = -math.inf

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.shown = False
        super().__init__(*args, **kwargs)

    def display(self, *args: Any, **kwargs: Any) -> None:
        now = monotonic()
        if now - Tqdm.drawn_at >= SHORTEST_WAIT:
            Tqdm.drawn_at = now
            self.shown = True
            super().display(*args, **kwargs)

    def draw(self) -> None:
        Tqdm.drawn_at = -math.inf
        self.refresh()

    def close(self) -> None:
        # A bar that nobody has seen leaves nothing and needs no wiping.
        self.leave = self.leave and self.shown
        Tqdm.drawn_at = -math.inf if self.shown else monotonic()
        super().close()

    @staticmethod
    def format_num(n: Any) -> str:
        return short(n)


class LogLines(tqdm.std.tqdm):
    """Looks like a tqdm bar to the code around it, and prints one plain line per ``draw``."""

    monitor_interval = 0
    format_num = Tqdm.format_num

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.said: tuple[Any, ...] | None = None
        self.metrics: dict[str, Any] = {}
        super().__init__(*args, **kwargs)

    def display(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: only ``draw`` prints."""

    def close(self) -> None:
        # tqdm would end the line of a bar that stays; there is none.
        self.leave = False
        super().close()

    def set_postfix(self, ordered_dict: Any = None, refresh: bool | None = True, **kwargs: Any) -> None:
        self.metrics = {**(ordered_dict or {}), **kwargs}

    def draw(self) -> None:
        state = (self.desc, self.n, self.metrics)
        if not self.disable and state != self.said:
            description, elapsed = self.desc.removesuffix(": "), self.format_dict["elapsed"]
            print(plain_line(description, self.n, self.total, elapsed, self.metrics), flush=True)
            self.said = state


@functools.cache
def notebook_bar() -> type:
    """The kind of bar that draws itself as a widget."""
    import tqdm.notebook

    class NotebookBar(tqdm.notebook.tqdm):
        monitor_interval = 0
        format_num = Tqdm.format_num

        def close(self) -> None:
            # tqdm lets a bar that was not drawn to its end stay, in red; one that is not to stay may just go.
            if not self.disable and not self.leave:
                self.total = None
            super().close()

    return NotebookBar


class TQDMProgressBar(TimedProgressBar):
    """Show progress with tqdm: training with its metrics, below it the validation that runs.

    A terminal is redrawn ten times a second at most, and only at multiples of ``refresh_rate`` batches; 0 shows
    nothing. Where the output is a file or a pipe there is a plain line now and then and at the ends of epochs.
    ``leave`` keeps the bar of each epoch. ``process_position`` moves the bars down, below those of other processes.
    Override ``init_train_tqdm`` and its like to change a bar, ``get_metrics`` to change what stands behind it.
    """

    BAR_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"

    @checked
    def __init__(self, refresh_rate: int = 1, process_position: int = 0, leave: bool = False) -> None:
        super().__init__(leave)
        if not isinstance(refresh_rate, int) or refresh_rate < 0:
            raise ValueError(f"refresh_rate={refresh_rate!r} must be a number of batches, or 0 for no bar.")
        # Colab stalls when it is redrawn too often.
        self._refresh_rate = 20 if refresh_rate == 1 and "COLAB_JUPYTER_IP" in os.environ else refresh_rate
        self._every = max(self._refresh_rate, 1)
        self._process_position = process_position
        self._bars: dict[str, Any] = {}
        if self._refresh_rate == 0:
            self.disable()

    def __getstate__(self) -> dict[str, Any]:
        # Bars hold the terminal; a copy makes its own.
        return {**self.__dict__, "_bars": {}, "_trainer": None}

    @property
    def refresh_rate(self) -> int:
        return self._refresh_rate

    @property
    def process_position(self) -> int:
        return self._process_position

    @property
    def is_enabled(self) -> bool:
        return self._enabled and self._refresh_rate > 0

    @property
    def train_progress_bar(self) -> Any:
        return self._bar("train")

    @property
    def val_progress_bar(self) -> Any:
        """The validation's bar, or the sanity check's while that runs."""
        return self._bar("sanity" if "sanity" in self._bars else "validation")

    @property
    def test_progress_bar(self) -> Any:
        return self._bar("test")

    @property
    def predict_progress_bar(self) -> Any:
        return self._bar("predict")

    @property
    def main_progress_bar(self) -> Any:
        """The bar of the verb that runs, None if none does."""
        return next(iter(self._bars.values()), None)

    def init_sanity_tqdm(self) -> Any:
        """Make the bar of the sanity check."""
        return self._new_bar(self.sanity_check_description)

    def init_train_tqdm(self) -> Any:
        """Make the bar of the training."""
        return self._new_bar(self.train_description, leave=True, smoothing=0)

    def init_validation_tqdm(self) -> Any:
        """Make the bar of a validation: below the training's, or the only one."""
        nested = self.trainer.state.fn == "fit"
        return self._new_bar(self.validation_description, position=int(nested), leave=not nested)

    def init_test_tqdm(self) -> Any:
        """Make the bar of a test."""
        return self._new_bar(self.test_description, leave=True)

    def init_predict_tqdm(self) -> Any:
        """Make the bar of a prediction."""
        return self._new_bar(self.predict_description, leave=True)

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        """Print above the bars."""
        if self._plain or not any(not bar.disable for bar in self._bars.values()):
            print(*args, sep=sep, **kwargs)
            return
        Tqdm.write(sep.join(map(str, args)), file=kwargs.get("file"), end=kwargs.get("end", "\n"))

    def _bar(self, stage: str) -> Any:
        if stage not in self._bars:
            raise TypeError(f"There is no {stage} bar now: it is made when that stage starts.")
        return self._bars[stage]

    def _new_bar(self, description: str, position: int = 0, leave: bool = False, **kwargs: Any) -> Any:
        kind: Any = LogLines if self._plain else notebook_bar() if in_notebook() else Tqdm
        return kind(
            desc=description,
            position=2 * self._process_position + position,
            disable=self.is_disabled,
            leave=leave,
            dynamic_ncols=True,
            file=sys.stdout,
            bar_format=self.BAR_FORMAT,
            **kwargs,
        )

    def _open(self, stage: str) -> None:
        makers: dict[str, Callable[[], Any]] = {
            "sanity": self.init_sanity_tqdm,
            "train": self.init_train_tqdm,
            "validation": self.init_validation_tqdm,
            "test": self.init_test_tqdm,
            "predict": self.init_predict_tqdm,
        }
        self._bars[stage] = makers[stage]()

    def on_train_epoch_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        if self._leave and self._batches_done:
            self._close("train")
            self._open("train")
        super().on_train_epoch_start(trainer, pl_module)

    def _begin(self, stage: str, description: str, total: int | None) -> None:
        bar = self._bars[stage]
        # `reset` draws, so the words come first; and it takes None for "the same total".
        bar.set_description(description, refresh=False)
        bar.total = total
        bar.reset(total)
        bar.initial = 0

    def _draw(self, stage: str, done: int, metrics: dict[str, Any] | None) -> None:
        bar = self._bars[stage]
        if bar.disable:
            return
        bar.n = done
        if metrics is not None:
            bar.set_postfix(metrics, refresh=False)
        getattr(bar, "draw", bar.refresh)()

    def _close(self, stage: str) -> None:
        if (bar := self._bars.pop(stage, None)) is not None:
            bar.close()

    def _close_all(self) -> None:
        for stage in list(self._bars)[::-1]:
            self._close(stage)
