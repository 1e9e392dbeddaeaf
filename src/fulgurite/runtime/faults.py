"""What is said of an error that ends a run: where in the run it was raised, and what may be behind it."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fulgurite.base.tree import leaves
from fulgurite.runtime import workers
from fulgurite.runtime.reading import samples_of
from fulgurite.runtime.workers import GETS

if TYPE_CHECKING:
    from fulgurite.runtime.data import Feed
    from fulgurite.runtime.session import Session

FEEDS = {"train": "train", "validate": "val", "sanity_check": "val", "test": "test", "predict": "predict"}
"""The feed that a stage reads."""
EDGES = ("_start", "_end")
PARTS = {
    "torch.autograd": "the backward pass",
    "torch.optim.lr_scheduler": "a scheduler's step",
    "torch.optim": "the optimizer's step",
    "fulgurite.base.tree": "the move to the device",
    "fulgurite.runtime.rows": "the writing of a row",
}
"""What the modules that an error came through stand for."""
DIED = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\)")
TIMED_OUT = re.compile(r"DataLoader timed out after")
CAUGHT = re.compile(r"Caught \w+ in DataLoader worker process (\d+)")
"""What torch says of its workers."""
SHOWN = 8
"""So many sample numbers and tensors of a batch are named."""
NO_DEVICE_MEMORY = ("CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "MPS backend out of memory")
NO_MEMORY = ("can't allocate memory", "not enough memory", *NO_DEVICE_MEMORY)
GIB = 2**30


def explain(session: "Session", error: BaseException) -> None:
    """Add notes to ``error``: the batch and the step, and for some errors what is behind it and the way out.

    None where the run had not begun to read data or is closed already, and none to Ctrl-C and SIGTERM.
    """
    if session.torn_down or not isinstance(error, Exception):
        return
    # Whatever can't be told must not take the error's place.
    with suppress(Exception):
        feed = session.feeds.get(FEEDS[str(session.trainer.state.stage)])
        if feed is not None and feed.at is not None:
            _note(error, place(session, feed, error))
    with suppress(Exception):
        for note in (of_workers(session, error), of_memory(session, error), of_anomaly(session, error)):
            _note(error, note)


def place(session: "Session", feed: "Feed", error: Exception) -> str:
    """Where in the run it happened: ``In `training_step`: epoch 3, batch 17, step 417.``"""
    progress, hook, is_fit = session.progress, session.moment.hook, session.trainer.state.fn == "fit"
    what = [f"epoch {progress.epoch}", f"step {progress.global_step}"] if is_fit else []
    if feed.is_fetching:
        return f"While {_fetched(feed, error)}: {', '.join(what) or session.trainer.state.fn}."
    if hook is None or "_batch_" in hook or not hook.endswith(EDGES):
        what.insert(1, _batch(session, feed, error))
    where = f"`{hook}`" if hook else _part(error)
    return f"In {where}: {', '.join(what)}." if where else f"At {', '.join(what)}."


def of_workers(session: "Session", error: Exception) -> str:
    """What became of the workers, where a worker died or gave nothing in time."""
    text = str(error)
    passes = [(feed, batches) for feed in session.feeds.values() for batches in feed.passes]
    if TIMED_OUT.search(text):
        reading = workers.passes_in(error.__traceback__)
        said = [
            f"worker {number} (pid {worker.pid}) is {workers.doing(worker)}"
            for _, batches in passes
            if batches in reading
            for number, worker in enumerate(batches._workers)
        ]
        return (
            f"In the meantime {'; '.join(said)}. `callbacks=[LoaderTimeout(...)]` shows their stacks." if said else ""
        )
    if not _is_of_death(error):
        return ""
    return "\n".join(
        _death(feed, batches, number, worker) for feed, batches in passes for number, worker in workers.dead(batches)
    )


def of_memory(session: "Session", error: Exception) -> str:
    """The size of the batch, the state of the memory and the ways out, where memory ran out."""
    text = str(error)
    is_device = isinstance(error, torch.OutOfMemoryError) or any(words in text for words in NO_DEVICE_MEMORY)
    if not (is_device or isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY)):
        return ""
    feed = session.feeds.get(FEEDS[str(session.trainer.state.stage)])
    moving = _on_the_way(error)
    batch = moving["batch"] if moving else None if feed is None or feed.is_fetching else session.moment.batch
    lines = [f"Memory ran out with a batch of {shapes(batch)}." if batch is not None else "Memory ran out."]
    lines.append(_on_device(session.device) if is_device and session.device.type == "cuda" else _on_host())
    lines.append(
        "Ways out: a smaller batch, with `accumulate_grad_batches` to make as large steps of it; BatchSizeFinder finds "
        "the largest that fits; `precision='bf16-mixed'` halves activations; less of what is kept from step to step "
        "(detach what you store)."
    )
    return "\n".join(lines)


def of_anomaly(session: "Session", error: Exception) -> str:
    if not session.plan.detect_anomaly or "returned nan values" not in str(error):
        return ""
    return (
        "`detect_anomaly` found it; the operation in the forward pass is in the warning before. The weights are those "
        "of before this batch. NonFiniteGuard leaves out such batches, or goes back."
    )


def shapes(batch: Any) -> str:
    """Size and kind of the tensors in a batch: ``32x3x224x224 float32, 32 int64``."""
    tensors = (leaf for leaf in leaves(batch) if isinstance(leaf, torch.Tensor))
    found = [_shape(tensor) for tensor in islice(tensors, SHOWN + 1)]
    return ", ".join(found[:SHOWN]) + (", …" if len(found) > SHOWN else "") if found else type(batch).__name__


def memory_free() -> str:
    """What is free of the host's memory, and of the shared memory that workers hand their batches over in."""
    said = []
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        known = {name: int(rest.split()[0]) * 1024 for name, rest in (line.split(":") for line in lines)}
        said.append(f"{_gib(known['MemAvailable'])} of {_gib(known['MemTotal'])} memory are free")
    with suppress(OSError, ValueError):
        most = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        said.append(f"{_gib(used)} of the {_gib(most)} that this container may have are used")
    with suppress(OSError):
        shared = shutil.disk_usage("/dev/shm")
        said.append(f"{_gib(shared.free)} of {_gib(shared.total)} in /dev/shm")
    return ", ".join(said)


