"""How long each action took, how often it happened, and how much of the run it was."""

import time
from array import array
from collections.abc import Sequence
from pathlib import Path

from fulgurite.base.arguments import checked
from fulgurite.core.profiler import Profiler

WAITING = "train_dataloader_next"
"""The end of the action's name that is a wait for training data."""
TRAINING = "run_training_epoch"


class SimpleProfiler(Profiler):
    """A stopwatch around each action: the report says mean, calls, total and share of the run, longest first.

    Actions contain one another (``run_training_batch`` the steps in it), so shares add up to more than 100 %. What
    training waited for its data stands above the table. With ``extended=False`` there are only means and totals.

    ``recorded_durations`` holds the seconds of every call by action (8 bytes a call); it begins anew with the first
    run after a report.
    """

    @checked
    def __init__(self, dirpath: str | Path | None = None, filename: str | None = None, extended: bool = True) -> None:
        super().__init__(dirpath, filename)
        self.extended = extended
        self.recorded_durations: dict[str, array[float]] = {}
        self._open: dict[str, list[float]] = {}
        self._since: float | None = None
        self._until: float | None = None

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        super().setup(stage, local_rank, log_dir)
        self._begin_anew()
        if self._since is None:
            self._since = time.perf_counter()

    def start(self, action_name: str) -> None:
        now = time.perf_counter()
        if self._since is None:
            self._since = now
        self._open.setdefault(action_name, []).append(now)

    def stop(self, action_name: str) -> None:
        now = time.perf_counter()
        begun = self._open.get(action_name)
        if not begun:
            raise ValueError(f"Attempting to stop recording an action ({action_name}) which was never started.")
        durations = self.recorded_durations.get(action_name)
        if durations is None:
            durations = self.recorded_durations[action_name] = array("d")
        durations.append(now - begun.pop())

    def summary(self) -> str:
        if not self.recorded_durations:
            return ""
        total = (self._until or time.perf_counter()) - (self._since or 0.0)
        rows = sorted(self.recorded_durations.items(), key=lambda row: sum(row[1]), reverse=True)
        table = self._extended(rows, total) if self.extended else self._short(rows)
        return "\n\n".join(filter(None, [self._title(), self._waited(total), table]))

    def teardown(self, stage: str | None) -> None:
        self._until = time.perf_counter()

    def _begin_anew(self) -> None:
        if self._until is not None:
            self.recorded_durations, self._open = {}, {}
            self._since = self._until = None

    def _waited(self, total: float) -> str:
        waits = [each for name, each in self.recorded_durations.items() if name.endswith(WAITING)]
        if not waits:
            return ""
        waited = sum(map(sum, waits))
        training = sum(self.recorded_durations.get(TRAINING, ())) or total
        share = waited / training
        return f"Waited for training data: {waited:.4g} s of the training epochs' {training:.4g} s, {share:.1%}"

    def _extended(self, rows: list[tuple[str, "array[float]"]], total: float) -> str:
        cells = [("-", str(sum(len(each) for _, each in rows)), f"{total:.5g}", "100", "Total")]
        for name, each in rows:
            spent = sum(each)
            cells.append(
                (f"{spent / len(each):.5g}", str(len(each)), f"{spent:.5g}", f"{100 * spent / total:.3f}", name)
            )
        return _table(("Mean duration (s)", "Num calls", "Total time (s)", "Percentage %", "Action"), cells)

    def _short(self, rows: list[tuple[str, "array[float]"]]) -> str:
        cells = [(f"{sum(each) / len(each):.5g}", f"{sum(each):.5g}", name) for name, each in rows]
        return _table(("Mean duration (s)", "Total time (s)", "Action"), cells)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Numbers first: the name of an action may be longer than a terminal is wide."""
    widths = [max(len(row[index]) for row in [heads, *rows]) for index in range(len(heads) - 1)]

    def line(row: Sequence[str]) -> str:
        return "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])

    return "\n".join([line(heads), "-" * (sum(widths) + 2 * len(widths) + 30), *map(line, rows)])
