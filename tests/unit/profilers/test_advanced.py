"""AdvancedProfiler: which functions an action spent its time in, nested actions and other profilers included."""

import cProfile
import pstats
import sys

import pytest

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.profilers import AdvancedProfiler
from fulgurite.testing import QUIET, TinyModule, batches

pytestmark = pytest.mark.filterwarnings("ignore:There is a .validation_step.", "ignore:Profiler won.t be")


def outer_work():
    return sum(range(10))


def inner_work():
    return max(range(10))


def section(profiler, action):
    text = profiler.summary()
    return text.split(f"Profile stats for: {action}\n")[1].split("Profile stats for:")[0]


def test_an_action_shows_its_functions_and_those_of_actions_inside():
    """Python measures one thing at a time; the report has both all the same, and calls are exact."""
    profiler = AdvancedProfiler()
    with profiler.profile("outer"):
        outer_work()
        for _ in range(3):
            with profiler.profile("inner"):
                inner_work()
        outer_work()

    outer, inner = section(profiler, "outer"), section(profiler, "inner")
    assert "(outer_work)" in outer and "(inner_work)" in outer
    assert "(inner_work)" in inner and "(outer_work)" not in inner
    assert next(line for line in inner.splitlines() if "inner_work" in line).split()[0] == "3"
    assert next(line for line in outer.splitlines() if "outer_work" in line).split()[0] == "2"


def test_actions_need_not_end_in_order():
    """A generator that is left open ends its action after the one around it."""
    profiler = AdvancedProfiler()

    def numbers():
        with profiler.profile("numbers"):
            yield inner_work()

    with profiler.profile("around"):
        left_open = numbers()
        next(left_open)
    outer_work()
    left_open.close()

    assert "(inner_work)" in section(profiler, "numbers")
    assert "(outer_work)" not in section(profiler, "around")


def test_the_run_before_leaves_no_profile_active():
    """After a run Python's own profiler is free again."""
    Trainer(profiler=AdvancedProfiler(), max_epochs=1, **QUIET).fit(TinyModule(), batches(2))

    profile = cProfile.Profile()
    profile.enable()
    profile.disable()
    assert sys.getprofile() is None


def test_another_profiler_is_a_warning():
    """A script under ``python -m cProfile`` trains; what is not measured is said."""
    profiler, other = AdvancedProfiler(), cProfile.Profile()
    trainer = Trainer(profiler=profiler, max_epochs=1, **QUIET)
    other.enable()
    try:
        with pytest.warns(UserWarning, match="measures nothing"):
            trainer.fit(TinyModule(), batches(2))
    finally:
        other.disable()
    assert trainer.global_step == 2
    assert any("fit" in str(entry.code) for entry in other.getstats())


def test_profiles_are_dumped_for_other_tools(tmp_path):
    """Each action has a file that `pstats` reads, whatever its name holds."""
    profiler = AdvancedProfiler(dirpath=tmp_path, filename="deep", dump_stats=True)
    with profiler.profile("[Callback]My/Own{'monitor': 'a b'}." + "x" * 300):
        inner_work()
    profiler.describe()

    (file,) = tmp_path.glob("*.prof")
    assert file.name.startswith("deep-[Callback]My_Own_monitor_a_b_.x")
    assert any(name == "inner_work" for _, _, name in pstats.Stats(str(file)).stats)


@pytest.mark.parametrize(("restriction", "lines"), [(1, 1), (0.1, 1), (1.0, None)])
def test_lists_can_be_shortened(restriction, lines):
    """An int counts lines, a float is a share of them."""
    profiler = AdvancedProfiler(line_count_restriction=restriction)
    with profiler.profile("work"):
        inner_work()
        outer_work()

    shown = [line for line in section(profiler, "work").splitlines() if line.strip()[:1].isdigit()][1:]
    assert len(shown) == lines if lines else len(shown) > 3


def test_a_share_of_more_than_all_is_refused():
    """At once, with the value."""
    with pytest.raises(MisconfigurationException, match=r"1\.5"):
        AdvancedProfiler(line_count_restriction=1.5)
