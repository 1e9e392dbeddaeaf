"""Which device a run computes on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from fulgurite.base.errors import MisconfigurationException, MissingExtra

MOST = 1 << 16  # processes of one machine; a list of more devices would take all its memory


class Accelerator(ABC):
    """A kind of hardware. Subclass it to bring another kind, and pass the instance as ``Trainer(accelerator=...)``."""

    @staticmethod
    @abstractmethod
    def name() -> str: ...

    @staticmethod
    @abstractmethod
    def is_available() -> bool: ...

    @staticmethod
    @abstractmethod
    def auto_device_count() -> int:
        """The number of devices that ``devices="auto"`` and ``-1`` mean."""

    @staticmethod
    @abstractmethod
    def parse_devices(devices: int | str | list[int]) -> Any:
        """Turn what the user passed into what ``get_parallel_devices`` takes."""

    @staticmethod
    @abstractmethod
    def get_parallel_devices(devices: Any) -> list[torch.device]: ...

    def setup_device(self, device: torch.device) -> None:
        """Called once per run, before anything is moved to ``device``."""

    def get_device_stats(self, device: torch.device | str | int) -> dict[str, Any]:
        """Numbers to watch, such as memory in use, by name."""
        return {}

    def teardown(self) -> None:
        """Called at the end of a run."""


class CPUAccelerator(Accelerator):
    """The processor; always there."""

    @staticmethod
    def name() -> str:
        return "cpu"

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def parse_devices(devices: int | str | list[int]) -> int:
        """The number of processes: a CPU has no indices to choose from."""
        count = int(devices) if isinstance(devices, str) and devices.strip().isdigit() else devices
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
            raise TypeError(
                f"devices={devices!r} with accelerator='cpu': give the number of processes, an int from 1, or 'auto'."
            )
        return int(count)

    @staticmethod
    def get_parallel_devices(devices: int) -> list[torch.device]:
        return [torch.device("cpu")] * devices

    def get_device_stats(self, device: torch.device | str | int) -> dict[str, Any]:
        # Only here: a run that watches nothing needs no psutil.
        try:
            import psutil
        except ModuleNotFoundError as error:
            raise MissingExtra("CPU statistics need psutil. Install it with: pip install psutil") from error
        return {
            "cpu_percent": psutil.cpu_percent(),
            "cpu_vm_percent": psutil.virtual_memory().percent,
            "cpu_swap_percent": psutil.swap_memory().percent,
        }


class CUDAAccelerator(Accelerator):
    """NVIDIA's GPUs, and AMD's through ROCm."""

    @staticmethod
    def name() -> str:
        return "cuda"

    @staticmethod
    def is_available() -> bool:
        # Counted without beginning to use CUDA: a process that has done so can't be forked (`ddp_notebook`).
        return torch.cuda.device_count() > 0

    @staticmethod
    def auto_device_count() -> int:
        return torch.cuda.device_count()

    @staticmethod
    def parse_devices(devices: int | str | list[int]) -> list[int]:
        return _indices(devices, torch.cuda.device_count(), "cuda")

    @staticmethod
    def get_parallel_devices(devices: list[int]) -> list[torch.device]:
        return [torch.device("cuda", index) for index in devices]

    def setup_device(self, device: torch.device) -> None:
        torch.cuda.set_device(device)

    def get_device_stats(self, device: torch.device | str | int) -> dict[str, Any]:
        return dict(torch.cuda.memory_stats(device))

    def teardown(self) -> None:
        torch.cuda.empty_cache()


class MPSAccelerator(Accelerator):
    """The GPU of an Apple computer; there is one."""

    @staticmethod
    def name() -> str:
        return "mps"

    @staticmethod
    def is_available() -> bool:
        return torch.backends.mps.is_available()

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def parse_devices(devices: int | str | list[int]) -> list[int]:
        return _indices(devices, 1, "mps")

    @staticmethod
    def get_parallel_devices(devices: list[int]) -> list[torch.device]:
        return [torch.device("mps", index) for index in devices]

    def get_device_stats(self, device: torch.device | str | int) -> dict[str, Any]:
        return {
            "mps_current_allocated_bytes": torch.mps.current_allocated_memory(),
            "mps_driver_allocated_bytes": torch.mps.driver_allocated_memory(),
        }

    def teardown(self) -> None:
        torch.mps.empty_cache()


# In the order in which "auto" looks.
KINDS: tuple[type[Accelerator], ...] = (CUDAAccelerator, MPSAccelerator, CPUAccelerator)


def pick(
    accelerator: str | Accelerator = "auto", devices: int | str | list[int] = "auto"
) -> tuple[Accelerator, list[torch.device]]:
    """Return the accelerator and its devices, one for each process of this machine.

    Raises ``MisconfigurationException`` where one is not there.
    """
    chosen = accelerator if isinstance(accelerator, Accelerator) else _by_name(accelerator)
    if not chosen.is_available():
        raise _unavailable(chosen.name())
    if isinstance(devices, str | int | list) and devices in ([], 0, "0") and not isinstance(devices, bool):
        raise MisconfigurationException(
            f"devices={devices!r} leaves nothing to compute on. Pass devices=1, a list of indices, or 'auto'."
        )
    return chosen, _auto(chosen) if isinstance(devices, str) and devices == "auto" else _explicit(chosen, devices)


def find_usable_cuda_devices(num_devices: int = -1) -> list[int]:
    """Return the indices of GPUs that accept work, such as those that no other process holds exclusively.

    ``-1`` asks for all. Raises ``ValueError`` where fewer exist, ``RuntimeError`` where fewer are free.
    """
    there = torch.cuda.device_count()
    if num_devices == 0:
        return []
    if num_devices > there or there == 0:
        raise ValueError(f"num_devices={num_devices}, but {there} CUDA devices are visible here.")
    usable: list[int] = []
    for index in range(there):
        if len(usable) == num_devices:
            break
        if _accepts_work(index):
            usable.append(index)
    if num_devices > len(usable):
        raise RuntimeError(f"num_devices={num_devices}, but only {usable} of {there} CUDA devices accept work now.")
    return usable


def _by_name(name: str) -> Accelerator:
    if name == "auto":
        return next(kind for kind in KINDS if kind.is_available())()
    if name == "gpu":
        found = next((kind for kind in KINDS[:2] if kind.is_available()), None)
        if found is None:
            raise _unavailable("gpu")
        return found()
    if name in ("tpu", "xla"):
        raise MisconfigurationException(f"accelerator={name!r}: TPUs are not supported. {_ways_out()}")
    for kind in KINDS:
        if kind.name() == name:
            return kind()
    names = ", ".join(repr(kind.name()) for kind in KINDS)
    raise ValueError(
        f"accelerator={name!r} is not known; choose 'auto', 'gpu', {names}, or pass an Accelerator of your own."
    )


def _unavailable(name: str) -> MisconfigurationException:
    reason = "no GPU that this build of torch can use was found" if name != "cpu" else "it was not found"
    return MisconfigurationException(f"accelerator={name!r}: {reason}. {_ways_out()}")


def _ways_out() -> str:
    there = ", ".join(repr(kind.name()) for kind in KINDS if kind.is_available())
    return f"Available here: {there}. Pass one of them, or accelerator='auto' to take the best."


def _auto(chosen: Accelerator) -> list[torch.device]:
    return chosen.get_parallel_devices(chosen.parse_devices(chosen.auto_device_count()))


def _explicit(chosen: Accelerator, devices: int | str | list[int]) -> list[torch.device]:
    found = chosen.get_parallel_devices(chosen.parse_devices(devices))
    return found


def _indices(devices: int | str | Sequence[int], there: int, kind: str) -> list[int]:
    """The chosen indices of ``there`` devices: a count, -1 for all, "3" as a count, "1,2" or a list as indices."""
    wanted = _numbers(devices, kind)
    if isinstance(wanted, int):
        wanted = list(range(there if wanted == -1 else wanted))
    missing = [index for index in wanted if not 0 <= index < there]
    if missing or not wanted:
        raise MisconfigurationException(
            f"devices={devices!r}: {kind} has the indices {list(range(there))} here; not there: {missing or 'any'}. "
            "Pass a number of devices, a list of these indices, or 'auto'."
        )
    if len(set(wanted)) < len(wanted):
        raise MisconfigurationException(f"devices={devices!r} names a device twice; each index may stand once.")
    return wanted


def _numbers(devices: int | str | Sequence[int], kind: str) -> int | list[int]:
    try:
        if isinstance(devices, str):
            parts = [part for part in devices.split(",") if part.strip()]
            return [int(part) for part in parts] if "," in devices else int(devices)
        if isinstance(devices, int) and not isinstance(devices, bool):
            return devices
        if isinstance(devices, list | tuple) and all(type(index) is int for index in devices):
            return list(devices)
    except ValueError as error:
        raise ValueError(_expected(devices, kind)) from error
    raise TypeError(_expected(devices, kind))


def _expected(devices: object, kind: str) -> str:
    return (
        f"devices={devices!r} with accelerator={kind!r}: give a number, -1 for all, '0,1', a list of ints, or 'auto'."
    )


def _accepts_work(index: int) -> bool:
    try:
        torch.zeros(1, device=torch.device("cuda", index))
    except RuntimeError:
        return False
    return True
