"""What a prediction writer is given beyond what Lightning's would be, and what it keeps in memory."""

import gc
import weakref

import pytest
import torch
from torch.utils.data import DataLoader, SubsetRandomSampler

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import BasePredictionWriter
from fulgurite.testing import QUIET, TinyModule, batches


class Writer(BasePredictionWriter):
    def __init__(self, interval="batch"):
        super().__init__(interval)
        self.indices, self.epochs = [], []

    def write_on_batch_end(self, trainer, pl_module, prediction, batch_indices, batch, batch_idx, dataloader_idx):
        self.indices.append(batch_indices)

    def write_on_epoch_end(self, trainer, pl_module, predictions, batch_indices):
        self.epochs.append((len(predictions), batch_indices))


def predict(writer, loaders, **options):
    return Trainer(callbacks=[writer], **QUIET).predict(TinyModule(), loaders, **options)


def test_indices_are_those_of_the_samplers(tmp_path):
    """A sampler of the user's own chooses the rows; loading ahead by workers does not mix them up."""
    rows = torch.randn(8, 4)
    for workers in (0, 2):
        writer = Writer("batch_and_epoch")
        predict(writer, DataLoader(rows, batch_size=2, sampler=[7, 5, 1], num_workers=workers))
        assert writer.indices == [[7, 5], [1]] and writer.epochs == [(2, [[[7, 5], [1]]])]

    writer = Writer()
    predict(writer, DataLoader(rows, batch_size=1, sampler=SubsetRandomSampler([3])))
    assert writer.indices == [[3]]


def test_workers_in_any_order_have_no_indices():
    """Better none than wrong ones."""
    try:
        loader = DataLoader(torch.randn(4, 4), batch_size=2, num_workers=1, in_order=False)
    except TypeError:
        pytest.skip("this torch keeps the order")
    writer = Writer()
    predict(writer, loader)

    assert writer.indices == [[], []]


def test_the_users_loader_is_left_alone():
    """Its batch sampler is what it was."""
    loader = batches(3)
    before = loader.batch_sampler
    predict(Writer(), loader)

    assert loader.batch_sampler is before


def test_without_a_writer_nothing_is_noted():
    """The loaders that are iterated are the ones that were given."""
    trainer = Trainer(**QUIET)
    loader = batches(3)
    trainer.predict(TinyModule(), loader)

    assert trainer._session.feeds["predict"].loaders == [loader]
    assert trainer.predict_loop.current_batch_indices == []


def test_memory_stays_flat_where_each_batch_is_written():
    """With ``return_predictions=False`` a prediction lives until the next one."""
    alive, most = weakref.WeakSet(), []

    class Watched(TinyModule):
        def predict_step(self, batch, batch_idx):
            gc.collect()
            most.append(len(alive))
            prediction = super().predict_step(batch, batch_idx)
            alive.add(prediction)
            return prediction

    Trainer(callbacks=[Writer()], **QUIET).predict(Watched(), batches(20), return_predictions=False)

    assert max(most) <= 2


def test_what_an_error_left_behind_is_forgotten():
    """The next prediction starts anew."""

    class Failing(TinyModule):
        def predict_step(self, batch, batch_idx):
            if batch_idx == 2:
                raise ZeroDivisionError
            return super().predict_step(batch, batch_idx)

    writer = Writer("epoch")
    trainer = Trainer(callbacks=[writer], **QUIET)
    with pytest.raises(ZeroDivisionError):
        trainer.predict(Failing(), batches(4))
    trainer.predict(TinyModule(), batches(3))

    assert writer.epochs == [(3, [[[0, 1], [2, 3], [4, 5]]])]


@pytest.mark.parametrize("interval, missing", [("batch", "write_on_batch_end"), ("epoch", "write_on_epoch_end")])
def test_a_writer_that_cannot_write_is_refused_at_once(interval, missing):
    """Before the first batch, by the name of the method."""
    with pytest.raises(MisconfigurationException, match=missing):
        predict(BasePredictionWriter(interval), batches(1))


def test_a_combined_loader_has_no_indices():
    """One batch holds rows of several data sets."""
    from fulgurite.utilities import CombinedLoader

    class Pairs(TinyModule):
        def predict_step(self, batch, batch_idx):
            return self(batch[0])

    writer = Writer("batch_and_epoch")
    Trainer(callbacks=[writer], **QUIET).predict(Pairs(), CombinedLoader([batches(2), batches(2)], "min_size"))

    assert writer.indices == [[], []] and writer.epochs == [(2, [[]])]
