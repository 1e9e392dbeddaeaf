"""A run's rows on their way from the training to the store."""

import math
import time

import numpy as np
import pytest
import torch

from fulgurite.track.store.errors import NotFound
from fulgurite.track.writer.outlet import Outlet
from fulgurite.track.writer.run import RunWriter, _finish_open


def run_of(store, writer):
    return store.runs.find(store.runs.project(writer.project), writer.name)


def rows_of(store, writer):
    """The rows without the times."""
    rows = store.history.rows(run_of(store, writer).id)
    return [{name: value for name, value in row.items() if name not in ("_timestamp", "_runtime")} for row in rows]


def is_there(store, writer):
    try:
        return run_of(store, writer)
    except NotFound:
        return None


def test_rows_of_one_step_are_one_row(store):
    """The trainer sends a step's training and validation values apart; without a step, steps are counted on."""
    writer = RunWriter("p", facts=False)

    writer.log({"loss": 1.0}, 3)
    writer.log({"val": 2.0, "epoch": 0}, 3)
    writer.log({"loss": 0.5})
    writer.finish()

    assert rows_of(store, writer) == [
        {"_step": 3, "loss": 1.0, "val": 2.0, "epoch": 0},
        {"_step": 4, "loss": 0.5},
    ]


def test_rows_are_in_the_store_within_a_second(store, soon):
    """Nobody calls flush: what was logged is seen by another process while the run goes on."""
    writer = RunWriter("p", facts=False)
    writer.log({"loss": 1.0}, 0)
    soon(lambda: is_there(store, writer) and rows_of(store, writer))

    late = []
    for step in range(1, 4):
        writer.log({"loss": 1.0}, step)
        logged = time.monotonic()
        soon(lambda step=step: rows_of(store, writer)[-1]["_step"] == step)
        late.append(time.monotonic() - logged)
    writer.finish()

    # The middle one: a machine that is busy for once proves nothing.
    assert sorted(late)[1] <= 1.0


def test_every_row_has_its_time(store):
    """The time of the log call, not that of the writing; the runtime counts from the run's beginning."""
    writer = RunWriter("p", facts=False)
    before = time.time()
    writer.log({"loss": 1.0}, 0)
    after = time.time()
    time.sleep(0.05)
    writer.finish()

    (row,) = store.history.rows(run_of(store, writer).id)
    assert before <= row["_timestamp"] <= after
    assert row["_runtime"] == pytest.approx(row["_timestamp"] - run_of(store, writer).created_at)


def test_the_summary_holds_the_last_values(store):
    """Unless something else is said, which may be any name."""
    writer = RunWriter("p", facts=False)
    for step in range(5):
        writer.log({"loss": 1.0 / (step + 1)}, step)
    writer.log({"val": 7}, 2)
    writer.summary({"best": 0.1})
    writer.finish()

    summary = run_of(store, writer).summary
    assert {"loss": 0.2, "val": 7, "best": 0.1, "_step": 2}.items() <= summary.items()


def test_values_are_read_when_they_are_logged(store):
    """Tensors, arrays and lists may change a moment later; a row can hold what JSON can."""
    writer = RunWriter("p", facts=False)
    tensor, array, listed = torch.ones(1), np.float32(0.5), [1, {"a": np.arange(2)}]

    writer.log({"t": tensor, "n": array, "l": listed, "none": None, "odd": math.nan, "dtype": torch.float32, 5: "x"}, 0)
    tensor.add_(1)
    listed.append(2)
    writer.finish()

    (row,) = rows_of(store, writer)
    assert math.isnan(row.pop("odd"))
    assert row == {
        "_step": 0, "t": 1.0, "n": 0.5, "l": [1, {"a": [0, 1]}], "none": None, "dtype": "torch.float32", "5": "x",
    }  # fmt: skip


def test_odd_names_do_not_stop_the_others(store):
    """Half a character can't be kept in a name; it is replaced, and the row is there."""
    writer = RunWriter("p", facts=False)

    writer.log({"a\udc80": 1.0, "é": 2.0}, 0)
    writer.finish()

    assert rows_of(store, writer) == [{"_step": 0, "a?": 1.0, "é": 2.0}]


def test_a_step_must_fit(store):
    """The error comes at the user's line, not in a thread."""
    with pytest.raises(ValueError, match="step="):
        RunWriter("p").log({"loss": 1.0}, 2**62 + 1)


@pytest.mark.parametrize(
    ("ending", "state", "code"),
    [((0,), "finished", 0), ((3,), "failed", 3), ((255, "killed"), "killed", 255)],
)
def test_the_end_is_noted(store, ending, state, code):
    """A state that the exit code does not tell can be said."""
    writer = RunWriter("p", facts=False)
    writer.log({"loss": 1.0}, 0)
    assert is_there(store, writer) is None
    writer.flush()
    assert run_of(store, writer).state == "running"
    writer.finish(*ending)

    run = run_of(store, writer)
    assert (run.state, run.exit_code) == (state, code)


