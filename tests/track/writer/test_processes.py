"""Processes end, are killed and fork: what was written stays, and nothing is written twice."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from fulgurite.track.writer.run import RunWriter

BEGIN = """
import os, sys, time
from fulgurite.track.writer.run import RunWriter
writer = RunWriter("p", "abc", facts=False)
writer.log({"loss": 1.0}, 0)
"""


def script(tmp_path, text):
    file = tmp_path / "script.py"
    file.write_text(BEGIN + textwrap.dedent(text))
    return [sys.executable, str(file)]


def found(store):
    return store.runs.find(store.runs.project("p"), "abc")


def steps(store):
    return store.history.read(found(store).id, "loss").steps.tolist()


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        ("writer.finish()", "finished"),
        ("writer.finish(2)", "failed"),
        ("", "finished"),
        ("raise ValueError('broken')", "failed"),
        ("writer.finish(); writer.log({'loss': 3.0}, 1)", "finished"),
        ("writer.finish(2); writer.log({'loss': 3.0}, 1)", "failed"),
        ("writer.finish(); writer.log({'loss': 3.0}, 1); raise ValueError('broken')", "failed"),
    ],
)
def test_how_a_script_ends(store, tmp_path, ending, state):
    """As the script does: an error that nobody catches is the run's, and the end of the script is its end. One that
    was ended before stays so when a value is added. Its rows are there all the same."""
    subprocess.run(script(tmp_path, f"writer.log({{'loss': 2.0}}, 1)\n{ending}\n"), stderr=subprocess.DEVNULL)

    assert steps(store) == [0, 1]
    assert found(store).state == state


def test_an_error_before_the_run_is_not_the_runs(store, tmp_path):
    """As in a notebook, which goes on after a cell has failed."""
    failed_cell = """
    import code
    code.InteractiveConsole().runcode(compile("1 / 0", "cell", "exec"))
    assert sys.last_type is ZeroDivisionError
    writer.finish()
    writer.log({"loss": 2.0}, 1)
    """
    subprocess.run(script(tmp_path, failed_cell), stderr=subprocess.DEVNULL)

    assert found(store).state == "finished"


def test_a_killed_process_loses_nothing_that_was_written(store, tmp_path):
    """SIGKILL while it logs: every row that was written stays, and the last second's is all that may be missing."""
    endless = """
    print("ready", flush=True)
    for step in range(1, 10**9):
        writer.log({"loss": float(step)}, step)
        time.sleep(0.001)
        if step % 100 == 0 and writer.flush():
            print(step, flush=True)
    """
    process = subprocess.Popen(script(tmp_path, endless), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    for _ in range(5):
        written = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    written = max([written, *(int(line) for line in process.stdout.read().split())])
    process.wait()

    kept = steps(store)
    assert kept == list(range(len(kept)))
    assert len(kept) > written
    assert store.history.read(found(store).id, "loss").values()[1:] == [float(step) for step in kept[1:]]
    assert found(store).recorded_state == "running"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_writes_nothing(store):
    """The child has a copy of rows that wait; they are the parent's, also when the child logs and ends in order."""
    writer = RunWriter("p", "abc", facts=False)
    writer.log({"loss": 1.0}, 0)
    writer.flush()
    writer.log({"loss": 1.0}, 1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            writer.log({"loss": -1.0}, 1)
            writer.config({"from": "child"})
            writer.finish(7)
            own = RunWriter("p", "child", facts=False)
            own.log({"loss": 5.0}, 0)
            own.finish()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    writer.log({"loss": 2.0}, 2)
    writer.finish()

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.history.read(found(store).id, "loss").values() == [1.0, 1.0, 2.0]
    assert (found(store).state, found(store).config) == ("finished", {})
    assert store.runs.find(store.runs.project("p"), "child").state == "finished"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_loader_write_nothing_twice(store, tmp_path, method):
    """A script that trains with workers, however they are started, has each row once and one run."""
    text = f"""
    import torch
    from torch.utils.data import DataLoader

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 40
        def __getitem__(self, index):
            print("loading")
            return torch.tensor(float(index))

    if __name__ == "__main__":
        writer = RunWriter("p", "abc", facts=False, console=True)
        loader = DataLoader(Rows(), num_workers=1, multiprocessing_context="{method}", persistent_workers=True)
        for epoch in range(2):
            for step, batch in enumerate(loader):
                writer.log({{"value": batch}}, 40 * epoch + step)
        writer.finish()
    """
    file = tmp_path / "script.py"
    file.write_text("from fulgurite.track.writer.run import RunWriter\n" + textwrap.dedent(text))
    subprocess.run([sys.executable, str(file)], check=True, stdout=subprocess.DEVNULL)

    values = store.history.read(found(store).id, "value").values()
    assert values == [float(number % 40) for number in range(80)]
    assert found(store).state == "finished" and len(store.runs.all(store.runs.project("p"))) == 1
    assert store.console.count(found(store).id) == 0


def test_two_processes_write_side_by_side(store, tmp_path):
    """Runs of several processes share a store: each has all of its rows."""
    text = """
    for step in range(1, 500):
        writer.log({"loss": float(step)}, step)
        time.sleep(0.001)
    writer.finish()
    """
    file = script(tmp_path, text)[1]
    processes = []
    for number in range(3):
        own = tmp_path / f"{number}.py"
        own.write_text((tmp_path / file).read_text().replace('"abc"', f'"run{number}"'))
        processes.append(subprocess.Popen([sys.executable, str(own)]))
    assert [process.wait() for process in processes] == [0, 0, 0]

    runs = store.runs.all(store.runs.project("p"))
    assert [run.row_count for run in runs] == [500] * 3
    assert {run.state for run in runs} == {"finished"}
