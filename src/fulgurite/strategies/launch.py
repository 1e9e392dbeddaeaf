"""How the other ranks come to be: this very program, started once more for each."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch.distributed as dist

from fulgurite.base import ports, start
from fulgurite.base.errors import MisconfigurationException, RankFailed
from fulgurite.strategies.meeting import port_is_taken

T = TypeVar("T")

GRACE = 5.0
"""Seconds that a rank has to end by itself, after another failed, before it is killed."""
STUCK = 20.0
"""Seconds that rank 0 has to notice that another failed. A collective that nobody answers may never return."""
LAST_SAVE = 30.0
"""Seconds that a rank has to save what it knows after the process that waits for it was killed."""


class Launcher(Protocol):
    """Starts the ranks of one machine, and watches them."""

    def launch(self, strategy: Any, trainer: Any, verb: Callable[..., T], *args: Any) -> T:
        """Run ``verb(*args)`` in every process, and return what it gives on rank 0."""
        ...

    def killed(self) -> str | None:
        """Which rank was ended by somebody else, in words; None if none was."""
        ...

    def failed(self) -> str | None:
        """Which rank ended by itself and not well, in words; None if none did."""
        ...

    def notice(self) -> None:
        """This rank knows that the run failed: it ends by itself, and may take its time to save."""
        ...

    def end(self, has_ended: Callable[[int], bool]) -> None:
        """This rank failed: those that don't end as well, or tell ``has_ended`` that their run did, can't go on."""
        ...


class ScriptLauncher:
    """Starts the program that runs here once for each further device, as it was started: script, ``-m``, or command.

    Each goes through the script by itself, and meets the others at the Trainer's first call. This process is the rank 0
    of its machine. The others live as long as it does, whatever Trainers the script makes.
    """

    running: "ScriptLauncher | None" = None
    """The one that has started processes here."""

    def __init__(self) -> None:
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self._failed: tuple[int, int] | None = None
        self.met = False
        """Whether the processes have found one another."""
        self._noticed = False
        """Whether rank 0 knows of a failure."""
        self._killed: set[int] = set()

    def launch(self, strategy: Any, trainer: Any, verb: Callable[..., T], *args: Any) -> T:
        if self._killed or self._failed is not None:
            words = self.killed() or self.failed() or "Rank 0 failed, and the others were ended."
            raise RankFailed(f"The processes of this script ended with an earlier run: {words} Start it anew.")
        if not self.children:
            self._start(strategy)
        return verb(*args)

    def _start(self, strategy: Any) -> None:
        environment = strategy.cluster_environment
        command = command_again()
        hold_port(environment)
        shared = {
            "MASTER_ADDR": str(environment.main_address),
            "MASTER_PORT": str(environment.main_port),
            "NODE_RANK": str(environment.node_rank()),
            "WORLD_SIZE": str(strategy.world_size),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads_each(strategy.num_processes))),
        }
        os.environ.update(shared)
        first = strategy.node_rank * strategy.num_processes
        for local_rank in range(1, strategy.num_processes):
            environ = {**os.environ, "LOCAL_RANK": str(local_rank), start.PARENT: str(os.getpid())}
            self.children[first + local_rank] = subprocess.Popen(
                beside_overrides(command, hydra_words(local_rank)),
                env=environ,
                stdin=subprocess.DEVNULL,
                cwd=start.FOLDER,
            )
        os.environ["LOCAL_RANK"] = "0"
        ScriptLauncher.running = self
        start.last_words.append(self._outlive)
        threading.Thread(target=self._watch, daemon=True).start()

    def killed(self) -> str | None:
        if self._failed is None or self._failed[1] >= 0:
            return None
        return ended_by(self._failed[0], -self._failed[1])

    def failed(self) -> str | None:
        if self._failed is None or self._failed[1] < 0:
            return None
        if self._failed[1] == 0:
            return f"Rank {self._failed[0]} ended before it came to the Trainer's call that rank 0 is in."
        return f"Rank {self._failed[0]} ended with exit code {self._failed[1]}; see its output above."

    def notice(self) -> None:
        self._noticed = True

    def end(self, has_ended: Callable[[int], bool]) -> None:
        self._look()
        deadline = time.monotonic() + GRACE
        waiting = dict(self.children)
        while waiting and time.monotonic() < deadline:
            time.sleep(0.05)
            waiting = {rank: child for rank, child in waiting.items() if child.poll() is None and not has_ended(rank)}
        self._look()
        self._killed |= set(waiting)
        for child in waiting.values():
            child.kill()
            child.wait()

    def give_up(self) -> None:
        """The ranks have not found one another, and won't: ask those that were started here to end."""
        self._look()
        waiting = {rank: child for rank, child in self.children.items() if child.poll() is None}
        self._killed |= set(waiting)
        for child in waiting.values():
            child.terminate()

    def _outlive(self) -> int:
        """The program is over here: wait for the others, and return the exit code of one that failed."""
        if getattr(sys, "last_value", None) is not None:
            self.end(lambda rank: False)
        for child in self.children.values():
            child.wait()
        self._look()
        code = 0 if self._failed is None else self._failed[1]
        return code if code >= 0 else 128 - code

    def _look(self) -> None:
        """Note which child ended first and not well."""
        for rank, child in self.children.items():
            code = child.poll()
            early = code == 0 and not self.met
            if (code or early) and self._failed is None and rank not in self._killed:
                self._failed = (rank, int(child.returncode))

    def _watch(self) -> None:
        """End everything if rank 0 does not come to know that another failed."""
        while self._failed is None:
            self._look()
            if self._noticed or self.met and all(child.poll() == 0 for child in self.children.values()):
                return
            time.sleep(0.05)
        end = time.monotonic() + STUCK
        while time.monotonic() < end:
            if self._noticed:
                return
            time.sleep(0.1)
        words = self.killed() or self.failed()
        print(f"{words} Rank 0 did not notice within {STUCK:.0f} s, and is ended.", file=sys.stderr, flush=True)
        for child in self.children.values():
            child.kill()
        os._exit(1)


