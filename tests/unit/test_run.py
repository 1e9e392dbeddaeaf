"""run.py: what a fresh checkout is set up and started with."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "run.py"


@pytest.fixture
def run(tmp_path):
    """run.py as a module, over a project folder with a space in its name."""
    spec = importlib.util.spec_from_file_location("run", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path / "a project"
    (root / ".venv").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "constraints.txt").write_text("torch==2.13.0\n")
    module.ROOT, module.VENV = root, root / ".venv"
    module.RECORD, module.PYTHON = root / ".venv/installed.json", Path(sys.executable)
    module.installs = []
    module.start = lambda *command, **_: module.installs.append([str(part) for part in command]) or 0
    return module


def test_the_second_call_installs_nothing(run):
    """What is recorded as installed is not installed again, so that it works without a network."""
    run.install("all")
    run.install("all")

    assert len(run.installs) == 1
    assert run.installs[0][-1] == f"{run.ROOT}[all]"


def test_a_changed_pin_is_installed(run):
    """The record holds for one state of pyproject.toml and constraints.txt."""
    run.install("all")
    (run.ROOT / "constraints.txt").write_text("torch==2.14.0\n")
    run.install("all")

    assert len(run.installs) == 2


def test_extras_add_up(run):
    """`test` after `demo` keeps what the demo needs, and `demo` after `test` finds it there."""
    run.install("all")
    run.install("all", "dev")
    run.install("all")

    assert [call[-1].partition("[")[2] for call in run.installs] == ["all]", "all,dev]"]


def test_an_installation_cut_short_is_taken_up_again(run):
    """A failure leaves no record behind."""
    run.install("all")
    (run.ROOT / "constraints.txt").write_text("torch==2.14.0\n")
    run.start = lambda *command, **_: 1
    with pytest.raises(SystemExit, match="Call again"):
        run.install("all")

    assert not run.RECORD.exists()


def test_a_damaged_record_is_none(run):
    """Whatever lies in its place, the record is written anew."""
    run.RECORD.write_text("{")
    run.install("all")

    assert json.loads(run.RECORD.read_text())["extras"] == ["all"]


def test_an_unknown_command_shows_the_known_ones():
    """The exit code tells it from a question for help."""
    wrong = subprocess.run([sys.executable, SCRIPT, "tset"], capture_output=True, text=True)
    asked = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True)

    assert (wrong.returncode, asked.returncode) == (2, 0)
    assert "demo" in asked.stdout and wrong.stdout == f"unknown command: tset\n\n{asked.stdout}"