def test_an_interrupted_end_is_made_up_for(store, monkeypatch):
    """Ctrl-C while the last rows are written: the interpreter's end writes them, and the first word counts."""
    writer = RunWriter("p", facts=False)
    writer.log({"loss": 1.0}, 0)
    take = Outlet.take
    monkeypatch.setattr(Outlet, "take", interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.finish(0)
    monkeypatch.setattr(Outlet, "take", take)

    _finish_open()

    assert run_of(store, writer).state == "finished" and rows_of(store, writer) == [{"_step": 0, "loss": 1.0}]


def interrupt(*_):
    raise KeyboardInterrupt


def test_logging_after_the_end_goes_on_with_the_run(store, soon):
    """A test after a fit: the run is running again, then finished, and what was changed meanwhile stays."""
    writer = RunWriter("p", facts=False, display_name="mine")
    writer.log({"loss": 1.0}, 0)
    writer.finish()
    store.runs.update(run_of(store, writer), display_name="renamed")

    writer.log({"test": 2.0}, 1)
    soon(lambda: run_of(store, writer).state == "running")
    writer.finish(1)

    run = run_of(store, writer)
    assert (run.state, run.display_name, run.row_count) == ("failed", "renamed", 2)
    assert len(store.runs.all(store.runs.project("p"))) == 1


def test_a_run_of_an_earlier_process_is_continued(store):
    """By its id: notes that are given again are taken, all else stays."""
    first = RunWriter("p", "abc", facts=False, display_name="first", notes="old", tags=["a"])
    first.log({"loss": 1.0}, 0)
    first.config({"lr": 0.1})
    first.finish()

    second = RunWriter("p", "abc", facts=False, display_name="second", notes="new", tags=[])
    second.log({"loss": 0.5}, 1)
    second.config({"width": 8})
    second.finish()

    run = run_of(store, second)
    assert (run.display_name, run.notes, run.tags) == ("first", "new", ["a"])
    assert run.config == {"lr": 0.1, "width": 8}
    assert [row["loss"] for row in rows_of(store, second)] == [1.0, 0.5]


def test_an_unused_writer_leaves_nothing(store):
    """A run is opened by the first thing that is logged, not before."""
    writer = RunWriter("p", console=True, system=True)
    writer.listen()
    print("something")
    writer.finish(1)

    assert store.runs.projects() == []


def test_a_silent_run_gives_signs_of_life(store, monkeypatch):
    """An epoch may take an hour without a row: the run must not count as crashed."""
    monkeypatch.setattr("fulgurite.track.writer.outlet.HEARTBEAT", 0.0)
    monkeypatch.setattr("fulgurite.track.writer.outlet.LISTENING", 0.0)
    writer = RunWriter("p", facts=False)
    writer.log({"loss": 1.0}, 0)
    writer.flush()
    seen = run_of(store, writer).seen_at
    time.sleep(0.05)
    writer.flush()

    assert run_of(store, writer).seen_at > seen
    writer.finish()


def test_machine_program_and_code_are_noted(store):
    """Once per run, in the background: facts, packages, and the script where there is one."""
    writer = RunWriter("p")
    writer.open()
    writer.finish()

    run = run_of(store, writer)
    assert {"host", "os", "python", "program", "startedAt", "cpu_count_logical"} <= run.facts.keys()
    assert "torch==" in store.blobs.path(store.blobs.file(run.id, "requirements.txt").blob.sha256).read_text()


def test_files_are_kept(store, tmp_path):
    """As bytes or by path; one that is lent is gone when it is kept."""
    own, lent = tmp_path / "own.txt", tmp_path / "lent.txt"
    own.write_text("mine")
    lent.write_text("yours")
    writer = RunWriter("p", facts=False)

    writer.file("a/bytes", b"123")
    writer.file("own", own)
    writer.file("lent", lent, lent=True)
    writer.finish()

    files = {file.name: store.blobs.path(file.blob.sha256).read_bytes() for file in store.blobs.files(1)}
    assert files == {"a/bytes": b"123", "own": b"mine", "lent": b"yours"}
    assert own.exists() and not lent.exists()


def test_system_metrics_are_kept_in_their_own_stream(store, soon):
    """At milliseconds, under W&B's names; they are no rows of the training."""
    writer = RunWriter("p", facts=False, system=0.05)
    writer.open()
    soon(lambda: is_there(store, writer) and run_of(store, writer).event_count >= 2)
    writer.finish()

    rows = store.history.rows(run_of(store, writer).id, stream=1)
    assert {"system.cpu", "system.memory_percent", "_timestamp", "_runtime"} <= rows[-1].keys()
    assert run_of(store, writer).row_count == 0