def hold_port(environment: Any) -> None:
    """Listen where the ranks will meet, before any is started that would meet those of another run there."""
    if environment.node_rank() or sys.platform == "win32" or dist.is_initialized():
        return
    try:
        ports.hold(int(environment.main_port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise port_is_taken(environment.main_port) from None


def command_again() -> list[str]:
    """The command that starts this program once more. Raises ``MisconfigurationException`` where there is none."""
    main = sys.modules["__main__"]
    # What is read from standard input has the file "<stdin>".
    has_file = os.path.exists(getattr(main, "__file__", None) or "")
    if hasattr(sys, "ps1") or not (has_file or "-c" in sys.orig_argv):
        raise MisconfigurationException(
            "strategy='ddp' starts the running script once for each device, and there is none here (an interactive "
            "session, or a program read from standard input). Use strategy='ddp_notebook' or 'ddp_spawn', or save it "
            "as a file."
        )
    # Not sys.argv, which the script may have changed: it will do so again.
    words = list(sys.orig_argv[1:])
    if getattr(main, "__spec__", None) is None and has_file:
        file = str(main.__file__)
        place = next((at for at, word in enumerate(words) if Path(word).name == Path(file).name), None)
        if place is not None:
            words[place] = os.path.abspath(file)
    return [sys.executable, *words]


def hydra_words(local_rank: int) -> list[str]:
    """What a program under Hydra needs beside its own words: to work in the folder that is there already."""
    if "hydra" not in sys.modules:
        return []
    from hydra.core.hydra_config import HydraConfig  # late: only its users have it

    if not HydraConfig.initialized():
        return []
    hydra = HydraConfig.get()
    if hydra.mode is not None and hydra.mode.name == "MULTIRUN":
        # The others go through all runs of the sweep as well, in step with this process.
        place = f'hydra.sweep.dir="{os.path.join(hydra.runtime.cwd, hydra.sweep.dir)}"'
    else:
        place = f'hydra.run.dir="{hydra.runtime.output_dir}"'
    return [place, "hydra.output_subdir=null", f"hydra.job.name=train_ddp_process_{local_rank}"]


def beside_overrides(command: list[str], words: list[str]) -> list[str]:
    """The command with Hydra's ``words`` after its other overrides: they may not be torn apart by an option."""
    places = [at for at, word in enumerate(command) if "=" in word and not word.startswith("-")]
    place = places[-1] + 1 if places else len(command)
    return [*command[:place], *words, *command[place:]]


def ended_by(rank: int, number: int) -> str:
    """What to say of a rank that somebody ended by a signal."""
    name = signal.Signals(number).name
    hint = " The system does so where memory runs out." if name == "SIGKILL" else ""
    return f"Rank {rank} was ended by {name}, and the run with it.{hint}"


def tell_torchrun(error: Exception) -> None:
    """torchrun shows what its processes have left in this file, that of the first one on top."""
    if "TORCHELASTIC_ERROR_FILE" in os.environ:
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler  # late: under torchrun alone

        get_error_handler().record_exception(error)


def end_without(parent: int, gently: bool) -> None:
    """End this process when ``parent`` is gone: at once, or after it was asked to (SIGTERM) and had time to save."""
    if sys.platform == "win32":
        return  # the launcher of a virtual environment stands between the two

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        if gently:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(LAST_SAVE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def threads_each(processes: int) -> int:
    """Threads for each of so many processes, so that together they have as many as there are processors."""
    return max(1, (os.cpu_count() or 1) // processes)
