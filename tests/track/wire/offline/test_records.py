"""What records say, written with the client's own messages and read with ours."""

import json
import math
import subprocess
import sys

import pytest

from fulgurite.track.wire.offline.records import (
    Alert,
    Artifact,
    ArtifactUsed,
    BranchPoint,
    ConsoleText,
    Environment,
    Exit,
    Final,
    Git,
    Header,
    HistoryRow,
    Ignored,
    MetricDefinition,
    Preempting,
    SavedFile,
    SystemMetrics,
    decode,
)

client = pytest.importorskip("wandb.proto.wandb_internal_pb2")


def decoded(**content):
    """Our reading of a record that the client's messages wrote."""
    record = client.Record(num=7, **content)
    record._info.stream_id = "x"
    record.control.mailbox_slot = "slot"
    return decode(record.SerializeToString())


def row(*items):
    return decoded(history=client.HistoryRecord(item=items)).values


def item(value=None, *path, key="", **typed):
    return client.HistoryItem(key=key, nested_key=path, value_json=value or "", **typed)


def test_a_row_of_json_values():
    """Numbers, booleans, text, lists, None; keys with dots stay one key."""
    values = row(
        item("1", "n"),
        item("0.5", "loss"),
        item('"hé"', "text"),
        item("[1,2]", key="list"),
        item("true", "a.b"),
        item("null", "none"),
    )

    assert values == {"n": 1, "loss": 0.5, "text": "hé", "list": [1, 2], "a.b": True, "none": None}
    assert isinstance(values["n"], int)


def test_a_row_of_typed_values():
    """As clients from 0.31 on may write them; zero, False and empty text are values, too."""
    values = row(
        item(None, "i", integer=-3),
        item(None, "zero", integer=0),
        item(None, "x", number=0.25),
        item(None, "t", text=""),
        item(None, "no", boolean=False),
        item(None, "none", none=0),
        item(None, "j", json='{"a":[1]}'),
        item(None, "inf", number=math.inf),
        item(None, "unset"),
    )

    assert values == {
        "i": -3,
        "zero": 0,
        "x": 0.25,
        "t": "",
        "no": False,
        "none": None,
        "j": {"a": [1]},
        "inf": math.inf,
        "unset": None,
    }
    assert values["no"] is False


def test_nan_and_infinity():
    """The client writes them as bare words, which strict JSON does not know."""
    values = row(item("NaN", "a"), item("Infinity", "b"), item("-Infinity", "c"), item('[NaN,{"x":Infinity}]', "d"))

    assert math.isnan(values["a"]) and (values["b"], values["c"]) == (math.inf, -math.inf)
    assert math.isnan(values["d"][0]) and values["d"][1] == {"x": math.inf}


def test_nested_keys_make_nested_dicts():
    """In any order; where a value and a dict want the same place, the later one has it."""
    values = row(
        item("1", "a", "b", "c"), item("2", "a", "d"), item("3", "v"), item("4", "v", "w"), item("5", "a", "b", "e")
    )

    assert values == {"a": {"b": {"c": 1, "e": 5}, "d": 2}, "v": {"w": 4}}


@pytest.mark.parametrize("text", ["{broken", "1 2", "nan", "'x'"])
def test_a_value_that_is_no_json_comes_as_its_text(text):
    """One odd value must not hide the rest of its row."""
    assert row(item(text, "odd"), item("1", "n")) == {"odd": text, "n": 1}


def test_the_step_of_a_row():
    """Zero is a step; none given is none."""
    assert decoded(history=client.HistoryRecord(step=client.HistoryStep(num=0))) == HistoryRow(0, {})
    assert decoded(history=client.HistoryRecord(step=client.HistoryStep(num=2**40))) == HistoryRow(2**40, {})
    assert decoded(history=client.HistoryRecord()) == HistoryRow(None, {})


def test_a_summary_is_changed_in_order():
    """Values are set by path, then keys are deleted, even those that are not there."""
    change = decoded(
        summary=client.SummaryRecord(
            update=[
                client.SummaryItem(nested_key=["val", "acc"], value_json="0.5"),
                client.SummaryItem(key="n", value_json="2"),
            ],
            remove=[client.SummaryItem(key="old"), client.SummaryItem(nested_key=["none", "such"])],
        )
    )
    summary = {"old": 1, "val": {"loss": 1.0}, "n": 1}

    change.apply_to(summary)

    assert summary == {"val": {"loss": 1.0, "acc": 0.5}, "n": 2}
    assert change.update == [(("val", "acc"), 0.5), (("n",), 2)]
    assert change.remove == [("old",), ("none", "such")]


