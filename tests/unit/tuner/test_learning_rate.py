"""What LearningRateFinder and `Tuner.lr_find` do with the rate that they find."""

import pytest
import torch

from fulgurite import Callback
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import LearningRateFinder
from fulgurite.tuner import Tuner
from support.noisy import Noisy, trainer


class Two(Noisy):
    """A rate for each group, and a schedule that computes from where it began."""

    def configure_optimizers(self):
        groups = [{"params": self.net[0].parameters()}, {"params": self.net[3].parameters(), "lr": 10 * self.lr}]
        optimizer = torch.optim.Adam(groups, lr=self.lr)
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)]


def finder(**options):
    return LearningRateFinder(**{"min_lr": 1e-3, "num_training_steps": 20, **options})


def test_the_optimizers_are_configured_with_the_rate(tmp_path):
    """Each group and schedule makes of it what the module says, in every epoch."""
    seen = []

    class Watched(Two):
        def on_train_epoch_start(self):
            if self.global_step or self.trainer.callback_metrics:
                seen.append([group["lr"] for group in self.trainer.optimizers[0].param_groups])

    module, found = Watched(), finder()
    trainer(tmp_path, found, max_epochs=3).fit(module)

    rate = found.optimal_lr.suggestion()
    assert module.lr == module.hparams.lr == rate
    assert seen[-2:] == [pytest.approx([rate / 2, 5 * rate]), pytest.approx([rate / 4, 2.5 * rate])]


def test_in_the_middle_of_training_the_optimizer_goes_on_with_the_rate(tmp_path):
    """Its memory stays, and a schedule that computes from its base begins at the new one."""

    class Later(LearningRateFinder):
        def on_fit_start(self, trainer, pl_module):
            return

        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                memory = trainer.optimizers[0].state[pl_module.net[0].weight]["exp_avg"].clone()
                self.lr_find(trainer, pl_module)
                after = trainer.optimizers[0].state[pl_module.net[0].weight]["exp_avg"]
                assert torch.equal(memory, after)
                rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
                assert rates == [self.optimal_lr.suggestion()] * 2

    module, later = Two(), Later(min_lr=1e-3, num_training_steps=20)
    running = trainer(tmp_path, later, max_epochs=2)
    running.fit(module)

    rate = later.optimal_lr.suggestion()
    assert module.lr == rate
    assert [group["lr"] for group in running.optimizers[0].param_groups] == pytest.approx([rate / 4] * 2)


def test_rates_kept_as_tensors_are_set_in_place(tmp_path):
    """As compiled optimizers need them."""

    class Tensors(Noisy):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=torch.tensor(self.lr))

    module = Tensors()
    found = Tuner(trainer(tmp_path)).lr_find(module, min_lr=1e-3, num_training=20)

    assert module.lr == found.suggestion()


def test_optimisation_by_hand_can_be_searched(tmp_path):
    """The module steps; the rate is set before each of its batches."""
    rates = []

    class Manual(Noisy):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer, scheduler = self.optimizers(), self.lr_schedulers()
            loss = super().training_step(batch, batch_idx)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            rates.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
            return loss

    running = trainer(tmp_path)
    found = Tuner(running).lr_find(Manual(), min_lr=1e-3, num_training=20)

    assert rates == found.results["lr"] and len(rates) == 20
    assert running.global_step == 0


def test_steps_without_a_loss_end_as_well(tmp_path):
    """A module that returns None is tried at each rate, and nothing is suggested."""

    class Silent(Noisy):
        def training_step(self, batch, batch_idx):
            return None

    module = Silent()
    with pytest.warns(UserWarning, match="no learning rate to suggest"):
        found = Tuner(trainer(tmp_path)).lr_find(module, num_training=5)

    assert found.results["lr"] == [] and module.lr == 0.05


def test_several_optimizers_are_refused(tmp_path):
    """Nobody could tell whose rate it is."""

    class Several(Noisy):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def configure_optimizers(self):
            return [torch.optim.SGD(self.net[0].parameters(), lr=1), torch.optim.SGD(self.net[3].parameters(), lr=1)]

    with pytest.raises(MisconfigurationException, match="returned 2"):
        Tuner(trainer(tmp_path)).lr_find(Several())


def test_a_trial_run_searches_nothing(tmp_path):
    """``fast_dev_run`` warns, by hand and as a callback."""
    module = Noisy()
    with pytest.warns(UserWarning, match="fast_dev_run"):
        assert Tuner(trainer(tmp_path, fast_dev_run=True)).lr_find(module) is None
    with pytest.warns(UserWarning, match="fast_dev_run"):
        trainer(tmp_path, finder(), fast_dev_run=True).fit(module)

    assert module.lr == 0.05


def test_a_run_that_goes_on_keeps_its_rate(tmp_path):
    """From a checkpoint nothing is searched, and the module has the rate that was found before."""
    first, found = Noisy(), finder()
    running = trainer(tmp_path, found, max_epochs=1)
    running.fit(first)
    running.save_checkpoint(tmp_path / "kept.ckpt")
    second, again = Noisy(), finder()

    trainer(tmp_path, again, max_epochs=2).fit(second, ckpt_path=tmp_path / "kept.ckpt")

    assert again.optimal_lr is None
    assert second.lr == second.hparams.lr == first.lr != 0.05


def test_finders_come_first_among_the_callbacks(tmp_path):
    """What the others see when the fit begins is the model as it will be trained."""
    other, found = Callback(), finder()

    assert trainer(tmp_path, other, found).callbacks[:2] == [found, other]
