"""Runs a function of a test in several processes, which are the ranks of a training over gloo."""

import importlib.util
import inspect
import multiprocessing
import os
import pickle
import sys
import traceback
from typing import Any

import torch

from support.ports import free_port

TIMEOUT = 40
"""Seconds until ranks that wait for one another for ever are killed."""

_context = multiprocessing.get_context("forkserver")
# The ranks are forked from a process that has loaded torch but never used it.
_context.set_forkserver_preload(["torch", "torch.distributed", "torchmetrics", "fulgurite.trainer", "support.ranks"])


def on_ranks(
    function: Any, *args: Any, ranks: int = 2, environ: dict[str, str] | None = None, patience: float = TIMEOUT
) -> list[Any]:
    """Return what ``function(*args)`` gives on each of so many ranks. Raises ``AssertionError`` where one raises."""
    found = outcomes(function, *args, ranks=ranks, environ=environ, patience=patience)
    for rank, (result, problem) in enumerate(found):
        assert problem is None, f"rank {rank}: {problem}"
        assert result is not Ellipsis, f"rank {rank} was killed"
    return [result for result, _ in found]


def outcomes(
    function: Any, *args: Any, ranks: int = 2, environ: dict[str, str] | None = None, patience: float = TIMEOUT
) -> list[tuple[Any, str | None]]:
    """The same, with (result, traceback) of each rank; a rank that ended otherwise has ``...`` as result."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1", **(environ or {})}
    file, name = str(inspect.getsourcefile(function)), function.__name__
    processes, pipes = [], []
    for rank in range(ranks):
        receiver, sender = _context.Pipe(duplex=False)
        own = {**shared, "LOCAL_RANK": str(rank)}
        started = _context.Process(target=_rank, args=(file, name, args, own, os.getcwd(), sender))
        started.start()
        sender.close()
        processes.append(started)
        pipes.append(receiver)
    found: list[tuple[Any, str | None]] = []
    for pipe in pipes:
        try:
            found.append(
                pickle.loads(pipe.recv_bytes()) if pipe.poll(patience) else (..., f"nothing came within {patience} s")
            )
        except EOFError:
            found.append((..., None))
    for process in processes:
        process.join(5)
        if process.is_alive():
            process.kill()
    return found


def _rank(file: str, name: str, args: Any, environ: dict[str, str], folder: str, sender: Any) -> None:
    os.environ.update(environ)
    os.chdir(folder)
    torch.set_num_threads(1)
    try:
        spec = importlib.util.spec_from_file_location("module_of_the_test", file)
        assert spec is not None and spec.loader is not None
        module = sys.modules["module_of_the_test"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        told = (getattr(module, name)(*args), None)
    except BaseException:
        told = (..., traceback.format_exc())
    # Plain bytes: tensors in shared memory would be gone with this process.
    sender.send_bytes(pickle.dumps(told))
    sender.close()
