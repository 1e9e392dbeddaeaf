"""What the tests of offline runs let the real client do, in a process of its own: ``python offline_client.py WHAT``."""

import math
import sys
import time
from pathlib import Path

import numpy as np
import wandb
from wandb.sdk.interface import interface


def everything() -> None:
    """One run with a bit of all that can be logged."""
    run = wandb.init(project="demo", entity="me", id="whole", name="nice", group="g", job_type="train", notes="n",
                     tags=["a", "b"], config={"lr": 0.1, "net": {"depth": 3}})  # fmt: skip
    run.define_metric("val/*", step_metric="epoch")
    run.define_metric("acc", summary="max,last")
    run.config.update({"bs": 8})
    run.config.update({"net": {"depth": 4}}, allow_val_change=True)
    for step in range(3):
        run.log({"loss": 1 / (step + 1), "n": step, "flag": True, "text": "hé", "nan": math.nan, "inf": -math.inf,
                 "a": {"b": {"c": step}, "d": [1, 2]}, "dotted.key": step, "acc": 0.1 * step})  # fmt: skip
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    run.log({"h": wandb.Histogram([1, 2, 3]), "img": wandb.Image(pixels, caption="black"),
             "imgs": [wandb.Image(pixels), wandb.Image(pixels + 9)], "t": wandb.Table(["x"], [[1]])})  # fmt: skip
    run.log({"val/x": 1.5, "epoch": 1})
    run.summary["best"] = 2.5
    run.summary["gone"] = 1
    del run.summary["gone"]
    print("to stdout")
    print("to stderr", file=sys.stderr)
    Path("data.txt").write_text("1 2 3")
    artifact = wandb.Artifact("data", "dataset", description="numbers", metadata={"k": 1})
    artifact.add_file("data.txt")
    artifact.add_reference("http://example.invalid/y.bin", name="y", checksum=False)
    run.log_artifact(artifact, aliases=["best"])
    run.save("data.txt", policy="end")
    run.alert("look", "at this", level="WARN", wait_duration=60)
    run.finish(exit_code=3)


def two() -> None:
    """Two runs, one after the other, in one folder."""
    for name in ("first", "second"):
        with wandb.init(project="demo", id=name) as run:
            run.log({"x": 1})
        time.sleep(1.1)  # a folder's name tells seconds


def manifests() -> None:
    """Two artifacts of the same files, the second handled as one of very many files."""
    with wandb.init(project="demo", id="manifests") as run:
        for limit in (interface.MANIFEST_FILE_SIZE_THRESHOLD, 2):
            interface.MANIFEST_FILE_SIZE_THRESHOLD = limit
            artifact = wandb.Artifact(f"limit-{limit}", "dataset")
            for name, text in (("a.txt", "first"), ("b.txt", "second")):
                Path(name).write_text(text)
                artifact.add_file(name)
            artifact.add_reference("http://example.invalid/y.bin", name="y", checksum=False)
            artifact.add_reference(Path("a.txt").absolute().as_uri(), name="z")
            run.log_artifact(artifact)


def endless() -> None:
    """A run that logs until it is killed; says by ``ready`` that it has begun."""
    run = wandb.init(project="demo", id="endless")
    print("ready", flush=True)
    for step in range(10**9):
        run.log({"step": step, "text": "x" * 500})
        time.sleep(0.001)


if __name__ == "__main__":
    {"everything": everything, "two": two, "manifests": manifests, "endless": endless}[sys.argv[1]]()
