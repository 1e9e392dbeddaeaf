"""Starts programs of several processes, and sees to it that nothing of them is left."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

SCRIPT = Path(__file__).with_name("launched.py")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")


@dataclass
class Outcome:
    code: int
    said: str
    told: Any
    """What `launched.py` printed as JSON; None if it did not come that far."""
    seconds: float
    left: list[int] = field(default_factory=list)
    """Processes of it that were there ten seconds after it had ended."""


def launched(*words: str, folder: Path, command: Any = None, limit: float = 120, **environ: str) -> Outcome:
    """Run `launched.py` with ``words``, or ``command``, in a session of its own."""
    began = time.monotonic()
    folder.mkdir(exist_ok=True)
    line = [*(command or [sys.executable, str(SCRIPT)]), *words]
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(
            line, cwd=folder, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": _path(), **environ},
        )  # fmt: skip
        try:
            code = process.wait(limit)
        finally:
            seconds = time.monotonic() - began
            left = _ended(process.pid, patience=0 if process.poll() is None else 10)
    text = (folder / "said").read_text()
    tales = [line.split("TOLD ", 1)[1] for line in text.splitlines() if "TOLD " in line]
    return Outcome(code, text, json.loads(tales[-1]) if tales else None, seconds, left)


def _ended(session: int, patience: float) -> list[int]:
    """End what is left of a session after ``patience`` seconds; return what that was."""
    end = time.monotonic() + patience
    while (left := _members(session)) and time.monotonic() < end:
        time.sleep(0.1)
    for process in left:
        process.kill()
    return [process.pid for process in left]


def _members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, PermissionError):
            continue
    return found


def _path() -> str:
    return os.pathsep.join(each for each in (os.environ.get("PYTHONPATH", ""), str(SCRIPT.parents[1])) if each)
