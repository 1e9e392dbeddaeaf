"""The progress bar drawn by rich; needs the extra of that name."""

from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from fulgurite.base.arguments import checked
from fulgurite.base.optional import require
from fulgurite.callbacks.progress.timed import SHORTEST_WAIT, TimedProgressBar, plain_line

if TYPE_CHECKING:
    from rich.progress import Progress, Task

    from fulgurite.trainer import Trainer


@dataclass
class RichProgressBarTheme:
    """Rich styles for each part of the bar: colours, "bold", "italic" and so on; and how metrics are written."""

    description: str = ""
    progress_bar: str = "#6206E0"
    progress_bar_finished: str = "#6206E0"
    progress_bar_pulse: str = "#6206E0"
    batch_progress: str = ""
    time: str = "dim"
    processing_speed: str = "dim underline"
    metrics: str = "italic"
    metrics_text_delimiter: str = " "
    metrics_format: str = ".3f"


class RichProgressBar(TimedProgressBar):
    """Show progress with rich. ``refresh_rate`` is in redraws per second, ten at most; 0 shows nothing.

    ``leave`` keeps the bar of each epoch; ``console_kwargs`` go to ``rich.console.Console``. Where the output is no
    terminal there are plain lines. Override ``configure_columns`` to change what stands in a bar.
    """

    @checked
    def __init__(
        self,
        refresh_rate: int = 100,
        leave: bool = False,
        theme: RichProgressBarTheme | None = None,
        console_kwargs: dict[str, Any] | None = None,
    ) -> None:
        require("rich", "rich")
        super().__init__(leave)
        if refresh_rate < 0:
            raise ValueError(f"refresh_rate={refresh_rate!r} must be redraws per second, or 0 for no bar.")
        self._refresh_rate = refresh_rate
        self._wait = max(SHORTEST_WAIT, 1 / refresh_rate) if refresh_rate else SHORTEST_WAIT
        self.theme = theme or RichProgressBarTheme()
        self._console_kwargs = console_kwargs or {}
        self.progress: Progress | None = None
        self._tasks: dict[str, _Task] = {}
        if refresh_rate == 0:
            self.disable()

    def __getstate__(self) -> dict[str, Any]:
        # What is on the screen stays here; a copy starts its own.
        return {**self.__dict__, "progress": None, "_tasks": {}, "_trainer": None}

    @property
    def refresh_rate(self) -> int:
        return self._refresh_rate

    @property
    def is_enabled(self) -> bool:
        return self._enabled and self._refresh_rate > 0

    @property
    def train_progress_bar(self) -> "Task | None":
        return self._shown("train")

    @property
    def val_progress_bar(self) -> "Task | None":
        return self._shown("validation")

    @property
    def val_sanity_check_bar(self) -> "Task | None":
        return self._shown("sanity")

    @property
    def test_progress_bar(self) -> "Task | None":
        return self._shown("test")

    def configure_columns(self, trainer: "Trainer") -> list[Any]:
        """The columns of a bar, from left to right; ``task.fields["metrics"]`` is the text of the metrics."""
        from rich.progress import BarColumn, TextColumn
        from rich.table import Column

        theme = self.theme
        # Where the line is too short, the metrics wrap and the rest stays whole.
        wraps = Column(no_wrap=False)
        return [
            TextColumn("[progress.description]{task.description}", style=theme.description),
            BarColumn(
                complete_style=theme.progress_bar,
                finished_style=theme.progress_bar_finished,
                pulse_style=theme.progress_bar_pulse,
            ),
            TextColumn("{task.fields[count]}", style=theme.batch_progress),
            TextColumn("{task.fields[time]}", style=theme.time),
            TextColumn("{task.fields[speed]}", style=theme.processing_speed),
            TextColumn("{task.fields[metrics]}", style=theme.metrics, markup=False, table_column=wraps),
        ]

    def refresh(self, hard: bool = False) -> None:
        """Draw now."""
        if self.progress is not None:
            self.progress.refresh()

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bars. Square brackets are text, no markup."""
        if self.progress is None:
            print(*args, **kwargs)
            return
        kwargs = {name: value for name, value in kwargs.items() if name in ("sep", "end", "style", "justify")}
        self.progress.console.print(*args, markup=False, highlight=False, **kwargs)

    def _epoch_description(self, trainer: "Trainer") -> str:
        last = trainer.max_epochs
        return f"Epoch {trainer.current_epoch}" + (f"/{last - 1}" if last not in (None, -1) else "")

    def _shown(self, stage: str) -> "Task | None":
        task = self._tasks.get(stage)
        if task is None or self.progress is None:
            return None
        return next((each for each in self.progress.tasks if each.id == task.id), None)

    def _open(self, stage: str) -> None:
        self._tasks.setdefault(stage, _Task()).running = True
        if not self._enabled or self._plain or self.progress is not None:
            return
        from rich.console import Console
        from rich.progress import Progress

        console = Console(**self._console_kwargs)
        self.progress = Progress(*self.configure_columns(self.trainer), console=console, auto_refresh=False)
        self.progress.start()

    def _begin(self, stage: str, description: str, total: int | None) -> None:
        task, known = self._tasks[stage], self._shown(stage)
        task.begin(description, total)
        if self.progress is None:
            return
        fields = task.fields(0, self.theme.metrics_text_delimiter)
        keep = self._leave and stage == "train"
        if known is not None and not keep and (known.total is None) == (total is None):
            # Adding a task draws; a task that changes waits for the next redraw.
            self.progress.update(known.id, description=description, total=total, completed=0, visible=True, **fields)
            return
        if known is not None and not keep:
            self.progress.remove_task(known.id)
        task.id = self.progress.add_task(description, total=total, **fields)

    def _draw(self, stage: str, done: int, metrics: dict[str, Any] | None) -> None:
        task = self._tasks[stage]
        if metrics is not None:
            task.metrics = {name: self._formatted(value) for name, value in metrics.items()}
        if self._plain:
            task.say(done)
        elif self.progress is not None and task.id is not None:
            fields = task.fields(done, self.theme.metrics_text_delimiter)
            self.progress.update(task.id, completed=done, refresh=True, **fields)

    def _formatted(self, value: Any) -> str:
        return f"{value:{self.theme.metrics_format}}" if isinstance(value, float) else str(value)

    def _close(self, stage: str) -> None:
        if stage not in self._tasks:
            return
        self._tasks[stage].running = False
        others_run = any(task.running for task in self._tasks.values())
        shown = self._shown(stage)
        if self.progress is not None and shown is not None and (others_run or stage == "sanity"):
            self.progress.update(shown.id, visible=False)
        if not others_run:
            self._close_all()

    def _close_all(self) -> None:
        self._tasks = {}
        if self.progress is not None:
            self.progress.stop()
            self.progress = None


class _Task:
    """One bar's state: what rich's own task does not keep for us."""

    def __init__(self) -> None:
        self.id: Any = None
        self.running = False
        self.metrics: dict[str, str] = {}
        self.said: str | None = None
        self.begin("", None)

    def begin(self, description: str, total: int | None) -> None:
        self.description, self.total, self.began = description, total, monotonic()

    def fields(self, done: int, delimiter: str) -> dict[str, Any]:
        """The texts behind the bar."""
        elapsed = monotonic() - self.began
        rate = done / elapsed if done and elapsed > 0 else 0.0
        left = _clock((self.total - done) / rate) if rate and self.total is not None else "-:--:--"
        return {
            "count": f"{done}/{'--' if self.total is None else self.total}",
            "time": f"{_clock(elapsed)} • {left}",
            "speed": f"{rate:.2f}it/s",
            "metrics": delimiter.join(f"{name}: {value}" for name, value in self.metrics.items()),
        }

    def say(self, done: int) -> None:
        """Print the state as a line, unless it was just printed."""
        state = f"{self.description} {done} {self.metrics}"
        if state != self.said:
            print(plain_line(self.description, done, self.total, monotonic() - self.began, self.metrics), flush=True)
            self.said = state


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
