"""What is found out once about a run, beside the training: machine, program, code."""

import threading
from contextlib import suppress
from typing import Any

from fulgurite.track.writer.batch import Batch, Kept
from fulgurite.track.writer.code import git_state, main_script, requirements
from fulgurite.track.writer.machine import machine, program

PATIENCE = 5.0  # seconds that the end of a run waits for it


class Facts:
    """Looks in a thread of its own; ``started`` is the run's beginning in seconds since 1970."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._thread: threading.Thread | None = None
        self._found: list[Batch] = []

    def start(self) -> None:
        self._thread = threading.Thread(target=self._look, name="fulgurite-facts", daemon=True)
        self._thread.start()

    def found(self) -> Batch:
        """What was found since the last question."""
        return self._found.pop() if self._found else Batch()

    def result(self) -> Batch:
        """The same, but it waits for it, if not for long."""
        if self._thread is not None:
            self._thread.join(PATIENCE)
        return self.found()

    def _look(self) -> None:
        # What can't be found out is left out: none of it is worth a word in the middle of a training.
        with suppress(Exception):
            self._found.append(looked_up(self._started))


def looked_up(started: float) -> Batch:
    """Machine, program and git as facts; the patch, the script and the packages as files."""
    facts: dict[str, Any] = {**program(started), **machine()}
    git, patch = git_state(".")
    files = [Kept("requirements.txt", requirements().encode())]
    if git:
        facts |= {"git": git, "commit": git["commit"], "repo": git.get("remote")}
    if patch:
        files.append(Kept("diff.patch", patch))
    script = main_script()
    if script is not None:
        facts["codePath"] = script[0]
        files.append(Kept(f"code/{script[0]}", script[1]))
    return Batch(facts=facts, files=files)
