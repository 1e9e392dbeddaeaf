"""How the other ranks come to be: this very program, started once more for each."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fulgurite.base.errors import MisconfigurationException

T = TypeVar("T")

GRACE = 5.0
"""Seconds that a rank has to end by itself, after another failed, before it is killed."""
STUCK = 20.0
"""Seconds that rank 0 has to notice that another failed. A collective that nobody answers may never return."""


class Launcher(Protocol):
    """Starts the ranks of one machine, and watches them."""

    def launch(self, strategy: Any, trainer: Any, verb: Callable[..., T], *args: Any) -> T:
        """Run ``verb(*args)`` in every process, and return what it gives on rank 0."""
        ...

    def killed(self) -> str | None:
        """Which rank was ended by somebody else, in words; None if none was."""
        ...

    def end(self) -> None:
        """This rank failed: the others can't go on."""
        ...


class ScriptLauncher:
    """Starts the program that runs here once for each further device, as it was started: script, ``-m``, or command.

    Each goes through the script by itself, and meets the others at the Trainer's first call. This process is the rank 0
    of its machine.
    """

    def __init__(self) -> None:
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self._failed: tuple[int, int] | None = None
        self._ending = False

    def launch(self, strategy: Any, trainer: Any, verb: Callable[..., T], *args: Any) -> T:
        if not self.children:
            self._start(strategy)
        return verb(*args)

    def _start(self, strategy: Any) -> None:
        environment = strategy.cluster_environment
        shared = {
            "MASTER_ADDR": str(environment.main_address),
            "MASTER_PORT": str(environment.main_port),
            "NODE_RANK": str(environment.node_rank()),
            "WORLD_SIZE": str(strategy.world_size),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(_threads_each(strategy.num_processes))),
        }
        os.environ.update(shared)
        command = command_again()
        first = strategy.node_rank * strategy.num_processes
        for local_rank in range(1, strategy.num_processes):
            environ = {**os.environ, "LOCAL_RANK": str(local_rank)}
            self.children[first + local_rank] = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL)
        os.environ["LOCAL_RANK"] = "0"
        threading.Thread(target=self._watch, daemon=True).start()

    def killed(self) -> str | None:
        if self._failed is None or self._failed[1] >= 0:
            return None
        rank, code = self._failed
        name = signal.Signals(-code).name
        hint = " The system does so where memory runs out." if name == "SIGKILL" else ""
        return f"Rank {rank} was ended by {name}, and the run with it.{hint}"

    def end(self) -> None:
        self._ending = True
        deadline = time.monotonic() + GRACE
        for child in self.children.values():
            while child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            if child.poll() is None:
                child.kill()
                child.wait()

    def _watch(self) -> None:
        """Note which child ended first and not well, and end everything if rank 0 does not come to know of it."""
        while self._failed is None:
            if self._ending or all(child.poll() == 0 for child in self.children.values()):
                return
            for rank, child in self.children.items():
                if child.poll():
                    self._failed = (rank, int(child.returncode))
            time.sleep(0.05)
        end = time.monotonic() + STUCK
        while time.monotonic() < end:
            if self._ending:
                return
            time.sleep(0.1)
        rank, code = self._failed
        words = self.killed() or f"Rank {rank} failed with exit code {code}; see its output above."
        print(f"{words} Rank 0 did not notice within {STUCK:.0f} s, and is ended.", file=sys.stderr, flush=True)
        for child in self.children.values():
            child.kill()
        os._exit(1)


def command_again() -> list[str]:
    """The command that starts this program once more. Raises ``MisconfigurationException`` where there is none."""
    main = sys.modules["__main__"]
    if hasattr(sys, "ps1") or not (hasattr(main, "__file__") or "-c" in sys.orig_argv):
        raise MisconfigurationException(
            "strategy='ddp' starts the running script once for each device, and there is none here (an interactive "
            "session, or a program read from standard input). Use strategy='ddp_notebook' or 'ddp_spawn', or save it "
            "as a file."
        )
    words = list(sys.orig_argv[1:])
    if getattr(main, "__spec__", None) is None and "-c" not in words:
        # The script may have changed its folder since: name itself wholly.
        file = str(main.__file__)
        place = next((at for at, word in enumerate(words) if Path(word).name == Path(file).name), None)
        if place is not None:
            words[place] = os.path.abspath(file)
            # The script may have rewritten its arguments; the new processes start from those it was given.
    return [sys.executable, *words]


def _threads_each(processes: int) -> int:
    """Threads for each of so many processes, so that together they have as many as there are processors."""
    return max(1, (os.cpu_count() or 1) // processes)
