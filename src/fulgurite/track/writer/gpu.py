"""NVIDIA's GPUs, by their own library: which there are, and how they are doing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

MB = 2**20


class Gpu:
    """One GPU. ``number`` counts those that the driver knows, as W&B does."""

    def __init__(self, nvml: Any, number: int) -> None:
        self._nvml, self.number = nvml, number
        self._handle = nvml.nvmlDeviceGetHandleByIndex(number)

    def facts(self) -> dict[str, Any]:
        """What it is."""
        name = self._nvml.nvmlDeviceGetName(self._handle)
        return {
            # Old releases of the library answer in bytes.
            "name": name.decode() if isinstance(name, bytes) else name,
            "memoryTotal": str(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).total),
        }

    def readings(self) -> list[Callable[[], Iterator[tuple[str, float]]]]:
        """How it is doing; each is asked by itself, since no GPU can answer all."""
        return [self._use, self._memory, self._temperature, self._power]

    def _use(self) -> Iterator[tuple[str, float]]:
        use = self._nvml.nvmlDeviceGetUtilizationRates(self._handle)
        yield self._name("gpu"), use.gpu
        yield self._name("memory"), use.memory

    def _memory(self) -> Iterator[tuple[str, float]]:
        memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
        yield self._name("memoryAllocated"), 100 * memory.used / memory.total
        yield self._name("memoryAllocatedBytes"), memory.used

    def _temperature(self) -> Iterator[tuple[str, float]]:
        yield (
            self._name("temp"),
            self._nvml.nvmlDeviceGetTemperature(self._handle, self._nvml.NVML_TEMPERATURE_GPU),
        )

    def _power(self) -> Iterator[tuple[str, float]]:
        watts = self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1000
        yield self._name("powerWatts"), watts
        limit = self._nvml.nvmlDeviceGetEnforcedPowerLimit(self._handle) / 1000
        yield self._name("enforcedPowerLimitWatts"), limit
        yield self._name("powerPercent"), 100 * watts / limit

    def _name(self, reading: str) -> str:
        return f"gpu.{self.number}.{reading}"


@contextmanager
def gpus() -> Iterator[list[Gpu]]:
    """The GPUs of this machine; none where there is no driver or no nvidia-ml-py."""
    try:
        # Late: an extra, of use only where there is such a GPU.
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        yield []
        return
    try:
        yield [Gpu(pynvml, number) for number in range(pynvml.nvmlDeviceGetCount())]
    finally:
        with suppress(Exception):
            pynvml.nvmlShutdown()
