"""A search leaves everything as it was: by hand before a run, as a callback within one, also where it fails."""

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler

from fulgurite.callbacks import BatchSizeFinder, LearningRateFinder
from fulgurite.loggers import CSVLogger
from fulgurite.tuner import Tuner
from support.noisy import Heard, Noisy, everything, rows, trainer


class Failing(Noisy):
    """Raises ``error`` in its second step; clears gradients in place."""

    def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
        optimizer.zero_grad(set_to_none=False)

    error: BaseException = ZeroDivisionError("in the search")

    def after(self, loss):
        if self.calls == 2:
            raise self.error


def lr_find(tuner, module):
    tuner.lr_find(module, min_lr=1e-3, num_training=25, update_attr=False)


def scale(tuner, module):
    before = module.batch_size
    tuner.scale_batch_size(module, steps_per_trial=2)
    module.batch_size = module.hparams.batch_size = before


@pytest.mark.parametrize("search", [lr_find, scale])
@pytest.mark.parametrize("fitted", [False, True], ids=["new", "fitted"])
def test_a_search_by_hand_changes_nothing(search, fitted, tmp_path):
    """Module, trainer, random numbers and folder are the same after it, whether the trainer has trained or not."""
    module, heard = Noisy(), Heard()
    running = trainer(tmp_path, heard)
    if fitted:
        running.fit(module)
        # A second fit asks for the loaders again after a search for their batch size.
        running._session.feeds.clear()
    before = everything(running, module, tmp_path)

    search(Tuner(running), module)

    after = everything(running, module, tmp_path)
    assert {key: after[key] for key in before if after[key] != before[key]} == {}


