"""What can't be sent to new processes, or copied, is said before one of them begins."""

import pickle
import sys
from types import SimpleNamespace

import pytest
import torch

from fulgurite import Callback, LightningModule, Trainer
from fulgurite.base.errors import MisconfigurationException, SIGTERMException
from fulgurite.callbacks import EarlyStopping
from fulgurite.strategies import handover
from fulgurite.strategies.ddp import DDPStrategy
from fulgurite.testing import QUIET, TinyModule, batches


class Holds(Callback):
    def __init__(self, thing=None):
        self.thing = thing


# As many processes as one likes are on the CPU alone; here, none begins.
@pytest.mark.cpu
def test_the_attribute_that_cannot_be_pickled_is_named():
    trainer = Trainer(devices=2, strategy="ddp_spawn", callbacks=[Holds(lambda: 1)], **QUIET)

    with pytest.raises(
        MisconfigurationException, match=r"trainer\.callbacks\[0\]\.thing \(function\) can't be pickled"
    ):
        trainer.fit(TinyModule(), batches())


@pytest.mark.cpu
def test_a_model_of_a_notebook_cannot_be_spawned(monkeypatch):
    here = type("Net", (TinyModule,), {"__module__": "__main__"})
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace())
    trainer = Trainer(devices=2, strategy="ddp_spawn", **QUIET)

    with pytest.raises(MisconfigurationException, match="Net is defined in a notebook .* Use strategy='ddp_notebook'"):
        trainer.fit(here(), batches())


@pytest.mark.cpu
def test_a_fork_is_refused_where_cuda_is_in_use(monkeypatch):
    trainer = Trainer(devices=2, strategy="ddp_notebook", **QUIET)
    # What torch answers after any `.cuda()`; there is none here.
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)

    with pytest.raises(MisconfigurationException, match="CUDA is in use here already"):
        trainer.fit(TinyModule(), batches())


def test_an_unknown_way_to_begin_is_refused():
    with pytest.raises(ValueError, match="start_method='threads': one of 'popen', 'spawn', 'fork' was expected"):
        DDPStrategy(start_method="threads")


def test_a_trainer_can_be_pickled_after_a_fit_and_goes_on():
    """Without the run that is over: its copy knows the counters and trains on."""
    trainer, model = Trainer(max_epochs=1, **QUIET), TinyModule()
    trainer.fit(model, batches())

    trainer, model = pickle.loads(pickle.dumps((trainer, model)))
    trainer.max_epochs = 2
    trainer.fit(model, batches())

    assert trainer.global_step == 8


def test_what_a_run_came_to_is_put_into_the_objects_that_were_sent(tmp_path):
    """A callback's attributes, even one that names the trainer; the weights; what was logged."""
    ran, model = Trainer(max_epochs=2, callbacks=[EarlyStopping("val_loss"), Holds()], **QUIET), TinyModule()
    ran.fit(model, batches(), batches())
    ran.callbacks[1].thing = {"trainer": ran, "model": model}
    handover.hand_over(tmp_path, ran, handover.owners_of(ran), trains=True)

    waited, own = Trainer(max_epochs=2, callbacks=[EarlyStopping("val_loss"), Holds()], **QUIET), TinyModule()
    stopping, holds = waited.callbacks
    came = handover.take_back(tmp_path, waited, (own, None), handover.owners_of(waited))

    assert came and waited.callbacks == [stopping, holds] and waited.lightning_module is own
    assert torch.equal(stopping.best_score, ran.callbacks[0].best_score) and waited.global_step == 8
    assert holds.thing == {"trainer": waited, "model": own} and torch.equal(own.layer.weight, model.layer.weight)
    assert waited.callback_metrics == ran.callback_metrics


def test_what_cannot_be_packed_keeps_what_a_checkpoint_would(tmp_path):
    class Both(Holds):
        def state_dict(self):
            return {"seen": 3}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    ran, waited = (Trainer(max_epochs=1, callbacks=[Both()], **QUIET) for _ in range(2))
    ran.fit(TinyModule(), batches())
    ran.callbacks[0].thing = lambda: 1
    handover.hand_over(tmp_path, ran, handover.owners_of(ran), trains=True)

    handover.take_back(tmp_path, waited, (TinyModule(),), handover.owners_of(waited))

    assert waited.callbacks[0].seen == 3


def test_layers_that_configure_model_makes_are_made_here_as_well(tmp_path):
    class Later(LightningModule):
        def configure_model(self):
            if not hasattr(self, "layer"):
                self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch, batch_idx):
            return self.layer(batch).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    ran, waited, own = Trainer(max_epochs=1, **QUIET), Trainer(max_epochs=1, **QUIET), Later()
    ran.fit(Later(), batches())
    handover.hand_over(tmp_path, ran, handover.owners_of(ran), trains=True)

    handover.take_back(tmp_path, waited, (own,), handover.owners_of(waited))

    assert torch.equal(own.layer.weight, ran.lightning_module.layer.weight)


def test_a_signal_survives_the_way_between_processes():
    assert pickle.loads(pickle.dumps(SIGTERMException())).code == 143
