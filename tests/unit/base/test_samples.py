"""Samples that are seeded one by one."""

import pickle
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from fulgurite import Trainer
from fulgurite.testing import QUIET, TinyModule
from fulgurite.utilities import SeededSamples


class Drawn(Dataset):
    """Every library's random numbers in one sample."""

    name = "drawn"

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return torch.tensor([index, torch.rand(()), random.random(), np.random.rand()])


def samples(dataset, order):
    return {index: dataset[index].tolist() for index in order}


def test_a_sample_depends_on_itself_and_the_epoch_alone():
    """Not on what was drawn before, nor on the order."""
    torch.manual_seed(1)
    first = samples(SeededSamples(Drawn()), range(6))
    torch.manual_seed(2), random.seed(2), np.random.seed(2)

    assert samples(SeededSamples(Drawn()), [5, 3, 1, 0, 2, 4]) == first
    assert len({tuple(sample[1:]) for sample in first.values()}) == 6

    later = SeededSamples(Drawn())
    later.set_epoch(1)
    assert all(sample[1:] != first[index][1:] for index, sample in samples(later, range(6)).items())
    assert samples(SeededSamples(Drawn(), seed=1), [0])[0][1:] != first[0][1:]


def test_nothing_else_is_disturbed():
    """The random numbers of the process go on as if no sample had been made, also after an error."""
    dataset = SeededSamples(Drawn())
    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    expected = torch.rand(()), random.random(), np.random.rand()
    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    dataset[1]
    with pytest.raises(TypeError):
        SeededSamples(None)[0]

    assert (torch.rand(()), random.random(), np.random.rand()) == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_make_the_same_samples(workers):
    found = [batch[0].tolist() for batch in DataLoader(SeededSamples(Drawn()), num_workers=workers)]

    assert found == list(samples(SeededSamples(Drawn()), range(6)).values())


def test_it_stands_for_its_dataset():
    """Length, attributes and pickling."""
    dataset = SeededSamples(Drawn())

    assert (len(dataset), dataset.name) == (6, "drawn")
    assert samples(pickle.loads(pickle.dumps(dataset)), range(6)) == samples(dataset, range(6))
    with pytest.raises(AttributeError):
        dataset.nothing


def test_the_trainer_tells_the_epoch(tmp_path, monkeypatch):
    """Each epoch has samples of its own."""
    monkeypatch.chdir(tmp_path)
    seen = []

    class Sees(TinyModule):
        def training_step(self, batch, batch_idx):
            seen.append(batch[0, 1].item())
            return super().training_step(batch, batch_idx)

    Trainer(max_epochs=2, **QUIET).fit(Sees(), DataLoader(SeededSamples(Drawn())))

    assert len(set(seen)) == 12
