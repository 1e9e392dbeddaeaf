"""What code a run runs is found without asking anybody, and without a word that is secret."""

import subprocess
import sys
import time

import pytest

from fulgurite.track.writer import code
from fulgurite.track.writer.code import git_state, main_script, project_name, repository, requirements


def git(folder, *arguments):
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "my-project"
    folder.mkdir()
    git(folder, "init", "-b", "main")
    git(folder, "config", "user.email", "a@example.org")
    git(folder, "config", "user.name", "A")
    (folder / "train.py").write_text("old\n")
    git(folder, "add", "train.py")
    git(folder, "commit", "-m", "first")
    return folder


def test_a_clean_repository(repo):
    """Commit and branch; no patch."""
    state, patch = git_state(repo)

    commit = subprocess.run(["git", "-C", str(repo), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert state == {"commit": commit.stdout.strip(), "branch": "main", "dirty": False}
    assert patch == b""


def test_changes_are_a_patch_that_can_be_applied(repo):
    """Staged or not, from a folder inside; new files that git does not know are no changes."""
    (repo / "train.py").write_text("new\n")
    (repo / "data.bin").write_bytes(b"\x00" * 100)
    inside = repo / "inside"
    inside.mkdir()

    state, patch = git_state(inside)

    assert state["dirty"] is True
    assert b"data.bin" not in patch
    git(repo, "stash")
    subprocess.run(["git", "-C", str(repo), "apply"], input=patch, check=True)
    assert (repo / "train.py").read_text() == "new\n"


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ("https://user:secret@example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://token@example.org/a/b.git", "https://example.org/a/b.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("https://example.org/a@b.git", "https://example.org/a@b.git"),
    ],
)
def test_no_password_is_kept(repo, remote, kept):
    """A remote's address may hold one."""
    git(repo, "remote", "add", "origin", remote)

    assert git_state(repo)[0]["remote"] == kept


def test_a_detached_head_has_no_branch(repo):
    git(repo, "checkout", "--detach")

    assert "branch" not in git_state(repo)[0]


def test_a_patch_that_is_too_large_is_left_out(repo, monkeypatch):
    """Its size is said."""
    monkeypatch.setattr(code, "LARGEST_DIFF", 100)
    (repo / "train.py").write_text("x" * 1000)

    state, patch = git_state(repo)

    assert patch == b"" and state["dirty"] and state["diffTooLarge"] > 1000


def test_no_repository_no_commit_no_git(tmp_path, repo, monkeypatch):
    """Each leaves out what can't be known."""
    assert git_state(tmp_path) == ({}, b"")
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init")
    assert git_state(empty) == ({}, b"")
    monkeypatch.setenv("PATH", "")
    assert git_state(repo) == ({}, b"")


def test_a_git_that_does_not_answer_is_left(repo, monkeypatch, tmp_path):
    """A file system that hangs must not keep a thread forever."""
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (slow / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow}:/bin:/usr/bin")
    monkeypatch.setattr(code, "PATIENCE", 0.2)
    started = time.monotonic()

    assert git_state(repo) == ({}, b"")
    assert time.monotonic() - started < 5


def test_a_repository_starts_no_program(repo, tmp_path):
    """What a repository's own configuration names is not run by looking at it."""
    for name in ("core.fsmonitor", "diff.external"):
        git(repo, "config", name, f"touch {tmp_path / 'ran'} #")
    (repo / "train.py").write_text("new\n")

    assert git_state(repo)[0]["dirty"] is True
    assert not (tmp_path / "ran").exists()


def test_a_project_is_called_as_its_repository(repo, tmp_path):
    """From anywhere inside; without a repository as the folder, in letters that W&B's client takes."""
    inside = repo / "a" / "b"
    inside.mkdir(parents=True)
    other = tmp_path / "50% done?"
    other.mkdir()

    assert repository(inside) == repo and repository(tmp_path) is None
    assert project_name(inside) == "my-project"
    assert project_name(other) == "50_ done_"
    assert project_name("/") == "uncategorized"


def test_packages_are_listed_as_pip_writes_them(tmp_path, monkeypatch):
    """Name and version by the folders' names, also of old kinds."""
    for name in ("my_pkg-1.0.dist-info", "Old-2.1-py3.11.egg-info", "b.c-0.1+cpu.dist-info", "my_pkg", "x.dist-info"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), "/nowhere"])

    assert requirements() == "b.c==0.1+cpu\nmy-pkg==1.0\nOld==2.1\n"


def test_the_main_script_is_named_from_the_repository(repo, monkeypatch):
    """A notebook or a prompt has none."""
    script = repo / "src" / "go.py"
    script.parent.mkdir()
    script.write_text("print()")
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", str(script), raising=False)
    assert main_script() == ("src/go.py", b"print()")

    monkeypatch.delattr(main, "__file__")
    assert main_script() is None