def _note(error: Exception, note: str) -> None:
    if note and note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def _part(error: Exception) -> str:
    """What of a step it was in, where no hook was running; empty where that has no name."""
    trace, found = error.__traceback__, ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__"))
        found = next((part for name, part in PARTS.items() if module.startswith(name)), found)
        trace = trace.tb_next
    return found


def _batch(session: "Session", feed: "Feed", error: Exception) -> str:
    assert feed.at is not None
    loader, number = feed.at
    if feed.stage == "train":
        # The counter goes up once the batch is on the device.
        return f"batch {max(session.progress.batches_ready - (_on_the_way(error) is None), 0)}"
    kind = "validation batch" if session.trainer.state.fn == "fit" else "batch"
    return f"{kind} {number}" + (f" of dataloader {loader}" if feed.several else "")


def _on_the_way(error: Exception) -> dict[str, Any] | None:
    """The variables of the function that brings batches to the device, if it was in there."""
    names = workers.in_traceback(error.__traceback__)
    return next((variables for name, variables in names if name == "transferred"), None)


def _fetched(feed: "Feed", error: Exception) -> str:
    assert feed.at is not None
    loader, number = feed.at
    source = ", ".join(_source(feed, error))
    which = f" {loader}" if feed.several else "s" if feed.combined else ""
    return f"batch {number} of the {feed.stage} dataloader{which} was fetched" + (f" ({source})" if source else "")


def _source(feed: "Feed", error: Exception) -> Iterator[str]:
    """The loader of several, the worker and the samples, as far as they can be known."""
    text = str(error)
    if _is_of_death(error):
        # It need not have been at the batch that was waited for.
        return
    reading = [batches for batches in workers.passes_in(error.__traceback__) if batches in feed.passes]
    if feed.combined and reading:
        yield f"dataloader {feed.passes[reading[0]]}"
    worker = CAUGHT.match(text)
    number = int(worker[1]) if worker else _asked_worker(reading[0]) if reading else None
    if number is not None:
        yield f"worker {number}"
    asked = list(_asked(error))
    if not asked and number is not None:
        assert feed.at is not None
        asked = _asked_of_workers(feed, feed.at[1])
    if len(asked) == 2 or (asked and not isinstance(asked[0], list | tuple)):
        yield f"sample {asked[-1]}"
    elif asked:
        yield f"one of the samples {_few(asked[0])}"


def _asked(error: Exception) -> Iterator[Any]:
    """The numbers that this process asked the dataset for: all of the batch, then the one at which it failed."""
    inside = False
    for name, variables in workers.in_traceback(error.__traceback__):
        if name == "fetch" and "possibly_batched_index" in variables:
            asked = variables["possibly_batched_index"]
            # A stream is asked for None.
            inside = asked is not None and not (isinstance(asked, list) and None in asked)
            if inside:
                yield asked
        if inside and "idx" in variables and name in ("<listcomp>", "fetch"):
            yield variables["idx"]
            return


def _asked_worker(batches: Any) -> int | None:
    """The worker that reads the batch which is waited for."""
    task = getattr(batches, "_task_info", {}).get(getattr(batches, "_rcvd_idx", None))
    return task[0] if task else None


def _asked_of_workers(feed: "Feed", number: int) -> list[Any]:
    """The numbers of the samples in a batch that a worker was asked for, where torch's own samplers say them again."""
    assert feed.at is not None
    if feed.combined:
        return []
    before = feed.readers[0].place if feed.readers else None
    asked = samples_of(feed.loaders[feed.at[0]], number, before)
    return [] if asked is None else [asked]


def _is_of_death(error: Exception) -> bool:
    """Whether it tells of a worker that died: in torch's words, or by a connection that ended under it."""
    if DIED.search(str(error)):
        return True
    trace = error.__traceback__
    if not isinstance(error, OSError | EOFError) or all(name != GETS for name, _ in workers.in_traceback(trace)):
        return False
    # The connection may tell of it before the system does.
    return any(workers.dead(batches, patience=1.0) for batches in workers.passes_in(trace))


def _death(feed: "Feed", batches: Any, number: int, worker: Any) -> str:
    code = worker.exitcode
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    first = f"Worker {number} (pid {worker.pid}) ended by {name}{_last_work(feed, batches, number)}."
    if code == -signal.SIGKILL:
        return (
            f"{first} Unless somebody killed it, the system did, for want of memory: {memory_free()}. Ways out: fewer "
            "workers (`num_workers`), smaller batches, a lower `prefetch_factor`, less data held by the dataset."
        )
    if code == -signal.SIGBUS:
        return (
            f"{first} That is mostly want of shared memory: {memory_free()}. Ways out: a larger /dev/shm (docker run "
            "--shm-size=8g), fewer workers, a lower `prefetch_factor`, or "
            "`torch.multiprocessing.set_sharing_strategy('file_system')`."
        )
    if code < 0:
        return f"{first} Native code that the dataset calls is the likely place; with num_workers=0 a debugger sees it."
    return f"{first} The dataset, or a library that it calls, ended the process; num_workers=0 shows where."


def _last_work(feed: "Feed", batches: Any, number: int) -> str:
    """The batches that the worker was asked for and that had not come: one of them it was at."""
    tasks = getattr(batches, "_task_info", {})
    mine = sorted(task for task, (owner, *data) in tasks.items() if owner == number and not data)
    if feed.at is None or not feed.is_fetching or not mine:
        return ""
    # torch counts anew where a run goes on in the middle of an epoch.
    numbers = [feed.at[1] + task - batches._rcvd_idx for task in mine]
    asked = [(batch, _asked_of_workers(feed, batch)) for batch in numbers]
    said = [f"{batch} (samples {_few(samples[0])})" if samples else str(batch) for batch, samples in asked]
    return f" in batch {' or '.join(said)}"


def _on_device(device: torch.device) -> str:
    free, total = torch.cuda.mem_get_info(device)
    used, held = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
    return (
        f"On {device} {_gib(free)} of {_gib(total)} are free.\nTensors of this process take {_gib(used)} (at most "
        f"{_gib(torch.cuda.max_memory_allocated(device))} so far); {_gib(held - used)} more it holds unused."
    )


def _on_host() -> str:
    return f"On this machine {memory_free()}; it has {os.cpu_count()} processors." if memory_free() else ""


def _shape(tensor: torch.Tensor) -> str:
    size = "x".join(map(str, tensor.shape)) or "a number"
    return f"{size} {str(tensor.dtype).removeprefix('torch.')}"


def _few(samples: Any) -> str:
    if not isinstance(samples, list | tuple):
        return str(samples)
    shown = ", ".join(map(str, islice(samples, SHOWN)))
    more = len(samples) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _gib(count: float) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / 2**20:.0f} MiB"
