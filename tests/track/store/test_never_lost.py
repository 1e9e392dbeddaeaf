"""What was acknowledged is there, once: whoever is killed, and whatever is full."""

import os
import random
import subprocess
import sys
import time

import pytest

from fulgurite.track.store.store import Store

# Appends rows of two keys and says so after each post; begins where it is told to.
WRITER = """
import sys
from fulgurite.track.store.store import Store
store = Store(sys.argv[1])
run, _ = store.runs.open(store.runs.project("p", create=True), sys.argv[2])
step = int(sys.argv[3])
while True:
    # Every post sends the last two rows of the one before again.
    sent = [(s, {"y": float(s), "text": str(s)}) for s in range(max(step - 2, 0), step + 5)]
    store.history.append(run.id, sent)
    step += 5
    print(step, flush=True)
    if step % 100 == 0:
        store.history.compact(run.id)
"""

LIMITED = """
import resource, sys
from fulgurite.track.store.errors import StoreFull
from fulgurite.track.store.store import Store
folder = sys.argv[1]
store = Store(folder)
run, _ = store.runs.open(store.runs.project("p", create=True), "a")
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, most))
step = kept = 0
try:
    while step < 10_000:
        store.history.append(run.id, [(step, {"text": "x" * 3_000 + str(step)})])
        step = kept = step + 1
    sys.exit("never full")
except StoreFull as error:
    assert folder in str(error) and "Make room" in str(error), error
try:
    store.blobs.keep_bytes(b"x" * 1_000_000)
    sys.exit("never full")
except StoreFull as error:
    assert folder in str(error), error
assert [row["_step"] for row in store.history.rows(run.id)] == list(range(kept))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
for step in range(kept, kept + 50):
    store.history.append(run.id, [(step, {"text": "y" * 3_000})])
store.blobs.keep_bytes(b"x" * 1_000_000)
print(kept + 50)
"""


def start(code, *arguments, **more):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], text=True, **more)


def last_number(process):
    """The last whole line that was printed, after the process is gone."""
    lines = process.stdout.read().splitlines(keepends=True)
    return max((int(line) for line in lines if line.endswith("\n")), default=0)


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path):
    """Two writers at once, each killed and started again several times at no particular moment."""
    moments = random.Random(4)
    acknowledged = {"a": 0, "b": 0}
    for _ in range(4):
        writers = {
            name: start(WRITER, tmp_path / "data", name, step, stdout=subprocess.PIPE)
            for name, step in acknowledged.items()
        }
        for writer in writers.values():
            writer.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.3))
        for writer in writers.values():
            writer.kill()
        for name, writer in writers.items():
            acknowledged[name] = max(acknowledged[name] + 5, last_number(writer))
            writer.wait()

    store = Store(tmp_path / "data")
    for name, count in acknowledged.items():
        run = store.runs.find(store.runs.project("p"), name)
        rows = store.history.rows(run.id)
        assert count > 50
        assert len(rows) in (count, count + 5)  # the last post may be kept though nobody heard of it
        assert rows == [{"_step": step, "y": step, "text": str(step)} for step in range(len(rows))]
        assert store.runs.by_id(run.id).row_count == len(rows)


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path):
    """The writer is told, what it had written is there, and it goes on when there is room again."""
    limited = start(LIMITED, tmp_path / "data", stdout=subprocess.PIPE)
    out, _ = limited.communicate(timeout=100)

    assert limited.returncode == 0
    store = Store(tmp_path / "data")
    run = store.runs.find(store.runs.project("p"), "a")
    assert [row["_step"] for row in store.history.rows(run.id)] == list(range(int(out)))
