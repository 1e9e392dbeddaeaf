"""Random numbers that come again: one seed for Python, NumPy and torch, and their states to keep and put back."""

import hashlib
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fulgurite.base.rank import current_rank, rank_zero_info, rank_zero_only, rank_zero_warn

MAX_SEED = 2**32 - 1


def seed_everything(seed: int | None = None, workers: bool = False, verbose: bool = True) -> int:
    """Seed Python, NumPy and torch (every device) and return the seed.

    Without a ``seed`` it is read from the environment, ``PL_GLOBAL_SEED``, or is 0. With ``workers`` the trainer also
    seeds every worker of every DataLoader, each differently. Subprocesses find both in the environment.

    Raises ``ValueError`` outside 0 … 2³²-1.
    """
    chosen = _seed_of_environment() if seed is None else int(seed)
    if not 0 <= chosen <= MAX_SEED:
        raise ValueError(f"seed={chosen} is out of range: NumPy takes 0 to {MAX_SEED}.")
    os.environ["PL_GLOBAL_SEED"] = str(chosen)
    os.environ["PL_SEED_WORKERS"] = str(int(workers))
    if verbose:
        rank_zero_info(f"Seed set to {chosen}")
    random.seed(chosen)
    if numpy := _numpy():
        numpy.random.seed(chosen)
    torch.manual_seed(chosen)
    return chosen


def pl_worker_init_function(worker_id: int, rank: int | None = None) -> None:
    """Seed Python, NumPy and torch in a DataLoader's worker; no two workers, ranks or epochs share a stream.

    torch gives each epoch's workers a seed of their own; here the rank is mixed in, and each library gets its part.
    """
    base = torch.initial_seed() - worker_id
    rank = rank if rank is not None else getattr(rank_zero_only, "rank", current_rank())
    mixed = hashlib.blake2b(f"{base} {worker_id} {rank}".encode(), digest_size=40).digest()
    random.seed(int.from_bytes(mixed[:16], "little"))
    if numpy := _numpy():
        numpy.random.seed(numpy.frombuffer(mixed[16:32], dtype="<u4").tolist())
    torch.manual_seed(int.from_bytes(mixed[32:], "little") >> 1)


@contextmanager
def isolate_rng(include_cuda: bool = True) -> Iterator[None]:
    """Whatever is drawn inside the block, the random states are the same after it as before."""
    states = collect_rng_states(include_cuda)
    try:
        yield
    finally:
        set_rng_states(states)


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Inside, Python, NumPy and torch on the CPU draw what belongs to ``numbers``; afterwards all is as before."""
    drawn = hashlib.blake2b(" ".join(map(str, numbers)).encode(), digest_size=8).digest()
    seed = int.from_bytes(drawn, "little")
    with isolate_rng(include_cuda=False):
        random.seed(seed)
        if numpy := _numpy():
            numpy.random.seed(seed & MAX_SEED)
        torch.default_generator.manual_seed(seed >> 1)
        yield


def collect_rng_states(include_cuda: bool = True) -> dict[str, Any]:
    """The states of all generators in use: CUDA's only if this process has used it, MPS's where there is one.

    ``include_cuda`` speaks for both.
    """
    states: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if numpy := sys.modules.get("numpy"):
        states["numpy"] = numpy.random.get_state()
    if include_cuda and torch.cuda.is_initialized():
        states["torch.cuda"] = torch.cuda.get_rng_state_all()
    if include_cuda and torch.backends.mps.is_available():
        states["torch.mps"] = torch.mps.get_rng_state()
    return states


def set_rng_states(states: dict[str, Any]) -> None:
    """Put back what ``collect_rng_states`` returned; what it did not hold is left as it is."""
    torch.set_rng_state(states["torch"].cpu())
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    if "numpy" in states and (numpy := _numpy()):
        numpy.random.set_state(states["numpy"])
    if "torch.cuda" in states and torch.cuda.is_available():
        for index, state in enumerate(states["torch.cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state.cpu(), index)
    if "torch.mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["torch.mps"].cpu())


def packed_rng_states(states: dict[str, Any]) -> dict[str, Any]:
    """The states as tensors and numbers, which any checkpoint can hold."""
    version, words, gauss = states["python"]
    packed = {**states, "python": [version, torch.tensor(words), gauss]}
    if "numpy" in states:
        name, keys, *rest = states["numpy"]
        packed["numpy"] = [str(name), torch.tensor(keys.tolist()), *rest]
    return packed


def unpacked_rng_states(packed: dict[str, Any]) -> dict[str, Any]:
    """What `packed_rng_states` packed."""
    version, words, gauss = packed["python"]
    states = {**packed, "python": (version, tuple(words.tolist()), gauss)}
    if "numpy" in packed:
        name, keys, *rest = packed["numpy"]
        states["numpy"] = (name, keys.numpy().astype("uint32"), *rest)
    return states


def _seed_of_environment() -> int:
    given = os.environ.get("PL_GLOBAL_SEED")
    if given is None:
        rank_zero_warn("No seed was given, so it is 0. Call `seed_everything(seed)` to choose one.")
        return 0
    try:
        return int(given)
    except ValueError:
        raise ValueError(f"PL_GLOBAL_SEED={given!r} in the environment is no whole number.") from None


def _numpy() -> Any:
    """NumPy where it is installed; torch runs without it."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy
