"""Processes that begin inside the program: ``ddp_spawn``, ``ddp_fork`` and ``ddp_notebook``.

This process trains nothing. It starts one for each device, waits, passes on signals, and takes back what the first of
them has come to.
"""

import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.multiprocessing

from fulgurite.base import ports
from fulgurite.base.errors import MisconfigurationException, RankFailed, RanksDisagree, SIGTERMException
from fulgurite.base.seed import collect_rng_states, set_rng_states
from fulgurite.base.state import TrainerState, TrainerStatus
from fulgurite.base.traces import folded
from fulgurite.strategies import handover
from fulgurite.strategies.launch import GRACE, STUCK, end_without, ended_by
from fulgurite.strategies.reasons import told

T = TypeVar("T")


@dataclass
class Job:
    """What one launch gives to each of its processes."""

    folder: Path
    environ: dict[str, str]
    settings: dict[str, Any]
    parent: int
    listener: socket.socket | None
    """What rank 0 listens to for the others."""
    forked: tuple[Any, str, tuple[Any, ...]] | None
    """Trainer, verb and arguments, where a fork has them already."""


class ProcessLauncher:
    """Starts a process for each device with ``torch.multiprocessing``, by "spawn" or "fork", anew for each call."""

    def __init__(self, start_method: str) -> None:
        self.start_method = start_method

    def launch(self, strategy: Any, trainer: Any, verb: Callable[..., T], *args: Any) -> T:
        self._check(trainer, args)
        owners = handover.owners_of(trainer)
        with TemporaryDirectory(prefix="fulgurite-") as name:
            folder = Path(name)
            sent = trainer, verb.__name__, args
            if self.start_method == "spawn":
                handover.send(folder, *sent)
            with _ends_meet(strategy) as environ:
                forked = None if self.start_method == "spawn" else sent
                listener = ports.held(int(environ["MASTER_PORT"]))
                job = Job(folder, environ, _settings(), os.getpid(), listener, forked)
                started = torch.multiprocessing.start_processes(
                    _rank, (job,), nprocs=strategy.num_processes, join=False, start_method=self.start_method
                )
            ranks = _Ranks(started.processes, strategy.node_rank * strategy.num_processes, folder)
            try:
                with _passed_on(ranks):
                    ranks.wait()
            finally:
                ranks.end()
            if not handover.take_back(folder, trainer, args, owners):
                trainer.state, trainer.interrupted = TrainerState(TrainerStatus.INTERRUPTED), True
            problem = ranks.problem()
            if problem is not None:
                raise problem
            return handover.read_result(folder)

    def killed(self) -> str | None:
        return None

    def failed(self) -> str | None:
        return None

    def notice(self) -> None:
        """Nothing fails in this process."""

    def end(self, has_ended: Callable[[int], bool]) -> None:
        """They are gone when `launch` is over."""

    def _check(self, trainer: Any, args: tuple[Any, ...]) -> None:
        """Raise where the processes could not begin."""
        if self.start_method == "fork":
            _check_fork()
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise MisconfigurationException(
                "strategy='ddp_spawn' starts new processes, which import this script, and the script calls the Trainer "
                "as it is imported. Put what it does under `if __name__ == '__main__':`."
            )
        at_prompt = not hasattr(sys.modules["__main__"], "__file__")
        here = [each for each in (*args, trainer.lightning_module) if type(each).__module__ == "__main__"]
        if self.start_method == "spawn" and at_prompt and here:
            raise MisconfigurationException(
                f"{type(here[0]).__name__} is defined in a notebook or at a prompt, where new processes don't find it. "
                "Use strategy='ddp_notebook', or define it in a file and import it."
            )


class _Ranks:
    """The processes of one launch, and what became of them."""

    def __init__(self, processes: list[Any], first: int, folder: Path) -> None:
        self.processes, self.first, self.folder = processes, first, folder
        self.passed_on: list[int] = []
        self._failed: tuple[int, int] | None = None
        self._deadline: float | None = None

    def wait(self) -> None:
        """Return when all have ended; after one failed, or a second Ctrl-C, when their time is up."""
        while alive := [process for process in self.processes if process.is_alive()]:
            wait([process.sentinel for process in alive], timeout=0.2)
            self._look()
            if self._deadline is not None and time.monotonic() > self._deadline:
                return
        self._look()

    def end(self) -> None:
        """Leave none of them."""
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        end = time.monotonic() + GRACE
        for process in self.processes:
            process.join(max(end - time.monotonic(), 0))
            if process.is_alive():
                process.kill()
                process.join()

    def pass_on(self, number: int) -> None:
        """Give them a signal that came here. A third Ctrl-C ends everything."""
        self.passed_on.append(number)
        interrupts = self.passed_on.count(signal.SIGINT)
        if interrupts == 2:
            self._deadline = time.monotonic() + GRACE
        if interrupts > 2:
            raise KeyboardInterrupt
        for process in self.processes:
            if process.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(process.pid, number)

    def problem(self) -> BaseException | None:
        """What to raise: the own error of rank 0, or what happened to another."""
        reports = {rank: _report(self.folder, rank) for rank in range(len(self.processes))}
        own = reports[0]
        if self._failed is None and own is None:
            return None
        if signal.SIGTERM in self.passed_on and own is None:
            return SIGTERMException()
        if own is not None and isinstance(own["error"], SIGTERMException | KeyboardInterrupt | RanksDisagree):
            return own["error"]
        rank, code = self._failed or (0, 1)
        if code < 0 and not self.passed_on:
            return RankFailed(ended_by(self.first + rank, -code))
        if code > 0 and reports[rank] is None:
            return RankFailed(f"Rank {self.first + rank} ended with exit code {code}; see its output above.")
        if own is not None:
            return own["error"] or RankFailed(told(self.first, own["what"], own["traceback"]))
        other = next(((at, report) for at, report in reports.items() if report is not None), None)
        if other is not None:
            return RankFailed(told(self.first + other[0], other[1]["what"], other[1]["traceback"]))
        return KeyboardInterrupt()

    def _look(self) -> None:
        for rank, process in enumerate(self.processes):
            if process.exitcode and self._failed is None:
                self._failed = rank, process.exitcode
                self._deadline = time.monotonic() + STUCK


