"""StochasticWeightAveraging: what is averaged, at which rates, and how batch norms and broken runs come out of it."""

from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import (
    BaseFinetuning,
    Callback,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from fulgurite.loggers import CSVLogger
from support.resumed import Net, check_resume, quiet, read, rows, trained

SWA = partial(StochasticWeightAveraging, swa_lrs=0.01, swa_epoch_start=3, annealing_epochs=2)


class Begins(Callback):
    """The head's weights when each epoch begins."""

    def __init__(self):
        self.weights = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.weights.append(pl_module.head.weight.detach().clone().cpu())


class Scheduled(Net):
    """Net with a scheduler of its own."""

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)]


def test_the_model_gets_the_mean_of_the_epochs_from_the_start_on(tmp_path):
    """Epochs count from 1 in ``swa_epoch_start``; each gives the weights that it begins with."""
    begins, model = Begins(), Net()
    trained(SWA(), tmp_path, model, begins)

    assert torch.allclose(model.head.weight, torch.stack(begins.weights[2:]).mean(0), atol=1e-7)


def test_rates_go_to_their_goal_and_stay(tmp_path):
    """Here from 0.05 to 0.01 within two epochs from the third on."""
    model = Net()
    trained(SWA(), tmp_path, model)

    assert [rates[0] for rates in model.rates[::5]] == pytest.approx([0.05, 0.05, 0.05, 0.03, 0.01, 0.01])


class Thawing(BaseFinetuning):
    """Trains the head alone until epoch 3, which is after the averaging has begun."""

    def freeze_before_training(self, pl_module):
        self.freeze(pl_module.backbone)

    def finetune_function(self, pl_module, epoch, optimizer):
        if epoch == 3:
            self.unfreeze_and_add_param_group(pl_module.backbone, optimizer, lr=0.001)


@pytest.mark.parametrize(("rates", "goal"), [(0.01, 0.01), ([0.01], 0.01), ([0.01, 0.002], 0.002)])
def test_a_group_that_is_added_later_has_a_goal_too(tmp_path, rates, goal):
    """It goes to the rate that is next in the list, or the last."""
    model = Net()
    trainer = trained(SWA(swa_lrs=rates), tmp_path, model, Thawing())

    assert [group["lr"] for group in trainer.optimizers[0].param_groups] == pytest.approx([0.01, goal])


@pytest.mark.parametrize("makers", [(SWA, Thawing), (Thawing, SWA)])
def test_a_run_that_thaws_goes_on_as_if_it_had_not_stopped(tmp_path, makers):
    """Whichever of the two comes first."""
    check_resume(lambda: [make() for make in makers], tmp_path)


@pytest.mark.parametrize("module", [Net, partial(Net, norm=True), Scheduled])
@pytest.mark.parametrize("options", [{}, {"annealing_strategy": "linear", "device": None}])
def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path, module, options):
    """Before the averaging, inside it, and at its end; with batch norm, and with a scheduler that was put aside."""
    check_resume(partial(SWA, **options), tmp_path, module)


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path):
    """There, no start of the epoch says that averaging has begun."""
    alone, model = Net(), Net(seed=9)
    save = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    quiet(SWA(), save, max_epochs=5, enable_checkpointing=True).fit(alone, rows(), rows(2, seed=1))

    quiet(SWA(), max_epochs=5).fit(model, rows(), rows(2, seed=1), ckpt_path=tmp_path / "step=18.ckpt")

    assert all(map(torch.equal, model.state_dict().values(), alone.state_dict().values()))
    assert model.rates == alone.rates[18:]


@pytest.mark.parametrize("norm", [False, True])
def test_a_run_goes_on_from_a_file_written_after_its_end(tmp_path, norm):
    """Then the model holds the average, but the file has the current weights and statistics as well."""
    alone = trained(SWA(), tmp_path / "alone", Net(norm))
    short = trained(SWA(), tmp_path / "short", Net(norm), epochs=4)
    short.save_checkpoint(tmp_path / "end.ckpt")

    model = Net(norm, seed=9)
    trained(SWA(), tmp_path / "on", model, ckpt_path=tmp_path / "end.ckpt")

    expected = alone.lightning_module.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert torch.equal(read(tmp_path / "end.ckpt")["state_dict"]["head.weight"], short.lightning_module.head.weight)


