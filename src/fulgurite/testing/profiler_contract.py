"""What every profiler owes the trainer and its users, as tests. Subclass, give ``make``, and pytest runs them."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fulgurite.core.profiler import Profiler
from fulgurite.testing.tiny import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer


class Blocks(TinyModule):
    """Measures a block of its own in each step, and can be made to fail in the fourth."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.error is not None and batch_idx == 3:
            raise self.error
        with self.trainer.profiler.profile("my block"):
            return super().training_step(batch, batch_idx)


@pytest.mark.filterwarnings("ignore:There is a .validation_step.")
class ProfilerContract:
    """A subclass overrides ``make``; a profiler that reports nothing sets ``reports = False``."""

    reports = True

    def make(self, tmp_path: Path) -> Profiler:
        """A new profiler that writes its report under ``tmp_path``."""
        raise NotImplementedError

    def trainer(self, profiler: Profiler | None, **arguments: Any) -> Trainer:
        return Trainer(profiler=profiler, max_epochs=1, **{**QUIET, **arguments})

    def report_of(self, tmp_path: Path, stage: str) -> str:
        """All that was reported of ``stage``."""
        files = tmp_path.glob(f"{stage}-*.txt")
        return "".join(file.read_text() for file in files)

    def test_it_can_be_copied_and_pickled(self, tmp_path: Path) -> None:
        """Copies work, made before a run and after it."""
        used = self.make(tmp_path)
        self.trainer(used).fit(TinyModule(), batches())
        for profiler in (self.make(tmp_path), used):
            for copied in (copy.deepcopy(profiler), pickle.loads(pickle.dumps(profiler))):
                self.trainer(copied).fit(TinyModule(), batches())

    def test_it_does_not_disturb_training(self, tmp_path: Path) -> None:
        """The weights are the same with it and without it."""
        measured, plain = TinyModule(), TinyModule()
        self.trainer(self.make(tmp_path)).fit(measured, batches(), batches(2))
        self.trainer(None).fit(plain, batches(), batches(2))

        assert torch.equal(measured.layer.weight, plain.layer.weight)

    def test_it_reports_every_verb(self, tmp_path: Path) -> None:
        """Each of fit, validate, test and predict has its report."""
        trainer, module = self.trainer(self.make(tmp_path)), TinyModule()
        trainer.fit(module, batches(8), batches(8))
        trainer.validate(module, batches(8), verbose=False)
        trainer.test(module, batches(8), verbose=False)
        trainer.predict(module, batches(8))

        for stage in ("fit", "validate", "test", "predict"):
            assert bool(self.report_of(tmp_path, stage)) == self.reports, stage

    def test_it_reports_the_users_own_block(self, tmp_path: Path) -> None:
        """``self.trainer.profiler.profile(name)`` is one of its actions."""
        self.trainer(self.make(tmp_path)).fit(Blocks(), batches(8))

        assert ("my block" in self.report_of(tmp_path, "fit")) == self.reports

    def test_it_serves_a_second_fit(self, tmp_path: Path) -> None:
        """Another fit has a report of its own, and another trainer too."""
        profiler = self.make(tmp_path)
        trainer = self.trainer(profiler)
        trainer.fit(TinyModule(), batches(8))
        once = self.report_of(tmp_path, "fit")
        trainer.max_epochs = 2
        trainer.fit(TinyModule(), batches(8))
        self.trainer(profiler).fit(TinyModule(), batches(8))

        assert self.report_of(tmp_path, "fit").count("FIT Profiler Report") == 3 * once.count("FIT Profiler Report")

    @pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
    def test_it_reports_a_run_that_broke(self, tmp_path: Path, error: Callable[[], BaseException]) -> None:
        """What was measured is written, the user's error is what the user sees, and the next run goes well."""
        profiler = self.make(tmp_path)
        with pytest.raises(BaseException) as raised:
            self.trainer(profiler).fit(Blocks(error()), batches(8))

        assert type(raised.value) is error
        assert not any("went wrong" in note for note in getattr(raised.value, "__notes__", []))
        assert bool(self.report_of(tmp_path, "fit")) == self.reports
        self.trainer(profiler).fit(TinyModule(), batches(8))

    def test_it_refuses_to_stop_what_never_began(self, tmp_path: Path) -> None:
        """``stop`` without ``start`` is an error of the caller's."""
        if not self.reports:
            pytest.skip("it looks at nothing")
        profiler = self.make(tmp_path)
        profiler.setup("fit")
        with pytest.raises(ValueError, match="never started"):
            profiler.stop("unheard of")
        profiler.teardown("fit")
