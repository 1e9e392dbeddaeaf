"""DeviceStatsMonitor: which numbers, when, under which names."""

import sys

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException, MissingExtra
from fulgurite.callbacks import DeviceStatsMonitor
from fulgurite.runtime.devices import CPUAccelerator
from support.counted import fit
from support.kept import Kept

pytest.importorskip("psutil")


class Odd(CPUAccelerator):
    """Has an allocator with two numbers."""

    def get_device_stats(self, device):
        return {"allocated_bytes.all.current": 1, "allocated_bytes.all.peak": 2}


def logged(tmp_path, callback, **arguments):
    logger = Kept()
    fit(tmp_path, callback, logger=logger, **{"log_every_n_steps": 2, "max_epochs": 1, **arguments})
    return [(step, row) for step, row in logger.rows if any("DeviceStats" in name for name in row)]


@pytest.mark.cpu
def test_the_cpu_is_watched_where_the_model_is_on_it(tmp_path):
    """Load and memory in percent, with the rows of the training and at the training's step; none of a trial run."""
    rows = logged(tmp_path, DeviceStatsMonitor(), num_sanity_val_steps=2)

    hooks = [(step, next(iter(row)).split(".")[1].split("/")[0]) for step, row in rows]
    assert hooks == [
        *[
            (1, "on_train_batch_start"),
            (1, "on_train_batch_end"),
            (3, "on_train_batch_start"),
            (3, "on_train_batch_end"),
        ],
        *[(4, "on_validation_batch_start"), (4, "on_validation_batch_end")],
    ]
    start = "DeviceStatsMonitor.on_train_batch_start/"
    assert rows[0][1].keys() == {start + name for name in ("cpu_percent", "cpu_vm_percent", "cpu_swap_percent")}
    assert all(0 <= value <= 100 for value in rows[0][1].values())


def test_the_separator_is_the_loggers(tmp_path):
    """Some back ends have no slash."""

    class Dashed(Kept):
        group_separator = "-"

    logger = Dashed()
    fit(tmp_path, DeviceStatsMonitor(cpu_stats=True), logger=logger, max_epochs=1, log_every_n_steps=1)

    assert any("DeviceStatsMonitor.on_train_batch_end-cpu_percent" in row for _, row in logger.rows)


def test_filter_keys_keeps_what_it_names(tmp_path):
    """The rest is left out; if nothing is left, no row is written."""
    rows = logged(tmp_path, DeviceStatsMonitor(filter_keys={"allocated_bytes.all.peak"}), accelerator=Odd())
    assert {name for _, row in rows for name in row if "train_batch_end" in name} == {
        "DeviceStatsMonitor.on_train_batch_end/allocated_bytes.all.peak"
    }
    assert logged(tmp_path, DeviceStatsMonitor(filter_keys=["none"])) == []
    with pytest.raises(MisconfigurationException, match="filter_keys='a'"):
        DeviceStatsMonitor(filter_keys="a")


@pytest.mark.cpu
def test_cpu_stats_false_leaves_the_cpu_out(tmp_path):
    """And then psutil need not be there."""
    assert logged(tmp_path, DeviceStatsMonitor(cpu_stats=False)) == []


@pytest.mark.cpu
def test_what_is_missing_is_said_before_training(tmp_path, monkeypatch):
    """A logger, or the package that knows the CPU."""
    with pytest.raises(MisconfigurationException, match="DeviceStatsMonitor needs a logger"):
        fit(tmp_path, DeviceStatsMonitor(), logger=False)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(MissingExtra, match="psutil"):
        logged(tmp_path, DeviceStatsMonitor())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_watched_through_its_allocator(tmp_path):
    """`torch.cuda.memory_stats`, and the CPU beside it if asked for."""
    rows = logged(tmp_path, DeviceStatsMonitor(cpu_stats=True), accelerator="cuda", devices=1)
    start = "DeviceStatsMonitor.on_train_batch_end/"
    names = {name for _, row in rows for name in row}
    assert {start + "allocated_bytes.all.peak", start + "num_ooms", start + "cpu_percent"} <= names