def test_a_file_loads_without_knowing_of_it(tmp_path):
    model = Net(norm=True)
    trainer = trained(SWA(), tmp_path, model)
    trainer.save_checkpoint(tmp_path / "end.ckpt")

    class Normed(Net):
        def __init__(self):
            super().__init__(norm=True)

    loaded = Normed.load_from_checkpoint(tmp_path / "end.ckpt").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())


def test_batch_norms_get_the_statistics_of_the_average(tmp_path):
    """They are the plain mean over the training batches, as the averaged layer below sees them."""
    model = Net(norm=True)
    trained(SWA(), tmp_path, model)
    norm = model.backbone[1]

    with torch.no_grad():
        seen = [model.backbone[0](x) for x, _ in rows()]
    assert torch.allclose(norm.running_mean, torch.stack([batch.mean(0) for batch in seen]).mean(0), atol=1e-6)
    assert torch.allclose(norm.running_var, torch.stack([batch.var(0) for batch in seen]).mean(0), atol=1e-6)
    assert (norm.momentum, int(norm.num_batches_tracked), model.training) == (0.1, 5, True)


def test_the_pass_for_batch_norms_leaves_no_trace(tmp_path):
    """It is no epoch: nothing is counted, logged or stepped, no batch hooks run, and no random number is spent."""

    class Hooks(Callback):
        batches = 0

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.batches += 1

    runs = []
    for norm in (True, False):
        torch.manual_seed(3)
        hooks, logger = Hooks(), CSVLogger(tmp_path / str(norm))
        trainer = quiet(SWA(), hooks, max_epochs=4, logger=logger, log_every_n_steps=1)
        trainer.fit(Net(norm), rows(), rows(2, seed=1))
        lines = open(f"{logger.log_dir}/metrics.csv").readlines()
        counts = (trainer.global_step, trainer.current_epoch, hooks.batches, len(lines))
        runs.append((*counts, torch.rand(1).item(), len(trainer.lightning_module.rates)))

    assert runs[0][:-1] == runs[1][:-1]
    assert (runs[0][-1], runs[1][-1]) == (25, 20)


def test_the_pass_over_data_without_end_ends():
    """It has as many batches as the last epoch had."""

    class Endless(IterableDataset):
        def __iter__(self):
            while True:
                yield torch.randn(3), torch.randn(1)

    model = Net(norm=True)
    swa = SWA(swa_epoch_start=1)
    quiet(swa, max_epochs=-1, max_steps=6).fit(model, DataLoader(Endless(), batch_size=4))

    assert model.backbone[1].num_batches_tracked == 6


def test_data_that_can_be_read_once_leave_the_statistics_of_training():
    """There is nothing left for another pass: better those than none, and somebody says so."""
    model, expected = Net(norm=True), Net(norm=True)
    quiet(Callback(), max_epochs=1).fit(expected, rows())

    with pytest.warns(UserWarning, match="statistics of batch norms are those of training"):
        quiet(SWA(swa_epoch_start=1), max_epochs=1).fit(model, iter(list(rows())))

    assert torch.equal(model.backbone[1].running_mean, expected.backbone[1].running_mean)
    assert model.backbone[1].momentum == 0.1


def test_an_error_in_the_pass_leaves_the_statistics_of_training():
    """The user's own error is what is seen."""

    class Broken(Net):
        def training_step(self, batch, batch_idx):
            if self.global_step == 5:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    model = Broken(norm=True)
    with pytest.raises(ZeroDivisionError):
        quiet(SWA(swa_epoch_start=1), max_epochs=1).fit(model, rows())

    assert model.backbone[1].num_batches_tracked == 5
    assert model.backbone[1].momentum == 0.1


def test_frozen_batch_norms_keep_their_statistics():
    """Whoever set one to evaluation mode wants what it has."""
    model = Net(norm=True)
    model.backbone[1].eval()
    before = {name: value.clone() for name, value in model.backbone[1].named_buffers()}

    quiet(SWA(), max_epochs=4).fit(model, rows())

    assert all(torch.equal(value, before[name]) for name, value in model.backbone[1].named_buffers())