def _rank(local_rank: int, job: Job) -> None:
    """One process: run the verb, and leave behind what came of it."""
    _begin(local_rank, job)
    try:
        trainer, verb, args = job.forked or handover.received(job.folder)
        if job.forked is not None:
            _forget_handles(trainer.loggers)
        owners = handover.owners_of(trainer)
        trainer.strategy.take_place()
    except BaseException as error:
        _leave_report(job.folder, local_rank, error)
        sys.exit(1)
    trains = verb == "_fit"
    try:
        result = trainer.strategy.launch(trainer, getattr(trainer, verb), *args)
        if local_rank == 0:
            handover.hand_over(job.folder, trainer, owners, trains)
            handover.write_result(job.folder, result)
    except BaseException as error:
        if local_rank == 0:
            with suppress(Exception):
                handover.hand_over(job.folder, trainer, owners, trains)
        _leave_report(job.folder, local_rank, error)
        sys.stdout.flush()
        sys.exit(1)
    trainer.strategy.end_group()


def _begin(local_rank: int, job: Job) -> None:
    # A group of its own: Ctrl-C goes to all of the terminal's, and would come twice, once from the parent.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(job.environ, LOCAL_RANK=str(local_rank))
    end_without(job.parent, gently=True)
    if job.listener is not None:
        port = ports.keep(job.listener)
        if local_rank:
            ports.let_go(port)
    if job.forked is not None:
        # OpenMP's threads don't survive a fork, and the first parallel loop would wait for them.
        torch.set_num_threads(1)
        return
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(job.settings["threads"])
    torch.manual_seed(job.settings["seed"])
    set_rng_states(job.settings["random"])
    torch.use_deterministic_algorithms(**job.settings["deterministic"])
    torch.backends.cudnn.benchmark = job.settings["benchmark"]
    torch.set_float32_matmul_precision(job.settings["matmul"])
    torch.set_default_dtype(job.settings["dtype"])


def _settings() -> dict[str, Any]:
    """What is set for the whole process, and begins anew in another."""
    return {
        "seed": torch.initial_seed(),
        "random": collect_rng_states(include_cuda=False),
        "deterministic": {
            "mode": torch.are_deterministic_algorithms_enabled(),
            "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        },
        "benchmark": torch.backends.cudnn.benchmark,
        "matmul": torch.get_float32_matmul_precision(),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
    }


@contextmanager
def _ends_meet(strategy: Any) -> Iterator[dict[str, str]]:
    """What the processes need to find one another; a port that nobody named is a new one for each launch."""
    environment, named = strategy.cluster_environment, os.environ.get("MASTER_PORT")
    try:
        yield {
            "MASTER_ADDR": str(environment.main_address),
            "MASTER_PORT": str(environment.main_port),
            "NODE_RANK": str(environment.node_rank()),
            "WORLD_SIZE": str(strategy.world_size),
        }
    finally:
        if named is None:
            ports.let_go(int(os.environ.pop("MASTER_PORT", 0)))


@contextmanager
def _passed_on(ranks: _Ranks) -> Iterator[None]:
    """While this is open, SIGTERM and Ctrl-C go to the processes, which end as one would; the rest follows."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda number, frame: ranks.pass_on(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _check_fork() -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError("strategy='ddp_fork' and 'ddp_notebook' fork, which this system can't. Use 'ddp_spawn'.")
    if torch.cuda.is_initialized():
        raise MisconfigurationException(
            "strategy='ddp_fork' and 'ddp_notebook' fork this process, and CUDA is in use here already, which does not "
            "survive a fork. Restart, and touch no GPU before the Trainer's call: no `.cuda()`, no `.to('cuda')`, no "
            "`torch.cuda.` function. Or use strategy='ddp_spawn'."
        )
    if dist.is_initialized():
        raise MisconfigurationException(
            "strategy='ddp_fork' and 'ddp_notebook' fork this process, which is in a group of torch.distributed "
            "already. Call `torch.distributed.destroy_process_group()` first, or use strategy='ddp_spawn'."
        )


def _forget_handles(loggers: list[Any]) -> None:
    """Files, connections and threads belong to the process before the fork: be as a copy that was pickled."""
    for logger in loggers:
        state = pickle.loads(pickle.dumps(logger)).__dict__
        logger.__dict__.clear()
        logger.__dict__.update(state)


def _leave_report(folder: Path, local_rank: int, error: BaseException) -> None:
    text = folded(error)
    report = {"what": f"{type(error).__name__}: {error}", "traceback": text, "error": _sendable(error, text)}
    (folder / f"failed-{local_rank}").write_bytes(pickle.dumps(report))


def _sendable(error: BaseException, text: str) -> BaseException | None:
    """The error itself, where it survives the way to another process."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        return None
    if not isinstance(error, RankFailed):
        copy.add_note(f"It was raised in another process:\n\n{text}")
    return copy


def _report(folder: Path, local_rank: int) -> dict[str, Any] | None:
    path = folder / f"failed-{local_rank}"
    try:
        return pickle.loads(path.read_bytes()) if path.exists() else None
    except (pickle.PickleError, EOFError):
        return None  # it was killed as it wrote
