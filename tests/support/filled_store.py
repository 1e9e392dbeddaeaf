"""A store with something of every kind in it, for tests that look at each view once."""

import json
from typing import Any

from fulgurite.track.store.console import Line
from fulgurite.track.store.contents import FULL
from fulgurite.track.store.history import SYSTEM
from fulgurite.track.store.runs import Project, Run
from fulgurite.track.store.store import Store
from fulgurite.track.sweeps.schedule import GOING

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
SWEEP = "{name: find it, method: random, metric: {name: loss, goal: minimize}, parameters: {lr: {min: 0.0, max: 1.0}}}"
BEGIN = 1_700_000_000_000  # milliseconds


def fill(store: Store) -> str:
    """The project ``p`` with the runs a (still running), b (failed) and c (finished), and ``empty`` without any.

    The project ``swept`` has a sweep of three runs, whose name is returned.
    """
    project = store.runs.project("p", create=True)
    store.runs.describe_project(project, "What it is about")
    store.runs.project("empty", create=True)
    runs = {name: _run(store, project, name, lr) for name, lr in (("a", 0.1), ("b", 0.2), ("c", 0.3))}
    store.end(runs["b"], 1)
    store.end(runs["c"], 0)
    return _sweep(store, store.runs.project("swept", create=True))


def _run(store: Store, project: Project, name: str, lr: float) -> Run:
    run, _ = store.runs.open(
        project,
        name,
        display_name=f"run {name}",
        tags=["baseline", "first"],
        notes="Seen.",
        group_name="g",
        config={"lr": lr, "deep": {"width": 3}},
        summary={"loss": lr, "acc": 1 - lr},
        facts={"host": "here", "git": {"commit": "0123abc"}},
    )
    store.history.append(run.id, [(i, {"loss": lr / (i + 1), "val/acc": lr * i, "epoch": i}) for i in range(20)])
    store.history.append(run.id, [(BEGIN + i * 15_000, {"cpu": i}) for i in range(5)], SYSTEM)
    store.history.append(run.id, [(19, _media(store, run))])
    lines = [Line(i, "stderr" if i % 3 else "stdout", None, None, f"line {i}") for i in range(60)]
    store.console.write(run.id, lines)
    store.runs.alert(run, "Too high", "at step 3", "WARN")
    _artifact(store, project, run)
    return run


def _media(store: Store, run: Run) -> dict[str, Any]:
    table = {"columns": ["word", "score"], "data": [["a", 0.5], ["b", None]]}
    files = {
        "media/a.png": PIXEL,
        "media/b.png": PIXEL,
        "media/t.table.json": json.dumps(table).encode(),
        "media/p.html": b"<p>hello</p>",
        "media/s.wav": b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\0\0\0\0",
    }
    for name, content in files.items():
        store.blobs.put(run.id, name, store.blobs.keep_bytes(content))
    return {
        "seen": {
            "_type": "images/separated",
            "filenames": ["media/a.png", "media/b.png"],
            "captions": ["a cat", None],
            "width": 1,
            "height": 1,
            "format": "png",
            "count": 2,
        },
        "rows": {"_type": "table-file", "path": "media/t.table.json", "nrows": 2, "ncols": 2},
        "weights": {"_type": "histogram", "values": [1, 4, 2], "bins": [0, 1, 2, 3]},
        "page": {"_type": "html-file", "path": "media/p.html"},
        "sound": {"_type": "audio-file", "path": "media/s.wav"},
    }


def _sweep(store: Store, project: Project) -> str:
    sweep = store.sweeps.create(project, SWEEP, 1, GOING)
    agent = store.sweeps.add_agent(sweep, "here")
    for i in range(3):
        trial = store.trials.add(sweep, {"lr": i / 10}, i, agent)
        run, _ = store.runs.open(project, trial.run_name, sweep=sweep.name, config={"lr": i / 10})
        store.history.append(run.id, [(step, {"loss": 1.0 - step / 10 + i}) for step in range(5)])
        store.end(run, 0)
    return sweep.name


def _artifact(store: Store, project: Project, run: Run) -> None:
    """A version of a model that the run made, of the one before it."""
    artifacts = store.artifacts
    models = artifacts.collections.open(project, "model", "model")
    before = artifacts.latest(models)
    if before is not None:
        artifacts.lineage.used(run.id, before.id)
    made = artifacts.open(models, f"digest of {run.name}", run.id, ["best"])
    blob = store.blobs.keep_bytes(f"weights of {run.name}".encode())
    artifacts.contents.take(made.id, "model.pt", blob)
    listed = {"version": 1, "contents": {"model.pt": {"digest": blob.md5, "size": blob.size}}}
    manifest = artifacts.contents.expect(made.id, FULL, None)
    artifacts.contents.take_manifest(manifest.id, store.blobs.keep_bytes(json.dumps(listed).encode()))
    artifacts.commit(made)
