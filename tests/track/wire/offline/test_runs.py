"""Runs of the real client, offline, read from their files: finished, killed, and as they grow."""

import json
import math
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.wire.offline.records import (
    Alert,
    Artifact,
    ConfigChange,
    ConsoleText,
    Environment,
    Exit,
    FilesSaved,
    Header,
    HistoryRow,
    MetricDefinition,
    Run,
    SummaryChange,
    SystemMetrics,
)
from fulgurite.track.wire.offline.runs import OfflineRun, find_runs
from support.offline_run import PATIENCE, ended, start
from support.record_log import BLOCK, log_of
from support.wandb_file import records as pb2_records
from support.wandb_file import row_of

wandb = pytest.importorskip("wandb")
client = pytest.importorskip("wandb.proto.wandb_internal_pb2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder in which the client has recorded one run with everything in it."""
    folder = tmp_path_factory.mktemp("whole")
    process = start("everything", folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return folder


@pytest.fixture(scope="module")
def run(whole) -> OfflineRun:
    (run,) = find_runs(whole)
    return ended(run)


@pytest.fixture(scope="module")
def contents(run):
    """All that is recorded of the run."""
    found = run.read()
    assert run.read() == [] and run.damages == [] and run.unread() == 0
    return found


def of(kind, contents):
    return [content for content in contents if isinstance(content, kind)]


def tree(kind, contents):
    """What all changes of one kind make of an empty dict, the run's own first."""
    (run,) = of(Run, contents)
    found = {}
    (run.config if kind is ConfigChange else run.summary).apply_to(found)
    for change in of(kind, contents):
        change.apply_to(found)
    return found


def test_the_run_and_its_names(contents):
    """The first record is the client's, the second says what the run is called."""
    header, run = contents[:2]

    assert header == Header(wandb.__version__)
    assert (run.id, run.entity, run.project, run.display_name) == ("whole", "me", "demo", "nice")
    assert (run.group, run.job_type, run.notes, run.tags) == ("g", "train", "n", ("a", "b"))
    assert abs(time.time() - run.started) < 600
    assert run.client_version == wandb.__version__ and run.python_version


def test_the_configuration_with_its_updates(contents):
    """As it was at the end."""
    config = tree(ConfigChange, contents)

    assert {key: config[key] for key in ("lr", "bs", "net")} == {"lr": 0.1, "bs": 8, "net": {"depth": 4}}


def test_the_rows_of_the_history(contents):
    """Nested keys, text, NaN, Infinity and keys with dots; steps count up."""
    rows = of(HistoryRow, contents)
    last = rows[2].values

    assert [row.step for row in rows] == [row.values["_step"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row.values["loss"] for row in rows[:3]] == pytest.approx([1, 1 / 2, 1 / 3], abs=1e-12)
    assert (last["a"], last["dotted.key"], last["text"], last["flag"]) == ({"b": {"c": 2}, "d": [1, 2]}, 2, "hé", True)
    assert math.isnan(last["nan"]) and last["inf"] == -math.inf
    assert rows[4].values["val/x"] == 1.5


def test_the_media_of_a_row(run, contents):
    """Their descriptions are in the row, and their files where the row says."""
    values = of(HistoryRow, contents)[3].values

    assert values["h"]["_type"] == "histogram" and sum(values["h"]["values"]) == 3
    assert (values["img"]["_type"], values["img"]["caption"]) == ("image-file", "black")
    assert run.locate(values["img"]["path"]).read_bytes().startswith(b"\x89PNG")
    assert len({run.locate(name) for name in values["imgs"]["filenames"]}) == 2
    assert json.loads(run.locate(values["t"]["path"]).read_text())["data"] == [[1]]


def test_definitions_of_metrics(contents):
    """The pattern with its step metric, and the summaries asked for."""
    pattern, accuracy = [metric for metric in of(MetricDefinition, contents) if not metric.from_glob]

    assert (pattern.glob, pattern.step_metric, pattern.step_sync) == ("val/*", "epoch", True)
    assert (accuracy.name, set(accuracy.summaries)) == ("acc", {"max", "last"})


def test_the_summary_with_its_edits(contents):
    """The client's own values, what the user set, and not what the user deleted."""
    summary = tree(SummaryChange, contents)

    assert (summary["best"], summary["acc"]) == (2.5, {"max": 0.2, "last": 0.2})
    assert summary["a"]["b"]["c"] == 2 and "gone" not in summary


def test_the_console(run, contents):
    """Text by stream, in order; the client keeps the same in a file."""
    said = of(ConsoleText, contents)

    assert "to stdout\n" in "".join(text.text for text in said if text.stream == "stdout")
    assert "to stderr\n" in "".join(text.text for text in said if text.stream == "stderr")
    assert "to stdout" in run.locate("output.log").read_text()


def test_an_artifact_with_its_files(contents):
    """The copy that the client keeps is there to be read; a reference has its address."""
    artifact = next(found for found in of(Artifact, contents) if found.name == "data")

    assert (artifact.type, artifact.description, artifact.metadata) == ("dataset", "numbers", {"k": 1})
    assert "best" in artifact.aliases and artifact.run == "whole" and artifact.finalize
    file, reference = sorted(artifact.entries, key=lambda entry: entry.path)
    assert (file.path, file.size, Path(file.local_path).read_text()) == ("data.txt", 5, "1 2 3")
    assert (reference.path, reference.reference) == ("y", "http://example.invalid/y.bin")
    table = next(found for found in of(Artifact, contents) if found.type == "run_table")
    assert table.entries


def test_the_files_of_the_run(run, contents):
    """Those that the records name are found, and nothing outside."""
    named = {file.path: file for record in of(FilesSaved, contents) for file in record.files}

    assert named["data.txt"].policy == "end" and run.locate("data.txt").read_text() == "1 2 3"
    assert named["requirements.txt"].kind == "wandb" and "wandb" in run.locate("requirements.txt").read_text()
    assert set(named) <= set(run.saved())
    assert run.locate("../run-whole.wandb") is None and run.locate(str(run.file)) is None
    assert run.locate("media") is None and run.locate("none/such") is None


def test_the_end_the_alert_and_the_machine(run, contents):
    """An exit code that is not zero, and what ran where."""
    assert of(Alert, contents) == [Alert("look", "at this", "WARN", 60.0)]
    assert [(end.code, end.complete) for end in of(Exit, contents)] == [(3, True)]
    environment = {key: value for part in of(Environment, contents) for key, value in part.values.items()}
    assert Path(environment["program"]).name == "offline_client.py" and environment["cpu_count"] > 0
    assert len({part.writer for part in of(Environment, contents)}) == 1
    assert all("proc.memory.rssMB" in stats.values for stats in of(SystemMetrics, contents))
    assert run.finished and not run.synced
    assert set(run.ignored) <= {"telemetry"}


def test_no_record_is_left_out(run, contents):
    """Against the client's own messages: as many as it wrote, and each row the same."""
    theirs = list(pb2_records(run.file))
    rows = [row_of(record.history) for record in theirs if record.WhichOneof("record_type") == "history"]

    assert len(theirs) == len(contents) + run.ignored.total()
    assert [str(row.values) for row in of(HistoryRow, contents)] == [str(row) for row in rows]


def test_a_limit_gives_the_records_in_parts(run, contents):
    """Each time the next ones, and at last none; another reader goes on where one stopped."""
    parts, offset = [], 0
    while part := (reader := OfflineRun(run.folder, offset)).read(limit=7):
        assert len(part) <= 7
        parts += part
        offset = reader.offset

    assert [repr(content) for content in parts] == [repr(content) for content in contents]


@given(part=st.floats(0, 1))
def test_any_beginning_of_the_file_gives_the_first_records(tmp_path_factory, run, contents, part):
    """Wherever the writing was cut off."""
    folder = tmp_path_factory.mktemp("torn")
    data = run.file.read_bytes()
    (folder / "run-torn.wandb").write_bytes(data[: int(part * len(data))])
    torn = OfflineRun(folder)

    found = torn.read()

    assert [repr(content) for content in found] == [repr(content) for content in contents[: len(found)]]
    assert torn.damages == []
    assert torn.finished == bool(of(Exit, found))


def test_runs_are_found_from_the_folders_above(tmp_path):
    """From a `wandb` folder and the one above it, the oldest first; `latest-run` is no run of its own."""
    assert start("two", tmp_path).wait(PATIENCE) == 0
    (tmp_path / "wandb" / "run-20200101_000000-early").mkdir()
    (tmp_path / "wandb" / "run-20200101_000000-early" / "run-early.wandb").touch()
    (tmp_path / "wandb" / "offline-run-20200102_000000-begun").mkdir()

    assert [run.id for run in find_runs(tmp_path)] == ["early", "first", "second"]
    assert [run.id for run in find_runs(tmp_path / "wandb")] == ["early", "first", "second"]
    assert [run.id for run in find_runs(tmp_path / "wandb" / "latest-run")] == ["second"]
    early, first, _ = find_runs(tmp_path)
    assert early.read() == [] and not early.finished
    assert len(of(HistoryRow, ended(first).read())) == 1
    first.file.with_name(first.file.name + ".synced").touch()
    assert first.synced


def test_a_folder_that_is_not_there_or_no_runs(tmp_path):
    """The message says which folder was asked for, and which would do."""
    assert find_runs(tmp_path) == []
    with pytest.raises(FileNotFoundError, match=r"none.*Give a wandb folder"):
        find_runs(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"holds 0 files run-\*\.wandb"):
        OfflineRun(tmp_path)


def test_a_record_that_cannot_be_decoded_is_reported(tmp_path):
    """Those before and after it are read."""
    good = client.Record(exit=client.RunExitRecord(exit_code=1)).SerializeToString()
    (tmp_path / "run-x.wandb").write_bytes(log_of([good, b"\xff\xff\xff", good]))
    run = OfflineRun(tmp_path)

    assert run.read() == [Exit(1, 0, True)] * 2
    (damage,) = run.damages
    assert (damage.offset, damage.end) == (len(log_of([good])), len(log_of([good, b"\xff\xff\xff"])))


@pytest.mark.parametrize("beyond", [-8, -7, -1, 0, 1, 8, 15])
def test_the_end_is_seen_wherever_it_lies(tmp_path, beyond):
    """Even if its record reaches over the border of a block, or ends with one."""
    end = client.Record(num=1, exit=client.RunExitRecord()).SerializeToString()
    before = BLOCK + beyond - len(log_of([b"", end]))
    (tmp_path / "run-x.wandb").write_bytes(log_of([b"x" * (2 * BLOCK - 14), b"x" * before, end]))

    assert OfflineRun(tmp_path).finished


def test_a_run_is_read_as_it_grows_and_after_it_was_killed(tmp_path):
    """Rows come while it runs, none twice and none left out; after SIGKILL the run has no end."""
    process = start("endless", tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        (run,) = find_runs(tmp_path)
        rows, growths = [], 0
        deadline = time.monotonic() + PATIENCE
        while growths < 3:
            assert process.poll() is None and time.monotonic() < deadline
            new = of(HistoryRow, run.read())
            rows, growths = rows + new, growths + bool(new)
            time.sleep(0.05)
        assert not run.finished
    finally:
        kill(process)
    rows += of(HistoryRow, OfflineRun(run.folder, run.offset).read())

    assert [row.values["step"] for row in rows] == list(range(len(rows)))
    assert run.damages == [] and not run.finished


def kill(process: subprocess.Popen) -> None:
    """Kill the client and its background process at once."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        member.kill()
    psutil.wait_procs(family, timeout=PATIENCE)
    process.communicate()
