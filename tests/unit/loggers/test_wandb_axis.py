"""The step under which WandbLogger's rows are drawn, whatever wrote them: training, validation in it, or one alone."""

from pathlib import Path

import pytest

from fulgurite.loggers import WandbLogger
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer
from support.wandb_file import recorded_runs

wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("no_run_stays_open", "the_client_stops_at_the_end")

AXIS = "trainer/global_step"


class BothWays(TinyModule):
    """Logs its losses per step and per epoch, as `on_step=True, on_epoch=True` does."""

    def validation_step(self, batch, batch_idx):
        self.log("val", self.loss(batch), on_step=True, on_epoch=True)

    def test_step(self, batch, batch_idx):
        self.log("test", self.loss(batch), on_step=True, on_epoch=True)


def only_run():
    wandb.finish()
    (run,) = recorded_runs(Path())
    return run


def steps_of(run, name):
    return [row[AXIS] for row in run.rows if name in row]


def trained(model, **options):
    trainer = Trainer(
        max_epochs=2,
        log_every_n_steps=1,
        **{**QUIET, "logger": WandbLogger(offline=True), "num_sanity_val_steps": 0, **options},
    )
    trainer.fit(model, batches(4), batches(3))
    return trainer


def test_the_axis_never_jumps_back():
    """Validation amid an epoch, then alone, then two tests: every row lies at the step that the model has reached."""
    model = BothWays()
    trainer = trained(model, val_check_interval=2)
    trainer.validate(model, batches(3), verbose=False)
    for _ in range(2):
        trainer.test(model, batches(3), verbose=False)

    run = only_run()

    amid = [at for at in (1, 3, 5, 7) for _ in range(3)]
    assert steps_of(run, "val_step") == [*amid, 8, 8, 8]
    assert steps_of(run, "val_epoch") == [1, 3, 5, 7, 8]
    assert steps_of(run, "test_step") == [8] * 6
    assert steps_of(run, "test_epoch") == [8] * 2
    assert run.column(AXIS) == sorted(run.column(AXIS))
    assert run.column("_step") == list(range(len(run.rows)))


def test_a_first_look_lies_where_training_begins():
    """A validation before `fit` is drawn at step 0, not over the steps that training will log."""
    model, logger = BothWays(), WandbLogger(offline=True)
    Trainer(**{**QUIET, "logger": logger}).validate(model, batches(3), verbose=False)
    trained(model, logger=logger)
    assert steps_of(only_run(), "val_step")[:3] == [0, 0, 0]


def test_lightnings_axis_can_be_had():
    """`legacy_validation_axis=True` counts the batches, as Lightning does."""
    model = BothWays()
    trainer = trained(model, legacy_validation_axis=True)
    trainer.test(model, batches(3), verbose=False)
    run = only_run()
    assert steps_of(run, "val_step") == [0, 1, 2, 3, 4, 5]
    assert steps_of(run, "test_step") == [0, 1, 2]
