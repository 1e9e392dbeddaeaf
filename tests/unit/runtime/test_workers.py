"""The worker processes of loaders end with the run that they read for, while the loaders themselves live on."""

import time

import pytest
from torch.utils.data import DataLoader, Dataset, IterableDataset, _utils

from fulgurite import Trainer
from fulgurite.runtime import workers
from fulgurite.testing import QUIET
from fulgurite.tuner import Tuner
from fulgurite.utilities import CombinedLoader
from support.faulty import Faulty, Net, left_behind, running

pytestmark = pytest.mark.filterwarnings("ignore:There is a `validation_step`")


@pytest.fixture
def left():
    """Asks for the processes that the test has left behind."""
    before = {process.pid for process in running()}
    return lambda: left_behind(before)


def loader(**options):
    return DataLoader(Faulty(), **{"batch_size": 3, "num_workers": 2, "persistent_workers": True, **options})


@pytest.fixture
def own(left):
    """A module with new loaders each time it is asked; these, which are kept; what was left of them at each epoch."""
    given, at_start = [], []

    class Own(Net):
        batch_size = 3

        def train_dataloader(self):
            given.append(loader(batch_size=self.batch_size))
            return given[-1]

        def on_train_epoch_start(self):
            at_start.append(left())

    return Own(), given, at_start


@pytest.mark.parametrize("options", [{}, {"persistent_workers": False}])
@pytest.mark.parametrize("limits", [{}, {"limit_train_batches": 3, "limit_val_batches": 1}])
def test_they_end_with_a_training(options, limits, left):
    """Left to the collector of garbage, one of two would wait for the other, or speak into somebody else's pipe."""
    loaders = [loader(**options) for _ in range(2)]
    trainer = Trainer(max_epochs=2, **limits, **QUIET)
    for _ in range(2):
        trainer.fit(Net(), *loaders)

        assert left() == []


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_they_end_with_any_other_run(verb, left):
    class Module(Net):
        def test_step(self, batch, batch_idx): ...

        def predict_step(self, batch, batch_idx): ...

    given = loader()
    getattr(Trainer(**QUIET), verb)(Module(), given)

    assert left() == []


def test_those_of_loaders_that_were_loaded_anew_end_at_once(own, left):
    module, given, at_start = own
    Trainer(max_epochs=3, reload_dataloaders_every_n_epochs=1, **QUIET).fit(module)

    assert len(given) == 3 and at_start == [[], [], []] and left() == []


def test_those_that_are_kept_within_a_run_go_on():
    """They are what `persistent_workers` is for."""
    seen = []

    class Module(Net):
        def on_train_epoch_end(self):
            seen.append({worker.pid for worker in given._iterator._workers})

    given = loader()
    Trainer(max_epochs=2, **QUIET).fit(Module(), given)

    assert seen[0] == seen[1] and len(seen[0]) == 2


def test_those_of_a_search_end_with_it(own, left):
    module, given, _ = own
    Tuner(Trainer(max_epochs=1, **QUIET)).scale_batch_size(module, max_trials=2, steps_per_trial=2)

    assert len(given) > 1 and left() == []


@pytest.mark.parametrize("options", [{}, {"persistent_workers": False}])
def test_those_of_loaders_that_are_evaluated_together_end(options, left):
    class Module(Net):
        def test_step(self, batch, batch_idx):
            assert len(batch) == 2

    together = CombinedLoader([loader(**options), loader(**options)], "max_size")
    Trainer(limit_test_batches=1, **QUIET).test(Module(), together)

    assert left() == []


@pytest.mark.parametrize("reloads", [0, 1])
def test_a_loader_inside_another_goes_on_in_the_next_pass(reloads):
    """Nobody but its owner can let it have new workers."""
    inner = loader()

    class Outer:
        def __iter__(self):
            return iter(inner)

        def __len__(self):
            return len(inner)

    class Module(Net):
        def train_dataloader(self):
            return Outer()

    for _ in range(2):
        trainer = Trainer(max_epochs=2, reload_dataloaders_every_n_epochs=reloads, **QUIET)
        trainer.fit(Module())

        assert trainer.global_step == 16
    inner._iterator._shutdown_workers()


class Slow(Dataset):
    """Its first sample comes at once, each other after a minute."""

    def __len__(self):
        return 9

    def __getitem__(self, index):
        time.sleep(60 * (index > 0))
        return Faulty()[index]


class Closes(IterableDataset):
    """Takes a moment to close what it read from."""

    def __init__(self, path):
        self.path = path

    def __iter__(self):
        try:
            yield from range(100)
        finally:
            time.sleep(0.2)
            self.path.touch()


def test_those_that_are_busy_are_waited_for_together(left, monkeypatch, tmp_path):
    """Six workers in the midst of a sample end as soon as one; another that is not has the time to close its file."""
    monkeypatch.setattr(_utils, "MP_STATUS_CHECK_INTERVAL", 3)
    closed = tmp_path / "closed"
    loaders = [DataLoader(Slow(), batch_size=1, num_workers=3, persistent_workers=True) for _ in range(2)]
    loaders.append(DataLoader(Closes(closed), batch_size=1, num_workers=1, persistent_workers=True))
    passes = [iter(loader) for loader in loaders]
    for each in passes:
        next(each)
    began = time.monotonic()

    workers.end(loaders, passes)

    assert left() == [] and closed.exists()
    # In turn four of them would take four times the patience.
    assert time.monotonic() - began < 9
