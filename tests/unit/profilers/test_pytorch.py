"""PyTorchProfiler: operators of a few steps, the names in them, and the trace."""

import json

import pytest
import torch

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.profilers import PyTorchProfiler
from fulgurite.testing import QUIET, TinyModule, batches

WHOLE = {"row_limit": -1, "table_kwargs": {"max_name_column_width": 200}}

pytestmark = pytest.mark.filterwarnings("ignore:There is a .validation_step.", "ignore:Profiler won.t be")


def fit(profiler, number=8, **arguments):
    Trainer(profiler=profiler, max_epochs=1, **{**QUIET, **arguments}).fit(TinyModule(), batches(number))
    return profiler


def test_three_steps_are_recorded_with_actions_and_modules():
    """The third to the fifth, each as a whole: forward, backward and the optimizer's step."""
    text = fit(PyTorchProfiler(export_to_chrome=False, **WHOLE)).summary()

    rows = {line.split("  ")[0].strip() or line.strip().split("  ")[0]: line for line in text.splitlines()}
    for name in ("[pl][profile][Strategy]SingleDeviceStrategy.training_step", "[pl][profile]run_training_batch",
                 "[pl][module]torch.nn.modules.linear.Linear: layer", "AddmmBackward0"):  # fmt: skip
        assert rows[name].split()[-1] == "3", name


def test_modules_are_left_out_where_that_is_asked():
    """No hook is left in the module either way."""
    profiler = PyTorchProfiler(record_module_names=False, export_to_chrome=False, **WHOLE)
    module = TinyModule()
    Trainer(profiler=profiler, max_epochs=1, **QUIET).fit(module, batches(8))

    assert "[pl][module]" not in profiler.summary()
    assert not module.layer._forward_hooks and not module.layer._forward_pre_hooks


def test_modules_that_are_built_in_the_run_have_names():
    """What `configure_model` brings is there before the first step."""

    class Late(TinyModule):
        def __init__(self):
            super().__init__()
            self.late = None

        def configure_model(self):
            if self.late is None:
                self.late = torch.nn.Tanh()

        def forward(self, batch):
            return self.layer(self.late(batch))

    profiler = PyTorchProfiler(export_to_chrome=False, **WHOLE)
    Trainer(profiler=profiler, max_epochs=1, **QUIET).fit(Late(), batches(8))

    assert "[pl][module]torch.nn.modules.activation.Tanh: late" in profiler.summary()


def test_hooks_are_taken_back():
    """A module that was measured is as it was."""
    module = TinyModule()
    Trainer(profiler=PyTorchProfiler(export_to_chrome=False), max_epochs=1, **QUIET).fit(module, batches(8))

    assert not module.layer._forward_hooks and not module.layer._forward_pre_hooks


def test_the_trace_is_chromes(tmp_path):
    """One whole file for each rank and recording, a second one beside it."""
    for _ in range(2):
        fit(PyTorchProfiler(dirpath=tmp_path, filename="ops"))

    traces = sorted(path.name for path in tmp_path.glob("*.json"))
    assert traces == ["fit-ops-rank0-1.pt.trace.json", "fit-ops-rank0-2.pt.trace.json"]
    events = json.loads((tmp_path / traces[0]).read_text())["traceEvents"]
    assert any(event.get("name") == "[pl][profile]run_training_batch" for event in events)
    assert not list(tmp_path.glob(".*"))


def test_a_schedule_of_ones_own():
    """What `torch.profiler.profile` takes goes there."""
    schedule = torch.profiler.schedule(wait=0, warmup=0, active=1, repeat=1)
    profiler = fit(PyTorchProfiler(schedule=schedule, export_to_chrome=False, profile_memory=True, **WHOLE))

    line = next(line for line in profiler.summary().splitlines() if "run_training_batch" in line)
    assert line.split()[-1] == "1" and "CPU Mem" in profiler.summary()


def test_a_trace_handler_of_ones_own():
    """It takes the place of the export, and the table is there all the same."""
    seen = []
    profiler = fit(PyTorchProfiler(on_trace_ready=seen.append))

    assert len(seen) == 1 and "run_training_batch" in profiler.summary()


def test_a_run_that_is_too_short_is_told():
    """Two steps are less than the schedule waits for; the report says so and what to do."""
    text = fit(PyTorchProfiler(export_to_chrome=False), number=2).summary()

    assert "Nothing was recorded: the run had 2 steps" in text and "schedule=" in text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"sort_by_key": "speed"}, "cpu_time_total"),
        ({"table_kwargs": {"row_limit": 3}}, "row_limit"),
        ({"with_stacks": True}, "with_stack"),
        ({"emit_nvtx": True, "schedule": None}, "emit_nvtx"),
    ],
)
def test_arguments_are_checked_at_once(arguments, named):
    """A misspelt one names what there is."""
    with pytest.raises(MisconfigurationException, match=named):
        PyTorchProfiler(**arguments)


def test_nvtx_needs_no_table():
    """Ranges are for another program to see; the run trains and reports nothing."""
    if not (torch.cuda.is_available() and torch.backends.cuda.is_built()):
        pytest.skip("NVTX marks ranges for CUDA's profilers")
    assert fit(PyTorchProfiler(emit_nvtx=True)).summary() == ""
