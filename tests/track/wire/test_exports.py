"""`run.download_history_exports()` of the real client, from a server that makes exports."""

import json
import math
import subprocess
import sys

import pytest

from fulgurite.track.store.store import Store
from fulgurite.track.wire.exports import Exports
from support.track_command import connection, started
from support.track_server import served

parquet = pytest.importorskip("pyarrow.parquet")

SCRIPT = """
import json, wandb
run = wandb.Api().run("local/many/main")
try:
    done = run.download_history_exports("exports")
    print(json.dumps([done.contains_live_data, [str(path) for path in done.paths],
                      [row["_step"] for row in run.scan_history(min_step=2, max_step=5)]]))
except Exception as error:
    print(json.dumps(type(error).__name__))
"""


@pytest.fixture
def server(tmp_path):
    with served(tmp_path, exports=True) as server:
        yield server


def filled(store):
    run, _ = store.runs.open(store.runs.project("many", create=True), "main")
    rows = [(i, {"loss": i / 2, "deep": {"a": i}, **({"rare": i} if i % 3 == 0 else {})}) for i in range(6)]
    store.history.append(run.id, [*rows, (9, {"loss": math.nan, "note": "é"})])
    return run


def said(server):
    return json.loads(server.client(SCRIPT).strip().splitlines()[-1])


def test_the_history_of_an_ended_run_is_downloaded(server):
    """Every row and name, with the types that were logged; a scan reads the same file."""
    server.store.end(filled(server.store), 0)

    live, (path,), scanned = said(server)

    rows = parquet.read_table(server.folder / path).to_pylist()
    assert live is False and scanned == [2, 3, 4]
    assert [row["_step"] for row in rows] == [0, 1, 2, 3, 4, 5, 9]
    assert [row["rare"] for row in rows] == [0, None, None, 3, None, None, None]
    assert [row["deep.a"] for row in rows] == [0, 1, 2, 3, 4, 5, None]
    assert rows[5]["loss"] == 2.5 and math.isnan(rows[6]["loss"]) and rows[6]["note"] == "é"


def test_a_run_that_goes_on_has_no_export_yet(server):
    """The client says so itself: its data is live."""
    filled(server.store)

    assert said(server) == "IncompleteRunHistoryError"


def test_an_export_is_made_once_and_again_when_the_run_has_changed(server):
    """Also after a purge has taken it."""
    store, exports = server.store, Exports(server.store)
    run = store.end(filled(store), 0)
    first = exports.of(run)
    assert exports.of(run) == first

    assert store.blobs.sweep(older_than=-1.0) == 1
    assert exports.of(run) == first and store.blobs.path(first.sha256).exists()

    store.history.append(run.id, [(10, {"loss": 1.0})])
    changed = exports.of(store.end(run, 0))
    assert parquet.read_table(store.blobs.path(changed.sha256)).num_rows == 8


def test_a_run_without_rows_has_nothing_to_export(server):
    run, _ = server.store.runs.open(server.store.runs.project("many", create=True), "empty")

    assert Exports(server.store).of(server.store.end(run, 0)) is None


QUESTION = """
query { project(name: "many", entityName: "local") { run(name: "main") { parquetHistory(liveKeys: ["_step"]) {
  parquetUrls liveData } } } }
"""


@pytest.mark.parametrize(("words", "files"), [((), 0), (("--exports",), 1)])
def test_the_command_makes_exports_where_it_is_asked_to(tmp_path, words, files):
    store = Store(tmp_path)
    store.end(filled(store), 0)
    store.close()

    with started(tmp_path, *words) as (_, address):
        talk = connection(address)
        talk.request("POST", "/graphql", json.dumps({"query": QUESTION}), {"Content-Type": "application/json"})
        history = json.loads(talk.getresponse().read())["data"]["project"]["run"]["parquetHistory"]

    assert len(history["parquetUrls"]) == files and bool(history["liveData"]) == (files == 0)


def test_exports_without_their_package_name_the_extra(tmp_path):
    """Before the server starts."""
    script = "import sys; sys.modules['pyarrow'] = None; from fulgurite.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", script, "ui", "--exports", "--data", str(tmp_path), "--no-browser"]

    done = subprocess.run(words, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2 and 'pip install "fulgurite[export]"' in done.stderr
