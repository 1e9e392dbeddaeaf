"""What every ClusterEnvironment owes those who ask it, as tests. Subclass, give ``make``, and pytest runs them."""

import inspect
from typing import Any

from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.testing.tiny import QUIET
from fulgurite.trainer import Trainer


class ClusterEnvironmentContract:
    """A subclass overrides ``make``, which sets what a launcher sets, for a process that is not the first."""

    def make(self, monkeypatch: Any) -> ClusterEnvironment:
        """A new one in such a process."""
        raise NotImplementedError

    def test_it_answers_everything(self, monkeypatch: Any) -> None:
        """Ranks are numbers within their bounds, and the place to meet is a host with a port."""
        it = self.make(monkeypatch)
        assert 0 <= it.global_rank() < it.world_size()
        assert 0 <= it.local_rank() < it.world_size() and 0 <= it.node_rank() < it.world_size()
        assert it.main_address and isinstance(it.main_address, str)
        assert 0 < it.main_port < 65536

    def test_it_says_the_same_again(self, monkeypatch: Any) -> None:
        """Two who ask find each other."""
        one, other = self.make(monkeypatch), self.make(monkeypatch)
        assert (one.main_address, one.main_port) == (other.main_address, other.main_port)
        assert (one.global_rank(), one.world_size()) == (other.global_rank(), other.world_size())

    def test_a_launcher_from_outside_knows_better(self, monkeypatch: Any) -> None:
        """What the Trainer works out changes nothing where every process was told by its launcher."""
        it = self.make(monkeypatch)
        before = it.global_rank(), it.world_size()
        it.set_world_size(before[1])
        it.set_global_rank(before[0])
        assert (it.global_rank(), it.world_size()) == before

    def test_detect_needs_no_object(self, monkeypatch: Any) -> None:
        """It is asked before there is one."""
        kind = type(self.make(monkeypatch))
        assert isinstance(inspect.getattr_static(kind, "detect"), staticmethod)

    def test_it_survives_its_end(self, monkeypatch: Any) -> None:
        """A second run asks again."""
        it = self.make(monkeypatch)
        it.teardown()
        it.teardown()
        assert it.main_port

    def test_a_trainer_takes_it(self, monkeypatch: Any) -> None:
        """And hands it to its strategy."""
        it = self.make(monkeypatch)
        assert Trainer(plugins=it, **QUIET).strategy.cluster_environment is it
