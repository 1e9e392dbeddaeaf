"""Offline runs of the real client are read as they are, also while they grow."""

import json
import math
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from fulgurite.track.store.history import SYSTEM
from fulgurite.track.store.store import Store
from fulgurite.track.transfer import from_wandb
from fulgurite.track.transfer.exporting import export
from support.track_server import clean_environment

WHOLE = """
import numpy as np
import wandb

run = wandb.init(mode="offline", project="p", id="off", name="Offline", config={"lr": 0.1, "deep": {"a": 1}},
                 tags=["t"], notes="some notes", group="g", job_type="train",
                 settings=wandb.Settings(x_stats_sampling_interval=0.2))
run.define_metric("val/*", step_metric="epoch", step_sync=True)
run.define_metric("val/acc", summary="max")
for i in range(5):
    run.log({"loss": 1 / (i + 1), "deep": {"a": i}, "nan": float("nan"), "val/acc": i})
run.log({"image": wandb.Image(np.zeros((4, 4, 3), dtype=np.uint8))})
run.config.update({"late": 1})
run.summary["best"] = 7
run.alert("Title", "Text")
print("hello from the run")
import time; time.sleep(1)
run.finish(exit_code=3)
"""


def recorded(script: str, folder: Path) -> list[Path]:
    """Run a script with the client, offline, and return the folders of the runs it left."""
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=clean_environment(folder),
        cwd=folder,
        check=True,
        timeout=120,
        capture_output=True,
    )
    return from_wandb.find(folder)


def test_an_offline_run_is_taken_whole_and_once(store, tmp_path):
    """As if it had been online: rows, configuration, summary, console, files, system metrics, alert and exit code."""
    (folder,) = recorded(WHOLE, tmp_path)

    from_wandb.take(store, folder)
    run = from_wandb.take(store, folder)

    rows = store.history.rows(run.id)
    assert (run.name, run.display_name, run.notes, run.group_name, run.job_type, run.tags) == (
        "off", "Offline", "some notes", "g", "train", ["t"],
    )  # fmt: skip
    assert run.config == {"lr": 0.1, "deep": {"a": 1}, "late": 1}
    assert [row["_step"] for row in rows] == list(range(6))
    assert rows[4]["loss"] == 0.2 and rows[4]["deep"] == {"a": 4} and math.isnan(rows[4]["nan"])
    assert run.summary["best"] == 7 and run.summary["val/acc"]["max"] == 4
    assert (run.state, run.exit_code, run.row_count) == ("failed", 3, 6)
    assert "hello from the run" in [line.line for line in store.console.read(run.id)]
    assert rows[5]["image"]["path"] in {file.name for file in store.blobs.files(run.id)}
    assert "system.cpu" in store.history.keys(run.id, SYSTEM)
    assert [alert["title"] for alert in store.runs.alerts(run)] == ["Title"]
    assert {"val/*", "val/acc"} <= {each.get("1", each.get("2")) for each in run.facts["_wandb"]["m"]}
    assert len(store.runs.all(run.project)) == 1


def test_artifacts_of_an_offline_run_are_versions(store, tmp_path, caplog):
    """With their files, references, aliases and metadata; one whose files are gone is named and left out."""
    script = """
    import wandb
    from pathlib import Path
    run = wandb.init(mode="offline", project="p", id="arts")
    Path("model.pt").write_bytes(b"weights")
    for i in range(2):
        artifact = wandb.Artifact("model", "model", metadata={"i": i})
        artifact.add_file("model.pt", name="sub/model.pt")
        artifact.add_reference("http://127.0.0.1/data", name="far", checksum=False)
        run.log_artifact(artifact, aliases=["best"])
        Path("model.pt").write_bytes(b"newer weights")
    gone = wandb.Artifact("gone", "data")
    Path("gone.txt").write_text("gone")
    gone.add_file("gone.txt", policy="immutable", skip_cache=True)
    run.log_artifact(gone)
    run.finish()
    Path("gone.txt").unlink()
    """
    (folder,) = recorded(script, tmp_path)

    from_wandb.take(store, folder)
    run = from_wandb.take(store, folder)

    collection = store.artifacts.collections.find(run.project, "model")
    versions = {member.number: member.artifact_id for member in store.artifacts.members.of(collection)}
    newest = store.artifacts.by_id(versions[1])
    entries = {entry.name: entry for entry in store.artifacts.contents.entries(newest.id)}
    assert sorted(versions) == [0, 1] and newest.run_id == run.id and json.loads(newest.metadata) == {"i": 1}
    assert entries["far"].ref == "http://127.0.0.1/data"
    assert store.blobs.path(entries["sub/model.pt"].sha256).read_bytes() == b"newer weights"
    assert {alias.name for alias in store.artifacts.members.aliases(newest.id)} == {"best", "latest"}
    assert "Artifact gone of run arts is left out" in caplog.text
    (exported,) = export(store, [run], tmp_path / "out")
    assert (exported / "artifacts" / "model" / "v1" / "sub" / "model.pt").read_bytes() == b"newer weights"
    about = json.loads((exported / "run.json").read_text())["artifacts"]
    assert [(each["version"], each["metadata"]) for each in about] == [("v0", {"i": 0}), ("v1", {"i": 1})]


def test_a_run_is_followed_while_it_grows(store, tmp_path):
    """What the client has written is there at the next look; another reader goes on where the first one stopped."""
    script = """
    import time, wandb
    run = wandb.init(mode="offline", project="p", id="grows")
    for i in range(2000):
        run.log({"loss": i, "padding": "x" * 100})
    input()
    run.log({"loss": -1})
    run.finish()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], env=clean_environment(tmp_path), cwd=tmp_path,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as client:  # fmt: skip
        first = wait_for(lambda: grown(store, tmp_path, 1000))
        assert store.runs.by_id(first.id).state == "running"
        client.communicate(b"\n", timeout=60)

    run = wait_for(lambda: grown(store, tmp_path, 2001))
    assert store.history.read(run.id, "loss").values() == [*range(2000), -1]
    assert (run.id, run.state) == (first.id, "finished")


def grown(store: Store, folder: Path, rows: int):
    """The only run in ``folder``, read by a new reader, once it has at least so many rows."""
    for found in from_wandb.find(folder):
        follower = from_wandb.Follower(store, found)
        follower.pull()
        if follower.run is not None and store.runs.by_id(follower.run.id).row_count >= rows:
            return store.runs.by_id(follower.run.id)
    return None


def wait_for(look, patience: float = 60.0):
    deadline = time.monotonic() + patience
    while (found := look()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found
