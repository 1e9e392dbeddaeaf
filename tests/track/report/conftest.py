"""A store with two runs of one project, and what was logged in them."""

import json

import pytest

from fulgurite.track.store.console import Line

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.fixture
def made(store):
    """Makes a run: ``made("name", project="p", **known)``."""

    def make(name, project="p", entity="local", **known):
        return store.runs.open(store.runs.project(project, entity, create=True), name, **known)[0]

    return make


@pytest.fixture
def runs(store, made):
    """Two runs with one differing setting, 3,000 losses each, and an accuracy in the second."""
    found = []
    for i, lr in enumerate((0.1, 0.01)):
        run = made(f"r{i}", display_name=f"run {i}", config={"lr": lr, "deep": {"same": 1}}, tags=["baseline"])
        rows = [(step, {"train/loss": 1 / (step + 1) + i}) for step in range(3000)]
        store.history.append(run.id, [*rows, *([(3000, {"acc": 0.5})] if i else [])])
        store.console.write(run.id, [Line(n, "stdout", None, None, f"\x1b[31mline {n}\x1b[0m") for n in range(250)])
        store.runs.update(run, summary={"train/loss": 0.25 + i, "best": {"epoch": i}}, notes="Seen.\nTwice.")
        found.append(store.runs.by_id(run.id))
    return found


@pytest.fixture
def keep(store):
    """Keeps a file of a run: ``keep(run, name, content)``."""

    def put(run, name, content):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        store.blobs.put(run.id, name, store.blobs.keep_bytes(data))
        return name

    return put
