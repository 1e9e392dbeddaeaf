"""NVIDIA's GPUs through its real Python library, over a driver of the test's own (`support/nvml.c`)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fulgurite.track.store.history import SYSTEM

SOURCE = Path(__file__).parents[2] / "support" / "nvml.c"
GIB = 2**30

SAMPLES = """
import json, threading
from fulgurite.track.writer.gpu import gpus
from fulgurite.track.writer.system import SystemMetrics

found, taken = [], threading.Event()
metrics = SystemMetrics(lambda moment, values: (found.append(values), taken.set()), 0.02)
metrics.start()
taken.wait(20)
metrics.stop()
metrics._thread.join(5)
with gpus() as all:
    print(json.dumps([found[0], [each.facts() for each in all]]))
"""

RUN = """
import time
from fulgurite.loggers import TrackLogger

logger = TrackLogger(".", project="p", id="r")
logger.log_metrics({"loss": 1.0}, step=0)
# The first sample comes after two seconds.
time.sleep(4)
logger.finalize("success")
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A folder with libnvidia-ml.so.1 of two GPUs."""
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        pytest.skip("nothing compiles C here; set CC, or install gcc")
    folder = tmp_path_factory.mktemp("driver")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", SOURCE], check=True)
    return folder


def said(script, driver):
    environ = {**os.environ, "LD_LIBRARY_PATH": str(driver)}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done


def test_both_are_asked(driver):
    """Percent, bytes, degrees and watts, under W&B's names; what one can't tell does not cost the rest."""
    pytest.importorskip("pynvml")
    done = said(SAMPLES, driver)
    values, facts = json.loads(done.stdout)

    assert {name: value for name, value in values.items() if ".gpu." in name} == {
        "system.gpu.0.gpu": 97.0, "system.gpu.0.memory": 41.0, "system.gpu.0.temp": 60.0,
        "system.gpu.0.memoryAllocated": 25.0, "system.gpu.0.memoryAllocatedBytes": 20.0 * GIB,
        "system.gpu.0.powerWatts": 350.5, "system.gpu.0.enforcedPowerLimitWatts": 701.0,
        "system.gpu.0.powerPercent": 50.0,
        "system.gpu.1.temp": 61.0,
        "system.gpu.1.memoryAllocated": 50.0, "system.gpu.1.memoryAllocatedBytes": 40.0 * GIB,
    }  # fmt: skip
    assert facts == [{"name": f"NVIDIA Stand-in {number}", "memoryTotal": str(80 * GIB)} for number in (0, 1)]
    # For the samples, and for the facts.
    assert done.stderr.count("NVML was shut down") == 2


@pytest.mark.slow
def test_a_run_has_them(driver, store):
    """Its record names the GPUs, and their readings are series of it."""
    pytest.importorskip("pynvml")
    said(RUN, driver)

    run = store.runs.find(store.runs.project("p"), "r")
    assert run.facts["gpu"] == "NVIDIA Stand-in 0" and run.facts["gpu_count"] == 2
    watts = store.history.read(run.id, "system.gpu.0.powerWatts", stream=SYSTEM).values()
    assert len(watts) >= 1 and all(each == 350.5 for each in watts)