def test_a_configuration_is_changed_likewise():
    """Here with a value that gives way to a dict."""
    change = decoded(
        config=client.ConfigRecord(
            update=[
                client.ConfigItem(key="net", value_json='{"depth":4}'),
                client.ConfigItem(nested_key=["lr", "head"], value_json="0.1"),
            ]
        )
    )
    config = {"lr": 0.5}

    change.apply_to(config)

    assert config == {"net": {"depth": 4}, "lr": {"head": 0.1}}
    assert repr(change) == "ConfigChange(update=[(('net',), {'depth': 4}), (('lr', 'head'), 0.1)], remove=[])"


def test_a_run_record():
    """Names, tags, times, where it was forked from, and what it begins with."""
    record = client.RunRecord(
        run_id="r1",
        entity="me",
        project="p",
        display_name="nice",
        run_group="g",
        job_type="train",
        notes="n",
        tags=["a", "b"],
        sweep_id="s1",
        host="box",
        starting_step=5,
        runtime=60,
        resumed=True,
        resume=True,
        forked=True,
        git=client.GitRepoRecord(remote_url="git@x:y.git", commit="abc"),
        branch_point=client.BranchPoint(run="r0", metric="_step", value=4.0),
        config=client.ConfigRecord(update=[client.ConfigItem(key="lr", value_json="0.1")]),
        summary=client.SummaryRecord(update=[client.SummaryItem(key="best", value_json="1")]),
    )
    record.start_time.FromMilliseconds(1_700_000_000_250)
    record.telemetry.cli_version = "0.31.0"

    run = decoded(run=record)

    assert (run.id, run.entity, run.project, run.display_name) == ("r1", "me", "p", "nice")
    assert (run.group, run.job_type, run.notes, run.tags, run.sweep) == ("g", "train", "n", ("a", "b"), "s1")
    assert (run.host, run.started, run.starting_step, run.runtime) == ("box", 1_700_000_000.25, 5, 60)
    assert (run.resume, run.resumed, run.forked) == (True, True, True)
    assert run.branch_point == BranchPoint("r0", "_step", 4.0) and run.git == Git("git@x:y.git", "abc")
    assert run.config.update == [(("lr",), 0.1)] and run.summary.update == [(("best",), 1)]
    assert run.client_version == "0.31.0"


def test_a_run_record_that_says_little():
    """What is not given is empty or None."""
    run = decoded(run=client.RunRecord(run_id="r1"))

    assert (run.display_name, run.tags, run.started, run.branch_point, run.git) == ("", (), None, None, None)
    assert run.config.update == [] and run.summary.update == []


def test_definitions_of_metrics():
    """Summaries by name; the goal and the pattern, where said."""
    metric = client.MetricRecord(
        glob_name="val/*",
        step_metric="epoch",
        goal=client.MetricRecord.GOAL_MAXIMIZE,
        expanded_from_glob=True,
        options=client.MetricOptions(step_sync=True, hidden=True, defined=True),
        summary=client.MetricSummary(min=True, last=True),
    )
    metric._control.overwrite = True

    assert decoded(metric=metric) == MetricDefinition(
        "", "val/*", "epoch", True, True, True, ("min", "last"), "maximize", True, True
    )
    assert decoded(metric=client.MetricRecord(name="acc")).goal is None


def test_an_artifact_record():
    """Files by their place, references by their address; metadata and the manifest's settings decoded."""
    entries = [
        client.ArtifactManifestEntry(path="a.txt", digest="d1", size=3, local_path="/tmp/x"),
        client.ArtifactManifestEntry(
            path="b", ref="s3://k/b", digest="e", extra=[client.ExtraItem(key="etag", value_json='"e"')]
        ),
    ]
    manifest = client.ArtifactManifest(
        version=1,
        storage_policy="policy",
        contents=entries,
        storage_policy_config=[client.StoragePolicyConfigItem(key="storageLayout", value_json='"V2"')],
    )

    found = decoded(
        artifact=client.ArtifactRecord(
            run_id="r1",
            type="dataset",
            name="data",
            digest="d",
            description="text",
            metadata='{"k":[1]}',
            aliases=["best", "latest"],
            tags=["t"],
            manifest=manifest,
            finalize=True,
            client_id="c",
            ttl_duration_seconds=-1,
        )
    )

    assert isinstance(found, Artifact)
    assert (found.type, found.name, found.aliases, found.tags) == ("dataset", "data", ("best", "latest"), ("t",))
    assert (found.metadata, found.ttl, found.finalize) == ({"k": [1]}, -1, True)
    assert found.storage == {"policy": "policy", "storageLayout": "V2"}
    file, reference = found.entries
    assert (file.path, file.digest, file.size, file.local_path, file.reference) == ("a.txt", "d1", 3, "/tmp/x", "")
    assert (reference.reference, reference.local_path, reference.extra) == ("s3://k/b", "", {"etag": "e"})


