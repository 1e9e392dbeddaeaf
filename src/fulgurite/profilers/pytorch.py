"""Which operators run, on the CPU and on the GPU, by torch's own profiler."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.profiler import ProfilerAction, ProfilerActivity, profile, record_function, schedule

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info
from fulgurite.core.profiler import Profiler

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule

Sorting = (
    "cpu_time", "cpu_time_total", "cpu_memory_usage", "self_cpu_memory_usage", "cuda_time", "cuda_time_total",
    "cuda_memory_usage", "self_cuda_memory_usage", "device_time", "device_time_total", "device_memory_usage",
    "self_device_memory_usage", "self_cpu_time_total", "self_cuda_time_total", "self_device_time_total", "count",
)  # fmt: skip


class PyTorchProfiler(Profiler):
    """`torch.profiler.profile` over a few steps: a table of operators, and a trace for Perfetto.

    It records by ``schedule``: by default the 3rd, 4th and 5th training step (or step of the validation, test or
    prediction), once. Further arguments go to `torch.profiler.profile` (``activities``, ``with_stack``,
    ``profile_memory``, ...). Actions appear as ``[pl][profile]...``, the modules that ran as ``[pl][module]...`` unless
    ``record_module_names=False``.

    The table is sorted by ``sort_by_key`` and has ``row_limit`` rows (-1: all); ``table_kwargs`` go to
    its ``table``. With ``export_to_chrome`` each rank writes ``<stage>-<filename>-rank<n>-<count>.pt.trace.json`` into
    ``dirpath``, else into the logger's folder. ``emit_nvtx`` marks ranges for ``nsys profile`` instead; nothing is
    recorded then.
    """

    @checked
    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = None,
        group_by_input_shapes: bool = False,
        emit_nvtx: bool = False,
        export_to_chrome: bool = True,
        row_limit: int = 20,
        sort_by_key: str | None = None,
        record_module_names: bool = True,
        table_kwargs: dict[str, Any] | None = None,
        **profiler_kwargs: Any,
    ) -> None:
        super().__init__(dirpath, filename)
        _check(emit_nvtx, sort_by_key, table_kwargs or {}, profiler_kwargs)
        self.group_by_input_shapes = group_by_input_shapes
        self.emit_nvtx, self.export_to_chrome = emit_nvtx, export_to_chrome
        self.row_limit, self.sort_by_key = row_limit, sort_by_key
        self.record_module_names = record_module_names
        self.table_kwargs, self.profiler_kwargs = table_kwargs or {}, profiler_kwargs
        self.profiler: Any = None
        self.function_events: Any = None
        self._open: dict[str, list[Any]] = {}
        self._hooks: list[Any] = []
        self._steps = self._recorded = 0

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        super().setup(stage, local_rank, log_dir)
        self._steps = self._recorded = 0
        self.function_events = None
        self.profiler = torch.autograd.profiler.emit_nvtx(**self.profiler_kwargs) if self.emit_nvtx else self._made()
        self.profiler.__enter__()

    def attach(self, module: "LightningModule") -> None:
        if self.record_module_names:
            for name, child in module.named_modules():
                if name and not isinstance(child, torch.jit.ScriptModule):
                    self._mark(name, child)

    def start(self, action_name: str) -> None:
        if self.profiler is not None:
            record = record_function(f"[pl][profile]{action_name}")
            record.__enter__()
            self._open.setdefault(action_name, []).append(record)

    def stop(self, action_name: str) -> None:
        begun = self._open.get(action_name)
        if begun:
            begun.pop().__exit__(None, None, None)
            if self._is_step(action_name):
                self._steps += 1
                if not self.emit_nvtx:
                    self._recorded += self.profiler.current_action in _RECORDING
                    self.profiler.step()
        elif self.profiler is not None:
            raise ValueError(f"Attempting to stop recording an action ({action_name}) which was never started.")

    def summary(self) -> str:
        if not self._recorded:
            if self.emit_nvtx or not self._steps:
                return ""
            return (
                f"{self._title()}\n\nNothing was recorded: the run had {self._steps} steps, and the schedule begins "
                "later. Run more steps, or pass schedule=torch.profiler.schedule(wait=0, warmup=0, active=1)."
            )
        averages = self.function_events.key_averages(group_by_input_shapes=self.group_by_input_shapes)
        key = self.sort_by_key or ("cuda_time_total" if torch.cuda.is_available() else "cpu_time_total")
        table = averages.table(**{"sort_by": key, "row_limit": self.row_limit, **self.table_kwargs})
        return f"{self._title()}\n\n{table}"

    def describe(self) -> None:
        self._stop()
        super().describe()

    def teardown(self, stage: str | None) -> None:
        self._stop()
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "profiler": None, "function_events": None, "_open": {}, "_hooks": []}

    def _made(self) -> profile:
        given = {
            "activities": _activities(),
            "schedule": schedule(wait=1, warmup=1, active=3, repeat=1),
            "record_shapes": self.group_by_input_shapes,
            **self.profiler_kwargs,
        }
        theirs = given.pop("on_trace_ready", None)
        return profile(**given, on_trace_ready=lambda found: self._take(found, theirs))

    def _take(self, found: profile, theirs: Callable[[Any], Any] | None) -> None:
        """Keep the events of what was recorded, and write its trace; what lies behind the last step is no record."""
        if not self._recorded:
            return
        self.function_events = found.events()
        if theirs is not None:
            theirs(found)
        elif self.export_to_chrome:
            self._export(found)

    def _export(self, found: profile) -> None:
        folder, number = self.folder(), 1
        folder.mkdir(parents=True, exist_ok=True)
        while (path := folder / self._trace_name(number)).exists():
            number += 1
        temporary = folder / f".{path.name}.{os.getpid()}.json"
        try:
            found.export_chrome_trace(str(temporary))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        rank_zero_info(f"The trace of the profiler is in {str(path)!r}")

    def _trace_name(self, number: int) -> str:
        return f"{self.stage}-{self.filename or 'trace'}-rank{self.local_rank}-{number}.pt.trace.json"

    def _stop(self) -> None:
        for records in self._open.values():
            while records:
                records.pop().__exit__(None, None, None)
        running, self.profiler = self.profiler, None
        if running is not None:
            running.__exit__(None, None, None)

    def _is_step(self, action: str) -> bool:
        """Whether the action ends a step: a whole batch in training, with its backward and the optimizer's step."""
        if self.stage == "fit":
            return action == "run_training_batch"
        return action.endswith(f".{_STEPS.get(str(self.stage))}")

    def _mark(self, name: str, child: nn.Module) -> None:
        label = f"[pl][module]{type(child).__module__}.{type(child).__name__}: {name}"
        records: list[Any] = []

        def before(*_: Any) -> None:
            records.append(record_function(label))
            records[-1].__enter__()

        def after(*_: Any) -> None:
            if records:
                records.pop().__exit__(None, None, None)

        self._hooks += [
            child.register_forward_pre_hook(before),
            child.register_forward_hook(after, always_call=True),
        ]


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
_STEPS = {"validate": "validation_step", "test": "test_step", "predict": "predict_step"}


def _activities() -> list[ProfilerActivity]:
    kinds = [ProfilerActivity.CPU]
    return [*kinds, ProfilerActivity.CUDA] if torch.cuda.is_available() else kinds


def _check(emit_nvtx: bool, sort_by_key: str | None, table: dict[str, Any], given: dict[str, Any]) -> None:
    if sort_by_key is not None and sort_by_key not in Sorting:
        raise MisconfigurationException(
            f"sort_by_key={sort_by_key!r} is unknown. Choose one of {', '.join(map(repr, Sorting))}."
        )
    clash = table.keys() & {"sort_by", "row_limit"}
    if clash:
        raise MisconfigurationException(
            f"table_kwargs has {', '.join(sorted(clash))}: PyTorchProfiler has arguments of its own for that, "
            "sort_by_key and row_limit."
        )
    taker = torch.autograd.profiler.emit_nvtx if emit_nvtx else profile
    known = set(inspect.signature(taker.__init__).parameters) - {"self"}
    unknown = given.keys() - known
    if unknown:
        raise MisconfigurationException(
            f"PyTorchProfiler got {', '.join(sorted(unknown))}, which {taker.__qualname__} does not take. "
            f"It takes: {', '.join(sorted(known))}."
        )
