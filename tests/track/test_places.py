"""Where the store is, and whether there can be one."""

import os
from pathlib import Path

import pytest

from fulgurite.track import places
from fulgurite.track.places import data_folder, unusable


def test_the_data_folder(monkeypatch, tmp_path):
    """What is given, else the variable, else a folder in the home; always absolute."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FULGURITE_DIR", "~/mine")
    assert data_folder("here") == Path.cwd() / "here"
    assert data_folder() == tmp_path / "home" / "mine"
    monkeypatch.delenv("FULGURITE_DIR")
    assert data_folder() == tmp_path / "home" / ".fulgurite"


def test_a_folder_that_could_be_made_is_usable(tmp_path):
    """It is only looked at."""
    assert unusable(tmp_path / "a" / "b") is None and unusable(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_is_not(tmp_path):
    (tmp_path / "file").write_text("")
    assert "is no folder" in unusable(tmp_path / "file" / "store")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_not(tmp_path):
    tmp_path.chmod(0o500)
    assert "can't be written to" in unusable(tmp_path / "store")
    tmp_path.chmod(0o700)


def test_a_python_without_sqlite_has_no_store(tmp_path, monkeypatch):
    """Some are built so."""
    monkeypatch.setattr(places, "available", lambda module: module != "_sqlite3")
    assert "without sqlite3" in unusable(tmp_path)


def test_a_folder_that_can_not_be_looked_at_is_not(tmp_path, monkeypatch):
    """Above it lies one that is closed to this user."""
    monkeypatch.setattr(Path, "exists", lambda self: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))

    assert "it can't be looked at (Permission denied)" in unusable(tmp_path / "store")


def test_without_a_home_the_folder_is_below_the_working_folder(tmp_path, monkeypatch):
    """As in a container whose user has no entry: the store is still found again by the next run there."""
    monkeypatch.delenv("FULGURITE_DIR", raising=False)
    monkeypatch.setattr(Path, "expanduser", lambda self: (_ for _ in ()).throw(RuntimeError("no home")))
    monkeypatch.chdir(tmp_path)

    assert data_folder() == tmp_path / ".fulgurite"
