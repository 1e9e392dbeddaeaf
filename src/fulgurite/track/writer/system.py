"""How machine and process are doing: sampled every 15 seconds, under the names that W&B gives the series."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from fulgurite.track.writer.gpu import gpus

INTERVAL = 15.0
MB, GB = 2**20, 2**30

Values = dict[str, float]
log = logging.getLogger("fulgurite.track")


class SystemMetrics:
    """Samples in a thread of its own from `start` to `stop`, and gives each sample to ``take(time, values)``.

    Without psutil there is nothing to sample.
    """

    def __init__(self, take: Callable[[float, Values], None], interval: float = INTERVAL) -> None:
        self._take, self._interval = take, interval
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="fulgurite-system", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples. The thread ends by itself."""
        self._stopped.set()

    def _work(self) -> None:
        try:
            # Late, and not on the training thread: it is an extra, and takes a while.
            import psutil
        except ImportError:
            log.debug("psutil is not installed, so no system metrics are recorded: pip install 'fulgurite[track]'")
            return
        samplers = [_Process(psutil), _Machine(psutil)]
        with gpus() as found:
            # The first sample comes soon: most runs are short, and the first seconds tell what memory a model takes.
            wait = min(2.0, self._interval)
            while not self._stopped.wait(wait):
                self._take(time.time(), _sample([*samplers, *found]))
                wait = self._interval


def _sample(samplers: list[Any]) -> Values:
    values: Values = {}
    for sampler in samplers:
        for reading in sampler.readings():
            # What one machine can't tell (a container without disk counters) must not cost the rest.
            with suppress(Exception):
                values.update({f"system.{name}": float(value) for name, value in reading()})
    return values


class _Process:
    """What this process and those that it has started use."""

    def __init__(self, psutil: Any) -> None:
        self._psutil, self._own = psutil, psutil.Process()
        self._cores = psutil.cpu_count() or 1
        self._used, self._looked = self._cpu_seconds(), time.monotonic()

    def readings(self) -> list[Callable[[], Iterator[tuple[str, float]]]]:
        return [self._cpu, self._memory]

    def _cpu(self) -> Iterator[tuple[str, float]]:
        used, now = self._cpu_seconds(), time.monotonic()
        # Workers that have ended take their seconds with them.
        share = max(used - self._used, 0.0) / max(now - self._looked, 1e-3)
        self._used, self._looked = used, now
        yield "cpu", 100 * share / self._cores
        yield "proc.cpu.threads", self._own.num_threads()

    def _memory(self) -> Iterator[tuple[str, float]]:
        used = sum(self._all(lambda process: process.memory_info().rss))
        yield "proc.memory.rssMB", used / MB
        yield "proc.memory.percent", 100 * used / self._psutil.virtual_memory().total

    def _cpu_seconds(self) -> float:
        return sum(self._all(lambda process: sum(process.cpu_times()[:2])))

    def _all(self, ask: Callable[[Any], float]) -> Iterator[float]:
        for process in [self._own, *self._own.children(recursive=True)]:
            with suppress(self._psutil.Error):
                yield ask(process)


class _Machine:
    """What the whole machine uses. Traffic is counted from the run's beginning."""

    def __init__(self, psutil: Any) -> None:
        self._psutil = psutil
        psutil.cpu_percent()  # the next call tells the share since this one
        self._network, self._disks = self._sent(), self._moved()

    def readings(self) -> list[Callable[[], Iterator[tuple[str, float]]]]:
        return [self._cpu, self._memory, self._space, self._disk, self._traffic]

    def _cpu(self) -> Iterator[tuple[str, float]]:
        yield "cpu.all.cpu_percent", self._psutil.cpu_percent()

    def _memory(self) -> Iterator[tuple[str, float]]:
        memory = self._psutil.virtual_memory()
        yield "memory_percent", memory.percent
        yield "proc.memory.availableMB", memory.available / MB

    def _space(self) -> Iterator[tuple[str, float]]:
        disk = self._psutil.disk_usage(os.path.abspath(os.sep))
        yield "disk./.usagePercent", disk.percent
        yield "disk./.usageGB", disk.used / GB

    def _disk(self) -> Iterator[tuple[str, float]]:
        for name, (read, written) in self._moved().items():
            before = self._disks.get(name, (read, written))
            yield f"disk.{name}.in", (read - before[0]) / MB
            yield f"disk.{name}.out", (written - before[1]) / MB

    def _traffic(self) -> Iterator[tuple[str, float]]:
        sent, received = self._sent()
        yield "network.sent", sent - self._network[0]
        yield "network.recv", received - self._network[1]

    def _sent(self) -> tuple[int, int]:
        with suppress(Exception):
            counted = self._psutil.net_io_counters()
            return counted.bytes_sent, counted.bytes_recv
        return 0, 0

    def _moved(self) -> dict[str, tuple[int, int]]:
        """What was read from and written to each disk; partitions are parts of one, loops and RAM disks are none."""
        with suppress(Exception):
            counted = self._psutil.disk_io_counters(perdisk=True)
            whole = [name for name in counted if _is_disk(name, counted)]
            return {name: (counted[name].read_bytes, counted[name].write_bytes) for name in whole}
        return {}


def _is_disk(name: str, names: Any) -> bool:
    if name.startswith(("loop", "ram", "zram", "dm-", "md")):
        return False
    return not any(other != name and name.startswith(other) for other in names)
