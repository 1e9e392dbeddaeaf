"""How the machine is doing, in numbers that are true."""

import logging
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from fulgurite.track.writer.gpu import gpus
from fulgurite.track.writer.system import SystemMetrics


@pytest.fixture
def samples():
    """Samples every 50 ms, until the test ends."""
    taken = []
    metrics = SystemMetrics(lambda moment, values: taken.append((moment, values)), 0.05)
    metrics.start()
    yield taken
    metrics.stop()


def test_samples_come_under_the_names_of_wandb(samples, soon):
    """Of process and machine; all are numbers."""
    soon(lambda: len(samples) >= 2)
    moment, values = samples[-1]

    assert abs(moment - time.time()) < 5
    assert all(type(value) is float for value in values.values())
    assert {
        "system.cpu", "system.proc.cpu.threads", "system.proc.memory.rssMB", "system.proc.memory.percent",
        "system.memory_percent", "system.proc.memory.availableMB", "system.disk./.usagePercent",
        "system.disk./.usageGB", "system.network.sent", "system.network.recv", "system.cpu.all.cpu_percent",
    } <= values.keys()  # fmt: skip


def test_the_numbers_are_true(samples, soon):
    """Work shows up as work, memory as memory, that of a child process too."""
    soon(lambda: samples)
    before = samples[-1][1]["system.proc.memory.rssMB"]
    held = bytearray(200 * 2**20)
    busy = subprocess.Popen([sys.executable, "-c", "held = b'x' * (100 * 2**20)\nwhile True: pass"])
    try:
        soon(lambda: samples[-1][1]["system.proc.memory.rssMB"] > before + 280)
        soon(lambda: samples[-1][1]["system.cpu"] > 5)
    finally:
        busy.kill()
        busy.wait()
    assert len(held) == 200 * 2**20
    soon(lambda: samples[-1][1]["system.proc.memory.rssMB"] < before + 280)


def test_nothing_comes_after_the_end(soon):
    taken = []
    metrics = SystemMetrics(lambda *sample: taken.append(sample), 0.02)
    metrics.start()
    soon(lambda: taken)
    metrics.stop()
    time.sleep(0.1)
    count = len(taken)
    time.sleep(0.2)

    assert len(taken) == count


def test_without_psutil_there_are_none(monkeypatch, caplog):
    """One line for whoever looks for it; the training does not notice."""
    caplog.set_level(logging.DEBUG, "fulgurite.track")
    monkeypatch.setitem(sys.modules, "psutil", None)
    metrics = SystemMetrics(lambda *sample: pytest.fail("there was a sample"), 0.01)
    metrics.start()
    metrics._thread.join(5)

    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert "fulgurite[track]" in caplog.text


class Nvml(SimpleNamespace):
    """Stands in for NVIDIA's library, which is of use only where there is such a GPU: one GPU that tells no power."""

    NVML_TEMPERATURE_GPU = 0
    closed = False

    def nvmlInit(self):
        pass

    def nvmlShutdown(self):
        self.closed = True

    def nvmlDeviceGetCount(self):
        return 1

    def nvmlDeviceGetHandleByIndex(self, number):
        return f"handle {number}"

    def nvmlDeviceGetName(self, handle):
        return b"A GPU"

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=1000, used=250)

    def nvmlDeviceGetUtilizationRates(self, handle):
        return SimpleNamespace(gpu=90, memory=40)

    def nvmlDeviceGetTemperature(self, handle, kind):
        return 55

    def nvmlDeviceGetPowerUsage(self, handle):
        raise RuntimeError("not supported")


def test_gpus_are_sampled_under_the_names_of_wandb(monkeypatch, soon):
    """What one GPU can't tell does not cost the rest."""
    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    taken = []
    metrics = SystemMetrics(lambda moment, values: taken.append(values), 0.02)
    metrics.start()
    soon(lambda: taken)
    metrics.stop()
    soon(lambda: nvml.closed)

    assert {name: value for name, value in taken[0].items() if ".gpu." in name} == {
        "system.gpu.0.gpu": 90.0, "system.gpu.0.memory": 40.0, "system.gpu.0.memoryAllocated": 25.0,
        "system.gpu.0.memoryAllocatedBytes": 250.0, "system.gpu.0.temp": 55.0,
    }  # fmt: skip
    with gpus() as found:
        assert found[0].facts() == {"name": "A GPU", "memoryTotal": "1000"}


def test_a_machine_without_gpus_has_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with gpus() as found:
        assert found == []
