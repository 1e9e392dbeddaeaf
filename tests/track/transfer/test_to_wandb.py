"""Runs of the store reach a W&B server through the official client's own `wandb sync`."""

import subprocess
import sys

from fulgurite.track.store.console import Line
from fulgurite.track.store.store import Store
from fulgurite.track.transfer.to_wandb import write_offline


def test_a_run_is_synced_to_a_server(server, tmp_path):
    """Rows with steps and times, configuration, summary, tags and files arrive as they are in the store."""
    store = Store(tmp_path / "data")
    run, _ = store.runs.open(
        store.runs.project("moved", create=True),
        "m1",
        display_name="Moved",
        tags=["t"],
        config={"lr": 0.1, "n": {"a": 1}},
    )
    rows = [(step, {"loss": 1 / (step + 1), "deep": {"a": step}, "_timestamp": 1.7e9 + step}) for step in (0, 5, 9)]
    store.history.append(run.id, rows)
    run = store.runs.update(run, summary={"best": 3, "loss": 0.1})
    store.console.write(run.id, [Line(0, "stdout", None, None, "hello")])
    store.blobs.put(run.id, "media/a b.txt", store.blobs.keep_bytes(b"content"))

    (folder,) = write_offline(store, [run], tmp_path / "out")
    environment = server.environment()
    subprocess.run(
        [sys.executable, "-m", "wandb", "sync", str(folder)],
        env=environment,
        check=True,
        timeout=120,
        capture_output=True,
    )

    arrived = server.run("m1", "moved")
    got = server.store.history.rows(arrived.id)
    assert [row["_step"] for row in got] == [0, 5, 9]
    assert [row["loss"] for row in got] == [row["loss"] for _, row in rows]
    assert [row["_timestamp"] for row in got] == [1.7e9, 1.7e9 + 5, 1.7e9 + 9]
    assert got[1]["deep"] == {"a": 5}
    assert (arrived.display_name, arrived.tags, arrived.config) == ("Moved", ["t"], run.config)
    assert arrived.summary["best"] == 3
    kept = server.store.blobs.file(arrived.id, "media/a b.txt")
    assert server.store.blobs.path(kept.blob.sha256).read_bytes() == b"content"
    assert "console.log" in {file.name for file in server.store.blobs.files(arrived.id)}
    store.close()
