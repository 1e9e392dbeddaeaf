"""Runs leave the store as files that other tools read, with nothing lost on the way."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.store.console import Line
from fulgurite.track.store.history import SYSTEM
from fulgurite.track.transfer.exporting import export
from fulgurite.track.transfer.names import as_file_name, as_path


@pytest.fixture
def run(store):
    project = store.runs.project("a/b", create=True)
    run, _ = store.runs.open(project, "r1", display_name="One", config={"lr": 0.1}, summary={"loss": 0.5})
    rows = [(0, {"loss": 1.5, "n": 1, "deep": {"x": 2}}), (1, {"loss": math.nan}), (5, {"note": "é", "any": [1, "a"]})]
    store.history.append(run.id, rows)
    store.history.append(run.id, [(1000, {"system.cpu": 12.5})], SYSTEM)
    store.console.write(run.id, [Line(0, "stdout", None, None, "hello")])
    store.blobs.put(run.id, "code/../train.py", store.blobs.keep_bytes(b"print()"))
    return run


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_run_becomes_tables_and_plain_files(store, run, tmp_path, format):
    """Types are kept, what was not logged is empty, and names that would leave the folder stay in it."""
    (folder,) = export(store, [run], tmp_path / "out", format)

    read = pd.read_parquet if format == "parquet" else pd.read_csv
    table = read(folder / f"history.{format}").set_index("_step")
    assert folder == tmp_path / "out" / "a%2Fb" / "r1"
    assert table.index.tolist() == [0, 1, 5]
    assert table["loss"][0] == 1.5 and math.isnan(table["loss"][1])
    assert table["n"][0] == 1 and table["deep.x"][0] == 2
    assert table["note"][5] == "é" and json.loads(table["any"][5]) == [1, "a"]
    assert read(folder / f"system.{format}")["system.cpu"].tolist() == [12.5]
    assert (folder / "console.log").read_text() == "hello\n"
    assert (folder / "files" / "code" / "%2E%2E" / "train.py").read_bytes() == b"print()"
    about = json.loads((folder / "run.json").read_text())
    assert (about["display_name"], about["config"], about["project"]) == ("One", {"lr": 0.1}, "a/b")


def test_a_former_export_is_replaced_whole(store, run, tmp_path):
    """A second export has what is new, and nothing of the first is left beside it."""
    (folder,) = export(store, [run], tmp_path / "out")
    (folder / "stray").write_text("old")
    store.history.append(run.id, [(9, {"loss": 0.25})])

    export(store, [run], tmp_path / "out")

    assert not (folder / "stray").exists()
    assert pd.read_parquet(folder / "history.parquet")["_step"].tolist() == [0, 1, 5, 9]
    assert [path.name for path in folder.parent.iterdir()] == ["r1"]


def test_many_rows_are_written_stretch_by_stretch(store, run, tmp_path, monkeypatch):
    """The stretches of rows meet without a gap, also for a key that is logged now and then."""
    monkeypatch.setattr("fulgurite.track.tables.STRETCH", 7)
    other, _ = store.runs.open(run.project, "long")
    store.history.append(other.id, [(i, {"y": float(i), **({"z": i} if i % 10 == 3 else {})}) for i in range(100)])

    (folder,) = export(store, [other], tmp_path / "out")

    table = pd.read_parquet(folder / "history.parquet")
    assert np.array_equal(table["y"], np.arange(100.0))
    assert table["z"].dropna().tolist() == list(range(3, 100, 10))


@given(st.text())
def test_no_name_leaves_its_folder(tmp_path_factory, name):
    """Whatever a file is called, it lies below its folder."""
    folder = tmp_path_factory.getbasetemp()

    path = (folder / as_path(name)).resolve()

    assert path.is_relative_to(folder.resolve()) and path != folder.resolve()


@given(st.text(), st.text())
def test_two_names_never_become_one(one, other):
    """Names of folders differ where names differ."""
    assert (as_file_name(one) == as_file_name(other)) == (one == other)
