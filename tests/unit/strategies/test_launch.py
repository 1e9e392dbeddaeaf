"""How a program is started once more, and what is said where that can't be."""

import sys
from types import SimpleNamespace

import pytest

from fulgurite.base.errors import MisconfigurationException
from fulgurite.strategies.launch import beside_overrides, command_again, ended_by, hydra_words, threads_each


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """Let this process look as if it had been begun with some words, and run some file as ``__main__``."""

    def begin(words, file=None, as_module=False):
        main = SimpleNamespace(__spec__=object() if as_module else None)
        if file is not None:
            main.__file__ = str(file)
        monkeypatch.setattr(sys, "orig_argv", ["python", *words])
        monkeypatch.setitem(sys.modules, "__main__", main)

    return begin


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "train.py"
    path.touch()
    return path


def test_a_script_keeps_its_flags_and_arguments_and_gets_its_whole_path(begun, script, monkeypatch):
    begun(["-u", "-W", "error", "train.py", "--lr", "1"], script)
    monkeypatch.setattr(sys, "argv", ["changed"])

    assert command_again() == [sys.executable, "-u", "-W", "error", str(script), "--lr", "1"]


def test_a_module_and_a_line_of_code_stay_as_they_were_given(begun, script):
    begun(["-m", "package.train", "x"], script, as_module=True)
    assert command_again() == [sys.executable, "-m", "package.train", "x"]

    begun(["-c", "import train"])
    assert command_again() == [sys.executable, "-c", "import train"]


@pytest.mark.parametrize("file", [None, "<stdin>"])
def test_without_a_file_there_is_nothing_to_start(begun, file):
    begun([], file)

    with pytest.raises(MisconfigurationException, match="Use strategy='ddp_notebook' or 'ddp_spawn'"):
        command_again()


def test_threads_are_shared_out_and_a_signal_is_named(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)

    assert [threads_each(number) for number in (2, 3, 16)] == [4, 2, 1]
    assert ended_by(3, 9).startswith("Rank 3 was ended by SIGKILL, and the run with it. The system does so")
    assert ended_by(3, 11) == "Rank 3 was ended by SIGSEGV, and the run with it."


def test_overrides_of_hydra_stand_together():
    command = ["python", "train.py", "lr=1", "a.b=c", "-m", "--config-dir=d"]

    assert beside_overrides(command, ["x=1"]) == [*command[:4], "x=1", *command[4:]]
    assert beside_overrides(["python", "train.py", "-m"], ["x=1"]) == ["python", "train.py", "-m", "x=1"]


def test_a_program_without_hydra_gets_no_more_words():
    assert "hydra" in sys.modules or hydra_words(1) == []
