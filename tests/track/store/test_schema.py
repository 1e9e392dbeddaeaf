"""The tables: whoever adds one says what it refers to."""

from pathlib import Path

import fulgurite.track.store
from fulgurite.track.store.schema import BLOB_REFERENCES, OF_RUNS


def references(store, to):
    """Every (table, column) that the database checks against table ``to``."""
    tables = [row["name"] for row in store.database.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    keys = [(table, key) for table in tables for key in store.database.query(f"PRAGMA foreign_key_list({table})")]
    return {(table, key["from"]) for table, key in keys if key["table"] == to}


def test_all_that_refers_to_contents_keeps_them(store):
    """A table with a reference to ``blob`` is in the list that a sweep reads."""
    assert references(store, "blob") <= set(BLOB_REFERENCES)


def test_all_that_belongs_to_a_run_goes_with_it(store):
    """A table with a reference to ``run`` is in the list that a purge reads; series go with `History.forget`."""
    assert references(store, "run") == {(table, "run_id") for table in [*OF_RUNS, "series"]}


def test_every_reference_can_be_looked_up(store):
    """Else each row that goes costs a walk through the whole table that might refer to it."""
    for to in ("run", "blob", "series", "project"):
        for table, column in references(store, to):
            indexes = [row["name"] for row in store.database.query(f"PRAGMA index_list({table})") if not row["partial"]]
            first = {store.database.first(f"PRAGMA index_info({name})")["name"] for name in indexes}
            assert column in first, f"{table} needs an index that begins with {column}"


def test_only_one_file_speaks_a_dialect():
    """What SQLite alone understands stands in ``database.py``."""
    for path in Path(fulgurite.track.store.__file__).parent.glob("*.py"):
        text = path.read_text()
        for word in ("PRAGMA", "sqlite_master", "rowid", "INSERT OR ", "lastrowid", "IMMEDIATE", "AUTOINCREMENT"):
            assert path.name == "database.py" or word not in text, f"{path.name}: {word}"
