"""A run of the real, unmodified client arrives whole."""

import math

SCRIPT = """
import numpy as np
import wandb

run = wandb.init(project="p", id="whole", name="A run", config={"lr": 0.1, "deep": {"a": [1, 2]}}, tags=["t"],
                 notes="some notes", group="g", job_type="train")
for i in range(5):
    run.log({"loss": 1 / (i + 1), "n": i, "deep": {"a": i}, "nan": float("nan"), "word": "hi", "yes": True})
run.log({"hist": wandb.Histogram(np.arange(10.0)), "image": wandb.Image(np.zeros((4, 4, 3), dtype=np.uint8))})
run.config.update({"late": 1})
run.summary["best"] = 7
print("hello from the run")
run.finish()
"""


def test_a_run_arrives_whole(server):
    """Configuration, rows with their types, summary, tags, console and files are there, and the run has finished."""
    server.client(SCRIPT)

    run = server.run("whole")
    rows = server.store.history.rows(run.id)
    assert (run.display_name, run.notes, run.group_name, run.job_type) == ("A run", "some notes", "g", "train")
    assert run.tags == ["t"]
    assert run.config == {"lr": 0.1, "deep": {"a": [1, 2]}, "late": 1}
    assert [row["_step"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert rows[4]["loss"] == 0.2 and rows[4]["n"] == 4 and rows[4]["deep"] == {"a": 4}
    assert math.isnan(rows[4]["nan"]) and rows[4]["word"] == "hi" and rows[4]["yes"] is True
    assert rows[5]["hist"]["_type"] == "histogram"
    assert run.summary["best"] == 7 and run.summary["loss"] == 0.2
    assert (run.state, run.exit_code) == ("finished", 0)
    assert [line.line for line in server.store.console.read(run.id)] == ["hello from the run"]
    names = {file.name for file in server.store.blobs.files(run.id)}
    assert names >= {"wandb-metadata.json", "requirements.txt", "config.yaml", rows[5]["image"]["path"]}
