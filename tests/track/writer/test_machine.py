"""On what a run runs."""

import builtins
import os
import socket
import sys
from types import SimpleNamespace

from fulgurite.track.writer.machine import machine, program


def test_what_the_machine_is():
    """Names as in W&B's metadata file."""
    found = machine()

    assert found["host"] == socket.gethostname()
    assert found["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert found["cpu_count_logical"] == os.cpu_count()
    assert int(found["memory"]["total"]) > 2**20


def test_without_psutil_the_rest_is_there(monkeypatch):
    """The core needs no extra."""
    own = builtins.__import__
    monkeypatch.setattr(
        builtins, "__import__", lambda name, *rest: missing(name) if name == "psutil" else own(name, *rest)
    )

    assert {"host", "os", "python"} <= machine().keys() and "memory" not in machine()


def missing(name):
    raise ImportError(name)


def test_what_the_program_is(monkeypatch):
    """Script or module, arguments, folder, and the run's beginning as a time of UTC."""
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "0.1"])
    monkeypatch.setattr(sys, "modules", {**sys.modules, "__main__": SimpleNamespace(__file__="/x/train.py")})
    found = program(0.0)

    assert found["args"] == ["--lr", "0.1"] and found["root"] == os.getcwd()
    assert found["startedAt"] == "1970-01-01T00:00:00Z"
    assert found["program"] == "/x/train.py"
    sys.modules["__main__"].__spec__ = SimpleNamespace(name="package.train")
    assert program(0.0)["program"] == "-m package.train"