def test_training_that_is_stopped_has_its_average_all_the_same():
    """Somebody stopped it in the fifth epoch; the mean of three is there."""

    class Stops(Begins):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = trainer.current_epoch == 4

    stops, model = Stops(), Net()
    quiet(SWA(), stops, max_epochs=50).fit(model, rows())

    assert torch.allclose(model.head.weight, torch.stack(stops.weights[2:]).mean(0), atol=1e-7)


def test_training_that_ends_before_is_left_as_it_is():
    with pytest.warns(UserWarning, match="begins with epoch 39, but training ended before"):
        quiet(StochasticWeightAveraging(0.01), max_epochs=50, max_steps=5).fit(Net(), rows())


@pytest.mark.parametrize("makers", [(SWA, EMAWeightAveraging), (EMAWeightAveraging, SWA)])
def test_two_averages_are_refused(makers):
    """The model has room for one; the later in the list would win without a word."""
    with pytest.raises(MisconfigurationException, match="EMAWeightAveraging both leave their average"):
        quiet(*[make() for make in makers], max_epochs=6).fit(Net(), rows())


def test_a_second_fit_averages_anew(tmp_path):
    """With the same callback; the run before leaves neither its mean nor its scheduler."""
    swa, model, expected = SWA(), Net(), Net()
    trained(swa, tmp_path / "first", Net(seed=4))

    trained(swa, tmp_path / "second", model)
    trained(SWA(), tmp_path / "third", expected)

    assert all(map(torch.equal, model.parameters(), expected.parameters()))
    assert model.rates == expected.rates


def test_rates_are_logged_throughout(tmp_path):
    """LearningRateMonitor follows the scheduler that takes over, under the name that it began with."""
    monitor = LearningRateMonitor("epoch")
    quiet(SWA(), monitor, max_epochs=6, logger=CSVLogger(tmp_path)).fit(Scheduled(), rows())

    assert monitor.lrs["lr-SGD"] == pytest.approx([0.05, 0.045, 0.0405, 0.02525, 0.01, 0.01])


@pytest.mark.parametrize("arguments", [
    {"swa_lrs": 1}, {"swa_lrs": 0.0}, {"swa_lrs": [0.1, -1.0]}, {"swa_lrs": []},
    {"swa_epoch_start": 0}, {"swa_epoch_start": 1.5}, {"swa_epoch_start": True},
    {"annealing_epochs": -1}, {"annealing_strategy": "sin"}, {"avg_fn": 3}, {"device": 3},
])  # fmt: skip
def test_wrong_arguments_are_named_at_once(arguments):
    (name,) = arguments
    with pytest.raises(MisconfigurationException, match=rf"StochasticWeightAveraging\({name}="):
        StochasticWeightAveraging(**{"swa_lrs": 0.1, **arguments})


class Manual(Net):
    automatic_optimization = False


class TwoSchedulers(Net):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1) for _ in range(2)]


class TwoGroups(Net):
    def configure_optimizers(self):
        return torch.optim.SGD([{"params": self.head.parameters()}, {"params": self.backbone.parameters()}], lr=0.1)


@pytest.mark.parametrize(("callback", "module", "arguments", "told"), [
    (SWA(), TwoSchedulers, {"max_epochs": 2}, "one lr_scheduler, but `configure_optimizers` returned 2"),
    (SWA(swa_lrs=[0.1]), TwoGroups, {"max_epochs": 2}, "1 rates for the 2 groups"),
    (SWA(), partial(Manual, norm=True), {"max_epochs": 2}, "with manual optimization would train on"),
    (StochasticWeightAveraging(0.1), Net, {"max_epochs": -1, "max_steps": 2}, "share of max_epochs"),
])  # fmt: skip
def test_what_cannot_work_is_refused_before_the_first_batch(callback, module, arguments, told):
    trainer = quiet(callback, **arguments)
    with pytest.raises(MisconfigurationException, match=told):
        trainer.fit(module(), rows())

    assert trainer.global_step == 0