@pytest.mark.parametrize("search", [lr_find, scale])
@pytest.mark.parametrize("error", [ZeroDivisionError("in the search"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_a_search_that_fails_changes_nothing(search, error, tmp_path):
    """The error arrives, and all is as it was before the search."""
    module, heard = Failing(), Heard()
    module.error = error
    running = trainer(tmp_path, heard)
    before = everything(running, module, tmp_path)

    with pytest.raises(type(error)):
        search(Tuner(running), module)

    after = everything(running, module, tmp_path)
    assert {key: after[key] for key in before if after[key] != before[key]} == {}


def metrics_of(folder):
    return next(folder.rglob("metrics.csv")).read_text()


class Milestones(LearningRateFinder):
    """Searches when each epoch begins."""

    def on_fit_start(self, trainer, pl_module):
        return

    def on_train_epoch_start(self, trainer, pl_module):
        self.lr_find(trainer, pl_module)


@pytest.mark.parametrize("kind", [LearningRateFinder, Milestones])
def test_a_fit_is_the_same_with_a_search_in_it(kind, tmp_path):
    """Weights, rows and saved files of a fit do not tell that there was a search, at its beginning or in each epoch."""
    plain, searched = Noisy(), Noisy()
    torch.manual_seed(7)
    trainer(tmp_path / "plain").fit(plain)
    torch.manual_seed(7)
    finder, heard = kind(min_lr=1e-3, num_training_steps=25, update_attr=False), Heard()
    trainer(tmp_path / "searched", finder, heard).fit(searched)

    assert len(finder.optimal_lr.results["lr"]) == 25
    assert heard.calls.count("on_train_batch_end") == 30 and heard.calls.count("on_train_start") == 1
    assert all(map(torch.equal, plain.state_dict().values(), searched.state_dict().values()))
    assert metrics_of(tmp_path / "plain") == metrics_of(tmp_path / "searched")
    names = [sorted(path.name for path in folder.rglob("*.ckpt")) for folder in tmp_path.iterdir()]
    assert names[0] == names[1] and len(names[0]) == 1


def test_a_search_that_fails_within_a_fit_leaves_what_the_fit_had(tmp_path):
    """Whoever catches the error finds the weights of the last step of training, and its counters."""
    seen = {}

    class Watching(Milestones):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch != 1:
                return
            seen["before"] = everything(trainer, pl_module, tmp_path)
            pl_module.calls = 0
            try:
                self.lr_find(trainer, pl_module)
            finally:
                pl_module.calls = 10
                seen["after"] = everything(trainer, pl_module, tmp_path)

    module = Failing()
    module.after = lambda loss: Failing.after(module, loss) if module.current_epoch == 1 else None
    running = trainer(tmp_path, Watching(min_lr=1e-3, update_attr=False))
    with pytest.raises(ZeroDivisionError):
        running.fit(module)

    before, after = seen["before"], seen["after"]
    # What the finder found up to the error is its own.
    del before["callbacks"][0], after["callbacks"][0]
    assert {key: after[key] for key in before if after[key] != before[key]} == {}
    assert running.global_step == 10


def test_loaders_with_generators_of_their_own_are_put_back(tmp_path):
    """The order of the epochs that follow is what it would have been."""

    def loader():
        generator = torch.Generator().manual_seed(1)
        return DataLoader(rows(), batch_size=4, sampler=RandomSampler(rows(), generator=generator))

    plain, searched = Noisy(), Noisy()
    for module, callbacks in ((plain, []), (searched, [LearningRateFinder(num_training_steps=12, update_attr=False)])):
        torch.manual_seed(7)
        trainer(tmp_path / str(len(callbacks)), *callbacks).fit(module, loader())

    assert all(map(torch.equal, plain.state_dict().values(), searched.state_dict().values()))


def test_running_metrics_are_put_back(tmp_path):
    """What a torchmetrics object has summed up survives a search that updates it."""
    torchmetrics = pytest.importorskip("torchmetrics")

    class Measured(Noisy):
        def __init__(self):
            super().__init__()
            self.mean = torchmetrics.MeanMetric()

        def after(self, loss):
            # In place, on a tensor that is neither weight nor buffer.
            self.mean.update(loss)

    module = Measured()
    module.mean.update(torch.tensor(4.0))
    Tuner(trainer(tmp_path)).lr_find(module, num_training=12, update_attr=False)

    assert module.mean.compute() == 4.0


def test_gradients_survive(tmp_path):
    """Gradients that were there before are there after, to the last digit."""
    module = Noisy()
    module.net[0].weight.grad = torch.full_like(module.net[0].weight, 0.5)
    Tuner(trainer(tmp_path)).lr_find(module, num_training=12, update_attr=False)

    assert torch.equal(module.net[0].weight.grad, torch.full_like(module.net[0].weight, 0.5))


def test_a_search_takes_its_own_precision_along(tmp_path):
    """Under a half precision the search trains in it, and the weights come back in the type they had."""
    module = Noisy()
    running = trainer(tmp_path, precision="bf16-true")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    Tuner(running).lr_find(module, num_training=12, update_attr=False)

    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert module.net[0].weight.dtype is torch.float32


class Freezing(Heard):
    """Freezes the first layer when it is set up, as finetuning callbacks do."""

    def setup(self, trainer, pl_module, stage):
        self.calls.append("setup")
        pl_module.net[0].requires_grad_(False)

    def teardown(self, trainer, pl_module, stage):
        self.calls.append("teardown")


def test_callbacks_set_up_the_model_and_are_silent_otherwise(tmp_path):
    """A layer that a callback freezes in ``setup`` is frozen in the search, and free again after it."""
    seen = []

    class Watched(Noisy):
        def after(self, loss):
            seen.append(self.net[0].weight.requires_grad)

    module, freezing = Watched(), Freezing()
    noted = []
    freezing.on_train_batch_end = lambda *args: noted.append(args)
    Tuner(trainer(tmp_path, freezing)).lr_find(module, num_training=12, update_attr=False)

    assert set(seen) == {False} and module.net[0].weight.requires_grad
    assert noted == []


def test_the_real_loggers_are_never_opened(tmp_path):
    """Not even a folder is made; in the search ``self.logger`` takes what it is given."""

    class Drawing(Noisy):
        def after(self, loss):
            self.logger.experiment.add_image("a", loss)
            self.logger.log_metrics({"x": 1.0})

    Tuner(trainer(tmp_path, logger=CSVLogger(tmp_path / "logs"))).lr_find(Drawing(), num_training=14)

    assert list(tmp_path.iterdir()) == []


def test_what_a_step_sends_to_the_logger_itself_is_not_written(tmp_path):
    """In a search within a fit, ``self.logger`` is a silent one, and ``trainer.callbacks`` are the search's own."""
    sent, beside = [], []

    class Sending(Noisy):
        def after(self, loss):
            self.logger.log_metrics({"own": 1.0}, step=self.global_step)
            beside.append(len(self.trainer.callbacks))

    class Counting(CSVLogger):
        def log_metrics(self, metrics, step=None):
            sent.append(metrics)

    finder = LearningRateFinder(num_training_steps=14, update_attr=False)
    trainer(tmp_path, finder, max_epochs=1, logger=Counting(tmp_path / "logs")).fit(Sending())

    assert sum("own" in metrics for metrics in sent) == 10
    assert beside == [1] * 14 + [3] * 10


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_a_search_for_evaluation_changes_nothing(verb, tmp_path):
    """In ``validate``, ``test`` and ``predict`` the finder searches, then the whole data set is gone through."""

    class Evaluated(Noisy):
        test_step = Noisy.validation_step
        test_dataloader = predict_dataloader = Noisy.val_dataloader

        def predict_step(self, batch, batch_idx):
            return self.net(batch[0])

    module, finder = Evaluated(), BatchSizeFinder(max_trials=2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    running = trainer(tmp_path, finder, logger=False)
    getattr(running, verb)(module)

    assert finder.optimal_batch_size == module.batch_size == module.hparams.batch_size == 4
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert getattr(running, {"validate": "num_val_batches"}.get(verb, f"num_{verb}_batches")) == [10]