def test_environment_comes_as_a_dict_of_what_is_known():
    """Maps and lists as such; zero is as good as unknown."""
    record = client.EnvironmentRecord(os="Linux", args=["--x"], cpu_count=2, writer_id="w")
    record.started_at.FromSeconds(1_700_000_000)
    record.disk["/"].total = 10
    record.slurm["JOB"] = "7"
    record.memory.total = 5
    record.gpu_nvidia.add(name="H200")

    assert decoded(environment=record) == Environment(
        "w",
        {
            "os": "Linux",
            "args": ["--x"],
            "cpu_count": 2,
            "started_at": 1_700_000_000.0,
            "disk": {"/": {"total": 10}},
            "slurm": {"JOB": "7"},
            "memory": {"total": 5},
            "gpu_nvidia": [{"name": "H200"}],
        },
    )


def test_console_text_keeps_its_line_ends():
    """Written raw or by lines, to stdout or stderr."""
    raw = client.OutputRawRecord(output_type=client.OutputRawRecord.STDOUT, line="50%\r100%\n")
    raw.timestamp.FromMilliseconds(1500)

    assert decoded(output_raw=raw) == ConsoleText("stdout", 1.5, "50%\r100%\n", True)
    assert decoded(output=client.OutputRecord(line="oh")) == ConsoleText("stderr", None, "oh", False)


def test_the_small_records():
    """One line each."""
    stats = client.StatsRecord(item=[client.StatsItem(key="cpu", value_json="12.5")])
    stats.timestamp.FromSeconds(3)
    files = [client.FilesItem(path="media/x.png", policy=client.FilesItem.LIVE, type=client.FilesItem.MEDIA)]

    assert decoded(stats=stats) == SystemMetrics(3.0, {"cpu": 12.5})
    assert decoded(files=client.FilesRecord(files=files)).files == (SavedFile("media/x.png", "live", "media"),)
    assert decoded(header={"version_info": {"producer": "0.31.0+abc"}}) == Header("0.31.0")
    assert decoded(exit=client.RunExitRecord(exit_code=3, runtime=9)) == Exit(3, 9, True)
    assert decoded(exit=client.RunExitRecord(not_complete=True)) == Exit(0, 0, False)
    assert decoded(alert=client.AlertRecord(title="t", text="x", level="WARN", wait_duration=60000)) == Alert(
        "t", "x", "WARN", 60.0
    )
    assert decoded(use_artifact=client.UseArtifactRecord(id="i", type="t", name="n")) == ArtifactUsed("i", "t", "n")
    assert decoded(preempting=client.RunPreemptingRecord()) == Preempting()
    assert decoded(final=client.FinalRecord()) == Final()


def test_what_says_nothing_of_the_run_is_named():
    """So that it can be counted; of kinds that this version does not know, the number is known."""
    unknown = bytes([0xFA, 0x0F, 0x02, 0x0A, 0x00])  # field 255, two bytes long

    assert decoded(telemetry={"cli_version": "0.31.0"}) == Ignored("telemetry")
    assert decoded(request=client.Request()) == Ignored("request")
    assert decode(client.Record(num=3).SerializeToString() + unknown) == Ignored("255")
    assert decode(b"") == Ignored("empty")


def test_bytes_that_are_no_record_are_refused():
    """The caller knows where they lie in the file, and says so."""
    with pytest.raises(ValueError, match="no record"):
        decode(b"\xff\xff\xff")


def test_reading_needs_neither_the_client_nor_torch():
    """A machine that only shows runs has neither."""
    script = (
        "import sys, json, fulgurite.track.wire.offline.runs as _; "
        "print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    loaded = set(json.loads(answer.stdout))
    assert "google" in loaded and loaded & {"torch", "wandb", "numpy"} == set()
