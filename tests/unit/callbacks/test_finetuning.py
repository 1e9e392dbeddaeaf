"""BaseFinetuning and BackboneFinetuning: who is trained when, at which rate, and that a resumed run knows it."""

from functools import partial

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import BackboneFinetuning, BaseFinetuning, Callback, LearningRateMonitor, ModelCheckpoint
from fulgurite.loggers import CSVLogger
from support.resumed import Net, check_resume, quiet, read, rows, trained


class Gradual(BaseFinetuning):
    """Thaws the first layer in epoch 1, the rest of the backbone in epoch 3."""

    def freeze_before_training(self, pl_module):
        self.freeze(pl_module.backbone, train_bn=False)

    def finetune_function(self, pl_module, epoch, optimizer):
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.backbone[0], optimizer, lr=0.02)
        if epoch == 3:
            self.unfreeze_and_add_param_group(list(pl_module.backbone[1:]), optimizer)


class Scheduled(Net):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)]


class Weights(Callback):
    """The first layer's weights at the end of each epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.seen.append(pl_module.backbone[0].weight.detach().clone().cpu())


def test_the_backbone_is_trained_from_its_epoch_on_only():
    weights, model = Weights(), Net()
    first = model.backbone[0].weight.detach().clone()
    quiet(BackboneFinetuning(2), weights, max_epochs=4).fit(model, rows())

    assert torch.equal(weights.seen[1], first)
    assert not torch.equal(weights.seen[2], first)


def test_its_rate_grows_up_to_the_others():
    """From a tenth of it, doubled with each epoch."""
    model = Net()
    quiet(BackboneFinetuning(1), max_epochs=6).fit(model, rows())

    assert [rates[1:] for rates in model.rates[::5]] == [
        [], [pytest.approx(0.005)], [pytest.approx(0.01)], [pytest.approx(0.02)], [pytest.approx(0.04)],
        [pytest.approx(0.05)],
    ]  # fmt: skip


@pytest.mark.parametrize("make", [Gradual, partial(BackboneFinetuning, 2)])
@pytest.mark.parametrize("module", [Net, partial(Net, norm=True), Scheduled])
def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path, make, module):
    """Before a thaw, right at it and after it: groups, their momentum, and what is frozen are as they were."""
    check_resume(make, tmp_path, module)


@pytest.mark.parametrize("make", [Gradual, partial(BackboneFinetuning, 2)])
def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path, make):
    """The thaw of that epoch is not done again: its group is there."""
    alone, model = Net(), Net(seed=9)
    save = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    quiet(make(), save, max_epochs=5, enable_checkpointing=True).fit(alone, rows(), rows(1))

    quiet(make(), max_epochs=5).fit(model, rows(), rows(1), ckpt_path=tmp_path / "step=13.ckpt")

    assert all(map(torch.equal, model.parameters(), alone.parameters()))
    assert model.rates == alone.rates[13:]


@pytest.mark.parametrize("make", [Gradual, partial(BackboneFinetuning, 2)])
def test_a_second_fit_of_the_trainer_goes_on_with_what_was_thawed(make):
    """It counts epochs on, so that the epoch of the thaw does not come again."""
    callback, model = make(), Net()
    trainer = quiet(callback, max_epochs=5)
    trainer.fit(model, rows())
    before, rates = model.backbone[0].weight.detach().clone(), model.rates[-1]

    trainer.max_epochs = 6
    trainer.fit(model, rows())

    assert len(model.rates[-1]) == len(rates) == 2
    assert not torch.equal(model.backbone[0].weight, before)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_another_trainer_begins_anew():
    """The same callback freezes and thaws the next model in its own time."""
    callback, weights, model = BackboneFinetuning(2), Weights(), Net()
    quiet(callback, max_epochs=4).fit(Net(), rows())
    quiet(callback, weights, max_epochs=3).fit(model, rows())

    assert torch.equal(weights.seen[0], weights.seen[1])
    assert model.rates[-1] == pytest.approx([0.05, 0.005])


def test_a_file_of_lightning_that_knows_groups_only_is_enough(tmp_path):
    """It does not say what was frozen; what was added to the optimizer since is thawed."""
    trained(Gradual(), tmp_path, Net(norm=True))
    kept = read(tmp_path / "2.ckpt")
    del kept["callbacks"]["Gradual"]["frozen"], kept["callbacks"]["Gradual"]["untracked"]
    torch.save(kept, tmp_path / "theirs.ckpt")
    model, weights = Net(norm=True), Weights()

    trained(Gradual(), tmp_path / "on", model, weights, ckpt_path=tmp_path / "theirs.ckpt")

    assert not torch.equal(weights.seen[0], kept["state_dict"]["backbone.0.weight"])


def test_a_file_written_without_it_is_thawed_at_once(tmp_path):
    """The epoch of the thaw is over, and nobody was there."""
    trained(Callback(), tmp_path, _HeadOnly(), epochs=3)
    model, weights = Net(), Weights()

    trained(BackboneFinetuning(1), tmp_path / "on", model, weights, ckpt_path=tmp_path / "2.ckpt")

    assert not torch.equal(weights.seen[0], weights.seen[1])


class _HeadOnly(Net):
    """Trains its head alone."""

    def __init__(self):
        super().__init__()
        self.backbone.requires_grad_(False)


def test_evaluation_freezes_nothing():
    """Only a fit begins with a freeze."""
    model = Net()

    quiet(BackboneFinetuning(2)).validate(model, rows(1), verbose=False)

    assert all(parameter.requires_grad for parameter in model.parameters())


def test_frozen_norms_keep_their_statistics():
    """Until they are thawed; those that are trained on go on measuring."""
    frozen, measuring = Net(norm=True), Net(norm=True)
    quiet(Gradual(), max_epochs=3).fit(frozen, rows())
    quiet(BackboneFinetuning(5), max_epochs=3).fit(measuring, rows())

    assert (frozen.backbone[1].num_batches_tracked, measuring.backbone[1].num_batches_tracked) == (0, 15)


def test_rates_of_the_new_group_are_logged(tmp_path):
    """LearningRateMonitor names the first group anew once there are two, whoever comes first."""
    for callbacks in (
        [BackboneFinetuning(2), LearningRateMonitor("step")],
        [LearningRateMonitor("step"), BackboneFinetuning(2)],
    ):
        monitor = next(callback for callback in callbacks if isinstance(callback, LearningRateMonitor))
        trainer = quiet(*callbacks, max_epochs=3, logger=CSVLogger(tmp_path), log_every_n_steps=5)
        trainer.fit(Net(), rows())

        assert monitor.lrs == {"lr-SGD/pg1": [0.05] * 3, "lr-SGD/pg2": [pytest.approx(0.005)]}


def test_a_file_loads_without_knowing_of_it(tmp_path):
    model = Net()
    trained(BackboneFinetuning(1), tmp_path, model)

    assert torch.equal(Net.load_from_checkpoint(tmp_path / "5.ckpt", "cpu").head.weight, model.head.weight)


def test_parameters_that_are_in_the_optimizer_already_are_told():
    class Whole(Net):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters())

    with pytest.warns(UserWarning, match=r"2 of the parameters .* are in the optimizer already.*Adam\(\[p for p in"):
        quiet(BackboneFinetuning(0), max_epochs=1).fit(Whole(), rows())


def test_batch_norms_that_were_trained_all_along_are_no_news(recwarn):
    """They were never frozen, so that nobody could have left them out; they stay in their group."""
    model = Net(norm=True)
    trainer = quiet(BackboneFinetuning(1), max_epochs=2)
    trainer.fit(model, rows())

    assert not [warning for warning in recwarn if "in the optimizer already" in str(warning.message)]
    first, second = (group["params"] for group in trainer.optimizers[0].param_groups)
    norm, linear = model.backbone[1], model.backbone[0]
    assert {id(norm.weight), id(norm.bias)} <= set(map(id, first))
    assert list(map(id, second)) == [id(linear.weight), id(linear.bias)]


def test_batch_norms_that_were_frozen_in_the_optimizer_are_told():
    """As any other parameter that was left in."""

    class Whole(Net):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters())

    with pytest.warns(UserWarning, match=r"2 of the parameters .* are in the optimizer already"):
        quiet(Gradual(), max_epochs=4).fit(Whole(norm=True), rows())


def test_parameters_from_elsewhere_are_refused_at_once():
    """Nobody could find them again when the run is resumed."""

    class Elsewhere(Net):
        def configure_optimizers(self):
            return torch.optim.SGD([*self.head.parameters(), torch.nn.Parameter(torch.zeros(1))], lr=0.1)

    with pytest.raises(MisconfigurationException, match="do not belong to the LightningModule"):
        quiet(BackboneFinetuning(1), max_epochs=2).fit(Elsewhere(), rows())


def test_a_model_without_backbone_is_refused():
    class Bare(Net):
        def __init__(self):
            super().__init__()
            del self.backbone

    with pytest.raises(MisconfigurationException, match="needs a module as `backbone`, which Bare does not have"):
        quiet(BackboneFinetuning(), max_epochs=1).fit(Bare(), rows())


def test_both_methods_are_asked_for():
    """A subclass that lacks one is told which, with an example."""

    class Half(BaseFinetuning):
        def freeze_before_training(self, pl_module):
            self.freeze(pl_module.backbone)

    with pytest.raises(NotImplementedError, match="BaseFinetuning has no `freeze_before_training"):
        quiet(BaseFinetuning(), max_epochs=1).fit(Net(), rows())
    with pytest.raises(NotImplementedError, match="Half has no `finetune_function"):
        quiet(Half(), max_epochs=1).fit(Net(), rows())


@pytest.mark.parametrize("arguments", [{"unfreeze_backbone_at_epoch": -1}, {"lambda_func": 2.0}])
def test_wrong_arguments_are_named_at_once(arguments):
    (name,) = arguments
    with pytest.raises(MisconfigurationException, match=rf"BackboneFinetuning\({name}="):
        BackboneFinetuning(**arguments)
