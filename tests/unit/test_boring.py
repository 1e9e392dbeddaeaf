"""The models of bug reports run, under their old names too."""

import pytest

from fulgurite import Trainer
from fulgurite.testing import (
    QUIET,
    BoringDataModule,
    BoringModel,
    DemoModel,
    ManualOptimBoringModel,
    RandomIterableDataset,
)


@pytest.mark.parametrize("kind", [BoringModel, ManualOptimBoringModel])
def test_boring_models_bring_all_they_need(kind):
    """Fit, validate, test and predict on their own data."""
    trainer, model = Trainer(**QUIET, max_epochs=1, limit_train_batches=3), kind()

    trainer.fit(model)

    assert trainer.global_step == 3
    assert trainer.validate(model, verbose=False) == [{}]
    assert len(trainer.predict(model, BoringDataModule())) == 64


def test_other_demonstration_pieces():
    """A model with hyperparameters, and a stream of rows."""
    rows = list(RandomIterableDataset(32, 5))

    assert [tuple(row.shape) for row in rows] == [(32,)] * 5
    assert DemoModel(out_dim=3)(rows[0].unsqueeze(0)).shape == (1, 3)
