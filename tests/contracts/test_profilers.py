"""The profilers that come along keep the profilers' contract."""

import fulgurite.profilers
from fulgurite.profilers import AdvancedProfiler, PassThroughProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from fulgurite.testing.profiler_contract import ProfilerContract


class TestSimpleProfiler(ProfilerContract):
    def make(self, tmp_path):
        return SimpleProfiler(dirpath=tmp_path)


class TestSimpleProfilerShort(ProfilerContract):
    def make(self, tmp_path):
        return SimpleProfiler(dirpath=tmp_path, extended=False)


class TestAdvancedProfiler(ProfilerContract):
    def make(self, tmp_path):
        return AdvancedProfiler(dirpath=tmp_path, line_count_restriction=3, dump_stats=True)


class TestPyTorchProfiler(ProfilerContract):
    def make(self, tmp_path):
        return PyTorchProfiler(dirpath=tmp_path, row_limit=-1)


class TestPassThroughProfiler(ProfilerContract):
    reports = False

    def make(self, tmp_path):
        return PassThroughProfiler(dirpath=tmp_path)


def test_no_profiler_is_forgotten(tmp_path):
    """Every public profiler has a contract; the base class is there to be subclassed only."""
    public = {getattr(fulgurite.profilers, name) for name in fulgurite.profilers.__all__}
    contracts = [each for name, each in globals().items() if name.startswith("Test")]
    assert {type(each().make(tmp_path)) for each in contracts} == public - {Profiler}
