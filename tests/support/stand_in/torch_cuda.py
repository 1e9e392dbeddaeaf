"""What `torch.cuda` asks its C++ half, asked of the stand-in device. Installed once torch is imported."""

import os
import sys
import time
import types
from datetime import timedelta
from typing import Any

import torch
import torch.cuda.nccl
import torch.cuda.random
import torch.distributed as dist
import torch.distributed.constants
import torch.distributed.device_mesh
import torch.distributed.distributed_c10d as c10d

from support.stand_in import storages

DEVICES = int(os.environ["STAND_IN_DEVICES"])
MODES = {"default": 0, "warn": 1, "error": 2}
GIB = 2**30
MEMORY = ["allocated_bytes.all.current", "allocated_bytes.all.peak", "num_ooms"]

device_of = torch.ops.stand_in  # the operators of device.cpp


def index(device: Any = None) -> int:
    """The number of a device in any of the forms that torch takes; the current one's where it has none."""
    if isinstance(device, int):
        return device
    number = None if device is None else torch.device(device).index
    return device_of.device(-1) if number is None else number


class Stream:
    """There is one queue of work, and it is always done."""

    stream_id = cuda_stream = 0

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        self.device = torch.device("cuda", index(device))
        self.device_index, self.device_type = self.device.index, 1

    def wait_event(self, event: Any) -> None: ...
    def wait_stream(self, stream: Any) -> None: ...
    def synchronize(self) -> None: ...
    def query(self) -> bool:
        return True

    def is_capturing(self) -> bool:
        return False

    def record_event(self, event: Any = None) -> Any:
        event = event or Event()
        event.record(self)
        return event

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: Any) -> None: ...

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Stream)

    def __hash__(self) -> int:
        return 0


class Event:
    def __init__(self, enable_timing: bool = False, **_: Any) -> None:
        self.at = 0.0

    def record(self, stream: Any = None) -> None:
        self.at = time.perf_counter()

    def wait(self, stream: Any = None) -> None: ...
    def synchronize(self) -> None: ...
    def query(self) -> bool:
        return True

    def elapsed_time(self, other: "Event") -> float:
        return (other.at - self.at) * 1e3


class On:
    """`with torch.cuda.device(1):`"""

    def __init__(self, device: Any) -> None:
        self.index = index(device)

    def __enter__(self) -> None:
        self.before = device_of.device(self.index)

    def __exit__(self, *_: Any) -> None:
        device_of.device(self.before)


class InStream:
    """`with torch.cuda.stream(stream):`"""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> Any:
        return self.stream

    def __exit__(self, *_: Any) -> None: ...


class Started:
    is_so = False

    @classmethod
    def now(cls) -> None:
        cls.is_so = True


def _seed(number: int, device: int) -> None:
    # As a 64-bit pattern: seeds go up to 2**64.
    device_of.seed(device, number - 2**64 if number >= 2**63 else number)


def _properties(device: Any = None) -> Any:
    return types.SimpleNamespace(
        name="stand-in", total_memory=16 * GIB, major=9, minor=0, multi_processor_count=1, warp_size=32
    )


RANDOM = {
    "manual_seed": lambda seed: _seed(int(seed), index()),
    "manual_seed_all": lambda seed: [_seed(int(seed), each) for each in range(DEVICES)] and None,
    "get_rng_state": lambda device="cuda": device_of.rng_state(index(device)),
    "get_rng_state_all": lambda: [device_of.rng_state(each) for each in range(DEVICES)],
    "set_rng_state": lambda state, device="cuda": device_of.set_rng_state(index(device), state),
    "set_rng_state_all": lambda states: [device_of.set_rng_state(*each) for each in enumerate(states)] and None,
}
CUDA = RANDOM | {
    "_lazy_init": Started.now,
    "init": Started.now,
    "is_initialized": lambda: Started.is_so,
    "_is_in_bad_fork": lambda: False,
    "is_available": lambda: True,
    "is_bf16_supported": lambda *_, **__: True,
    "is_current_stream_capturing": lambda: False,
    "device_count": lambda: DEVICES,
    "current_device": lambda: index(),
    "set_device": lambda device: device_of.device(index(device)) and None,
    "device": On,
    "Stream": Stream,
    "Event": Event,
    "stream": InStream,
    "StreamContext": InStream,
    "set_stream": lambda stream: None,
    "current_stream": Stream,
    "default_stream": Stream,
    "synchronize": lambda device=None: None,
    "set_sync_debug_mode": lambda mode: device_of.debug_mode(MODES.get(mode, mode)) and None,
    "get_sync_debug_mode": lambda: device_of.debug_mode(-1),
    "get_device_name": lambda device=None: "stand-in",
    "get_device_capability": lambda device=None: (9, 0),
    "get_device_properties": _properties,
    "mem_get_info": lambda device=None: (8 * GIB, 16 * GIB),
    "memory_stats": lambda device=None: dict.fromkeys(MEMORY, 0),
    "memory_summary": lambda *_, **__: "",
    "empty_cache": lambda: None,
    **dict.fromkeys(
        ["memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"], lambda device=None: 0
    ),
    **dict.fromkeys(["reset_peak_memory_stats", "reset_max_memory_allocated"], lambda device=None: None),
}


def install() -> None:
    for name, value in CUDA.items():
        setattr(torch.cuda, name, value)
    for name, value in RANDOM.items():
        setattr(torch.cuda.random, name, value)
    torch.cuda.nccl.version = lambda: (2, 0, 0)
    # Not the class again: torch's compiler knows it as one function only.
    torch.accelerator.current_stream = lambda device=None: Stream(device)
    torch.version.cuda = "stand-in"
    storages.install("cuda", DEVICES)
    _install_collectives()


def _install_collectives() -> None:
    sys.path.append(os.environ["STAND_IN_LIBRARIES"])
    from stand_in_collectives import Nccl

    class Options:
        def __init__(self, is_high_priority_stream: bool = False) -> None:
            self.is_high_priority_stream, self._timeout, self.config = is_high_priority_stream, None, None

    class ProcessGroupNCCL(Nccl):
        def __init__(self, store: Any, rank: int, size: int, options: Options) -> None:
            super().__init__(dist.ProcessGroupGloo(store, rank, size, timeout=options._timeout))
            self.options = options

        def _set_sequence_number_for_group(self) -> None: ...
        def eager_connect_single_device(self, device: Any) -> None: ...

    def split_group(split_ranks: list[list[int]], timeout: Any = None, group_desc: Any = None, **_: Any) -> Any:
        """The group of these that this rank is in: NCCL splits communicators for it, gloo makes new ones."""
        groups = [dist.new_group(ranks, timeout, group_desc=group_desc) for ranks in split_ranks]
        return next(group for group, ranks in zip(groups, split_ranks, strict=True) if dist.get_rank() in ranks)

    torch.distributed.device_mesh.split_group = split_group
    ProcessGroupNCCL.Options = Options
    c10d.ProcessGroupNCCL = dist.ProcessGroupNCCL = ProcessGroupNCCL
    c10d._NCCL_AVAILABLE = True
    for place in (c10d, torch.distributed.constants):
        place.default_pg_nccl_timeout = timedelta(minutes=10)
