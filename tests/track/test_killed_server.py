"""A server that is killed under sixteen runs, and started again."""

import json
import signal
import threading
import time
import urllib.error
import urllib.request

import pytest

from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.store import Store
from support.ports import free_port
from support.track_command import started
from support.track_server import Served

RUNS, ROWS = 16, 300
NAMES = [f"r{number}" for number in range(RUNS)]

CLIENT = """
import os, time, wandb

name = os.environ["ID"]
with wandb.init(project="p", id=name, config={"name": name, "deep": {"lr": 0.1}}, tags=["t"]) as run:
    print("begun", name)
    deadline = time.monotonic() + 120
    while not os.path.exists("go"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for i in range(ROWS):
        run.log({"y": i / 4, "text": f"{name} {i}"})
        if i % 10 == 0:
            print(name, "is at", i)
        time.sleep(0.05)
    open(f"{name}.txt", "w").write(name)
    run.save(f"{name}.txt")
    run.config["end"] = True
    run.summary["best"] = name
""".replace("ROWS", str(ROWS))


class Acknowledged(threading.Thread):
    """Sends rows of the run ``counted`` one by one, and knows which of them the server has acknowledged."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self._url = f"{address}/files/local/p/counted/file_stream"
        self.steps = []

    def run(self):
        for step in range(1_000_000):
            line = json.dumps({"_step": step, "y": step})
            body = {"files": {"wandb-history.jsonl": {"offset": step, "content": [line]}}}
            try:
                with urllib.request.urlopen(self._url, json.dumps(body).encode(), timeout=30) as answer:
                    answer.read()
            except (OSError, urllib.error.URLError):
                return
            self.steps.append(step)
            time.sleep(0.002)


def names_of(store):
    """The names of the runs that are there."""
    try:
        return [run.name for run in store.runs.all(store.runs.project("p"))]
    except NotFound:
        return []


def steps_in(store, name):
    """The steps of a run's rows, in order."""
    run = store.runs.find(store.runs.project("p"), name)
    return [row["_step"] for row in store.history.rows(run.id)]


def wait_until(true, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture
def clients():
    """Processes that are ended with the test."""
    started = []
    yield started
    for client in started:
        client.kill()
        client.communicate(timeout=10)


@pytest.mark.slow
def test_a_killed_server_loses_nothing_of_sixteen_runs(tmp_path, clients):
    """What was acknowledged is there at once after the restart; at the end each row of each run is there once."""
    port = free_port()
    data = tmp_path / "data"
    with started(data, "--port", str(port)) as (server, address):
        store = Store(data)
        place = Served(store, address, tmp_path)
        clients += [place.start(CLIENT, ID=name) for name in NAMES]
        wait_until(lambda: len(names_of(store)) == RUNS, "not all runs have begun")
        (tmp_path / "go").touch()
        wait_until(lambda: all(len(steps_in(store, name)) > 10 for name in NAMES), "not all runs have sent rows")
        counted = Acknowledged(address)
        counted.start()
        wait_until(lambda: len(counted.steps) > 100, "nothing was acknowledged")
        seen = {name: steps_in(store, name) for name in NAMES}

        server.send_signal(signal.SIGKILL)

        server.wait(10)
        store.close()
    counted.join(30)
    assert not counted.is_alive()
    assert all(len(steps) < ROWS for steps in seen.values()), "a run had sent all before the kill"

    with started(data, "--port", str(port)):
        store = Store(data)
        assert set(counted.steps) <= set(steps_in(store, "counted")) <= {*counted.steps, len(counted.steps)}
        assert {name: steps_in(store, name)[: len(seen[name])] for name in NAMES} == seen
        for name, client in zip(NAMES, clients, strict=True):
            said, _ = client.communicate(timeout=240)
            assert client.returncode == 0, f"{name}: {said}"

        for name in NAMES:
            assert_whole(store, name)
        store.close()


def assert_whole(store, name):
    run = store.runs.find(store.runs.project("p"), name)
    rows = store.history.rows(run.id)
    assert [(row["_step"], row["y"], row["text"]) for row in rows] == [
        (i, i / 4, f"{name} {i}") for i in range(ROWS)
    ], name
    assert (run.state, run.exit_code, run.row_count) == ("finished", 0, ROWS)
    assert run.config == {"name": name, "deep": {"lr": 0.1}, "end": True}
    assert (run.tags, run.summary["best"], run.summary["y"]) == (["t"], name, (ROWS - 1) / 4)
    lines = [line.line for line in store.console.read(run.id)]
    assert lines == [f"begun {name}", *(f"{name} is at {i}" for i in range(0, ROWS, 10))]
    kept = store.blobs.file(run.id, f"{name}.txt")
    assert store.blobs.path(kept.blob.sha256).read_text() == name
