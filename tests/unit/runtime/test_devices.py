"""Which device a run computes on."""

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.runtime.devices import (
    Accelerator,
    CPUAccelerator,
    CUDAAccelerator,
    MPSAccelerator,
    find_usable_cuda_devices,
    pick,
)

CPU = torch.device("cpu")


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine that says it has two GPUs; nothing is computed on them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


class Toy(Accelerator):
    """A kind of hardware that a user brings."""

    @staticmethod
    def name():
        return "toy"

    @staticmethod
    def is_available():
        return True

    @staticmethod
    def auto_device_count():
        return 1

    @staticmethod
    def parse_devices(devices):
        return int(devices)

    @staticmethod
    def get_parallel_devices(devices):
        return [torch.device("meta")] * devices


@pytest.mark.parametrize("devices", ["auto", 1, "1"])
@pytest.mark.parametrize("accelerator", ["cpu", "auto", CPUAccelerator()], ids=["cpu", "auto", "instance"])
def test_a_machine_without_gpu_computes_on_the_cpu(no_gpu, accelerator, devices):
    """By name, by instance or by default, the CPU is one device."""
    chosen, found = pick(accelerator, devices)

    assert (type(chosen), found) == (CPUAccelerator, [CPU])


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_what_is_not_there_is_refused_with_what_is(no_gpu, accelerator):
    """The error names what was asked, what is available, and the way out."""
    with pytest.raises(MisconfigurationException, match=f"accelerator='{accelerator}'.*Available here: 'cpu'.*'auto'"):
        pick(accelerator)


def test_tpus_are_refused():
    """TPUs are known and not supported."""
    with pytest.raises(MisconfigurationException, match="TPUs are not supported"):
        pick("tpu")


@pytest.mark.parametrize("accelerator", ["foo", None])
def test_unknown_names_are_refused_with_the_choices(accelerator):
    """A name that nobody knows is answered with those that are known."""
    with pytest.raises(ValueError, match="'auto', 'gpu', 'cuda', 'mps', 'cpu'"):
        pick(accelerator)


@pytest.mark.parametrize("devices", [0, "0", []], ids=repr)
@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_no_device_is_refused(two_gpus, accelerator, devices):
    """Zero devices are no devices, in every spelling."""
    with pytest.raises(MisconfigurationException, match="nothing to compute on"):
        pick(accelerator, devices)


@pytest.mark.parametrize("devices", [-1, [0], "0,1", 1.5, None, "foo"], ids=repr)
def test_the_cpu_takes_a_number_of_processes(devices):
    """Indices and other things are refused for the CPU."""
    with pytest.raises(TypeError, match="number of processes"):
        pick("cpu", devices)


@pytest.mark.parametrize(
    ("devices", "index"),
    [
        (1, 0),
        ("1", 0),
        ([0], 0),
        ([1], 1),
        ("1,", 1),
        ((1,), 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "auto"])
def test_one_gpu_is_chosen_by_count_or_index(two_gpus, accelerator, devices, index):
    """A number counts, a list or a comma chooses."""
    chosen, found = pick(accelerator, devices)

    assert type(chosen) is CUDAAccelerator
    assert found == [torch.device("cuda", index)]


@pytest.mark.parametrize("devices", ["auto", 2, -1, "-1", [0, 1], "0,1"], ids=repr)
def test_several_gpus_are_one_for_each_process(two_gpus, devices):
    """A count, -1, indices and auto all mean both GPUs."""
    assert pick("cuda", devices)[1] == [torch.device("cuda", 0), torch.device("cuda", 1)]


@pytest.mark.parametrize(
    ("devices", "error"),
    [
        ([2], MisconfigurationException),
        (3, MisconfigurationException),
        (-2, MisconfigurationException),
        ([0, 0], MisconfigurationException),
        ([-1], MisconfigurationException),
        ("foo", ValueError),
        (1.5, TypeError),
        (None, TypeError),
        (True, TypeError),
        (["0"], TypeError),
    ],
    ids=repr,
)
def test_wrong_gpus_are_named(two_gpus, devices, error):
    """Unavailable or repeated indices and wrong types are refused, each naming what was passed."""
    with pytest.raises(error) as raised:
        pick("cuda", devices)

    assert f"devices={devices!r}" in str(raised.value)


def test_a_cpu_has_as_many_processes_as_asked_for():
    """Auto means one."""
    assert pick("cpu", 2)[1] == [torch.device("cpu")] * 2
    assert pick("cpu")[1] == [torch.device("cpu")]


def test_apples_gpu(no_gpu, monkeypatch):
    """Where Apple's GPU is all there is, auto and gpu take it, and it has one index."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)

    assert type(pick("auto")[0]) is type(pick("gpu", 1)[0]) is MPSAccelerator
    assert pick("mps")[1] == [torch.device("mps", 0)]
    with pytest.raises(MisconfigurationException, match="not there: \\[1\\]"):
        pick("mps", [1])


def test_users_bring_their_own_kind():
    """An instance of a user's class is asked for its devices."""
    chosen, found = pick(Toy(), 1)

    assert chosen.name() == "toy" and found == [torch.device("meta")]


def test_cpu_stats_are_percentages():
    """The CPU tells its load and memory in percent."""
    pytest.importorskip("psutil")

    stats = CPUAccelerator().get_device_stats("cpu")

    assert set(stats) == {"cpu_percent", "cpu_vm_percent", "cpu_swap_percent"}
    assert all(0 <= value <= 100 for value in stats.values())


def test_usable_gpus_are_those_that_accept_work(two_gpus, monkeypatch):
    """A GPU that refuses a tensor is passed over; too few are an error."""
    monkeypatch.setattr("fulgurite.runtime.devices._accepts_work", lambda index: index == 1)

    assert find_usable_cuda_devices() == find_usable_cuda_devices(1) == [1]
    assert find_usable_cuda_devices(0) == []
    with pytest.raises(RuntimeError, match="only \\[1\\] of 2"):
        find_usable_cuda_devices(2)
    with pytest.raises(ValueError, match="num_devices=3, but 2"):
        find_usable_cuda_devices(3)


def test_no_gpu_is_usable_where_none_is(no_gpu):
    """Without GPUs the search is an error, as in Lightning."""
    with pytest.raises(ValueError, match="but 0 CUDA devices"):
        find_usable_cuda_devices()
