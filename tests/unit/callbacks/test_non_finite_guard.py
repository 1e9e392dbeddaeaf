"""What NonFiniteGuard does about a loss or gradients that are no numbers."""

import pytest
import torch
from torch.utils.data import DataLoader

from fulgurite import LightningModule, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint, NonFiniteGuard
from fulgurite.precision import MixedPrecision
from fulgurite.testing import QUIET

ROWS = torch.randn(40, 4, generator=torch.Generator().manual_seed(2))


class Model(LightningModule):
    """Running statistics and an optimizer with memory; sets the batches in ``bad`` to NaN."""

    def __init__(self, bad=(), fused=False, kind=torch.optim.Adam, where="loss"):
        super().__init__()
        torch.manual_seed(1)
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        self.bad, self.kind, self.where = bad, kind, where
        self.options = {"fused": True} if fused else {}
        self.seen = []

    def training_step(self, batch, batch_idx):
        bad = self.global_step_of_batch() in self.bad
        self.seen.append((self.net[0].weight.clone(), self.net[1].running_mean.clone()))
        if bad and self.where == "loss":
            batch = batch * float("nan")
        loss = (self.net(batch) - 3).square().mean()
        if bad and self.where == "gradient":
            # The slope of a root at zero is infinite, its value is not.
            loss = loss + (self.net[0].weight * 0).abs().sqrt().sum()
        return loss

    def global_step_of_batch(self):
        return self.trainer.progress.total_batch_idx

    def configure_optimizers(self):
        optimizer = self.kind(self.parameters(), lr=0.05, **self.options)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]


class Left(Model):
    """Leaves the bad batches out from the beginning."""

    def training_step(self, batch, batch_idx):
        return None if self.global_step_of_batch() in self.bad else super().training_step(batch, batch_idx)


def fit(model, guard=None, **options):
    trainer = Trainer(callbacks=[guard] if guard else [], **{**QUIET, "max_epochs": 2, **options})
    trainer.fit(model, DataLoader(ROWS, batch_size=4))
    return trainer


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def mixed(scale):
    """16-bit precision with a scaler that begins there."""
    device = Trainer(**QUIET).strategy.root_device.type
    return MixedPrecision("16-mixed", device, torch.amp.GradScaler(device, init_scale=scale))


def memory(trainer):
    state = trainer.optimizers[0].state_dict()["state"]
    return {(i, name): value.tolist() for i, each in state.items() for name, value in each.items()}


@pytest.mark.parametrize("every", [1, 4])
def test_stop_ends_training_and_says_where(every):
    """At the next check, with the batch. The bad step itself is left out: what is saved at the end is good."""
    guard = NonFiniteGuard(check_every_n_steps=every)
    with pytest.warns(
        UserWarning, match=r"infinite loss and gradient in epoch 0, batch 3( and \d more)?.*training ends"
    ):
        trainer = fit(Model(bad={3}), guard)

    assert trainer.global_step == 4 and trainer.should_stop
    assert (guard.bad_steps, guard.in_a_row) == (1, 1)
    # A GPU whose steps are not looked at one by one has made the bad one by then.
    left_out = every == 1 or trainer.strategy.root_device.type == "cpu"
    assert left_out == all(bool(torch.isfinite(each).all()) for each in trainer.lightning_module.state_dict().values())


def test_stop_waits_as_long_as_it_is_patient():
    """Two in a row are put up with, three are not."""
    guard = NonFiniteGuard(patience=2, check_every_n_steps=1)
    with pytest.warns(UserWarning, match="training ends"):
        trainer = fit(Model(bad={1, 3, 4, 6, 7, 8}), guard)

    assert trainer.global_step == 9


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("bad", [{0}, {4, 5, 13}])
def test_skip_leaves_no_trace_of_the_batch(fused, where, bad):
    """Weights, running statistics and the optimizer's memory are those of a run that never saw it."""
    guard, skipped, left = NonFiniteGuard("skip"), Model(bad, fused, where=where), Left(bad, fused)
    with pytest.warns(UserWarning, match=rf"infinite (loss and )?gradient in epoch 0, batch {min(bad)}.*Skipped\."):
        with_guard = fit(skipped, guard)
    without = fit(left)

    assert same(skipped, left) and memory(with_guard) == memory(without)
    assert guard.bad_steps == len(bad) and not hasattr(with_guard.optimizers[0], "found_inf")


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adagrad])
def test_skip_knows_every_fused_optimizer(kind):
    """On the device, but for the first step, in which their memory is made."""
    for bad in ({0}, {5}):
        skipped, left = Model(bad, fused=True, kind=kind), Left(bad, fused=True, kind=kind)
        with pytest.warns(UserWarning, match="Skipped"):
            fit(skipped, NonFiniteGuard("skip"))
        fit(left)
        assert same(skipped, left)


def test_a_fused_optimizer_is_told_without_waiting(monkeypatch):
    """No value leaves the device between checks; for other optimizers one does in each step."""
    calls = []
    for name in ("item", "cpu", "tolist", "__bool__", "__float__"):
        own = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda self, *args, _own=own, _name=name: calls.append(_name) or _own(self, *args)
        )

    class Watched(Model):
        def training_step(self, batch, batch_idx):
            if batch_idx in (2, 8):
                self.counted = getattr(self, "counted", []) + [len(calls)]
            return super().training_step(batch, batch_idx)

    for action in ("stop", "skip", "rollback"):
        model = Watched(fused=True)
        fit(model, NonFiniteGuard(action, check_every_n_steps=20), max_epochs=1)
        assert model.counted[0] == model.counted[1], action

    waits = []
    for guard in (None, NonFiniteGuard("skip", check_every_n_steps=20)):
        model = Watched()
        fit(model, guard, max_epochs=1)
        waits.append(model.counted[1] - model.counted[0])
    assert waits[1] - waits[0] == 6


def test_skip_ends_where_nothing_but_bad_steps_come():
    """More in a row than it is patient; the weights are good."""
    guard = NonFiniteGuard("skip", patience=3, check_every_n_steps=1)
    with pytest.warns(UserWarning, match="training ends"):
        trainer = fit(Model(bad=set(range(2, 40))), guard)

    assert trainer.global_step == 6
    assert all(bool(torch.isfinite(each).all()) for each in trainer.lightning_module.state_dict().values())


def test_skip_leaves_out_a_whole_window():
    """While gradients accumulate, those of the bad batch are mixed with the others."""
    skipped, left = Model(bad={2}), Left(bad={2, 3})
    with pytest.warns(UserWarning, match="batch 3"):
        fit(skipped, NonFiniteGuard("skip"), accumulate_grad_batches=2, max_epochs=1)
    fit(left, accumulate_grad_batches=2, max_epochs=1)

    assert same(skipped, left)


def test_skip_serves_optimisation_by_hand():
    """The wrapped optimizer asks before it steps."""

    class Manual(Model):
        def __init__(self, bad):
            super().__init__(bad)
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    model, plain = Manual({4}), Left({4})
    with pytest.warns(UserWarning, match="batch 4"):
        fit(model, NonFiniteGuard("skip"), max_epochs=1)
    fit(plain, max_epochs=1)

    assert same(model, plain)


def test_skip_refuses_lbfgs():
    """Before the first step."""
    with pytest.raises(MisconfigurationException, match="LBFGS"):
        fit(Model(kind=torch.optim.LBFGS), NonFiniteGuard("skip"))


def test_rollback_goes_on_from_the_last_copy():
    """With the weights that stood when it was made, the data that follow, and a lower rate."""
    guard = NonFiniteGuard("rollback", snapshot_every_n_steps=3, check_every_n_steps=1, lr_factor=0.5)
    model = Model(bad={7})
    with pytest.warns(UserWarning, match=r"epoch 0, batch 7.*Went back to the weights of step 6, 2 steps before"):
        trainer = fit(model, guard, max_epochs=1)

    weights, means = zip(*model.seen, strict=True)
    assert torch.equal(weights[8], weights[6]) and torch.equal(means[8], means[6])
    assert not torch.equal(weights[7], weights[6])
    assert trainer.global_step == 10 and guard.rollbacks == 1
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.05 * 0.5 * 0.5)
    assert all(bool(torch.isfinite(each).all()) for each in model.state_dict().values())


@pytest.mark.parametrize(("every", "lost"), [(1, 3), (50, 8)])
def test_rollback_goes_to_the_last_good_checkpoint(tmp_path, every, lost):
    """What was saved since the last copy counts, looked at or not: no more is lost than since the last good file."""
    guard, model = NonFiniteGuard("rollback", check_every_n_steps=every), Model(bad={14})
    saving = ModelCheckpoint(tmp_path, every_n_train_steps=4, save_top_k=-1)
    trainer = Trainer(callbacks=[guard, saving], max_epochs=2, **{**QUIET, "enable_checkpointing": True})
    with pytest.warns(UserWarning, match=f"Went back to the weights of step 12, {lost} steps before"):
        trainer.fit(model, DataLoader(ROWS, batch_size=4))

    weights = [*(seen for seen, _ in model.seen), model.net[0].weight.detach()]
    kept = torch.load(tmp_path / "epoch=1-step=12.ckpt")["state_dict"]["net.0.weight"]
    assert torch.equal(weights[12 + lost].cpu(), kept.cpu())


def test_a_save_between_rollbacks_does_not_count_as_progress(tmp_path):
    """What it holds are the weights of the copy, so that the tries at it go on."""
    guard = NonFiniteGuard("rollback", patience=1, check_every_n_steps=1)
    saving = ModelCheckpoint(tmp_path, every_n_train_steps=1)
    trainer = Trainer(callbacks=[guard, saving], **{**QUIET, "enable_checkpointing": True}, max_epochs=2)
    trainer.fit(Model(bad=range(4, 1000)), DataLoader(ROWS, batch_size=4))

    assert trainer.global_step == 6 and guard.rollbacks == 2


def test_rollback_ends_with_good_weights_where_it_does_not_help():
    """After as many tries as it is patient, at rates that were lower each time."""
    guard = NonFiniteGuard("rollback", patience=1, snapshot_every_n_steps=3, check_every_n_steps=1)
    with pytest.warns(UserWarning, match="step 3, 3 steps before .*; training ends"):
        trainer = fit(Model(bad=set(range(4, 40))), guard)

    assert trainer.global_step == 6 and guard.rollbacks == 2
    assert all(bool(torch.isfinite(each).all()) for each in trainer.lightning_module.state_dict().values())


def test_what_validation_sees_was_checked(tmp_path):
    """However rare checks are, a validation and the end of an epoch look first."""

    class Validating(Model):
        def validation_step(self, batch, batch_idx):
            self.log("val_loss", (self.net(batch) - 3).square().mean())

    model = Validating(bad={7})
    trainer = Trainer(callbacks=[NonFiniteGuard("rollback", check_every_n_steps=1000)], **QUIET, max_epochs=1)
    with pytest.warns(UserWarning, match="step 0"):
        trainer.fit(model, DataLoader(ROWS, batch_size=4), DataLoader(ROWS, batch_size=4))

    assert torch.isfinite(trainer.callback_metrics["val_loss"])


@pytest.mark.parametrize("action", ["stop", "skip", "rollback"])
def test_the_scaler_keeps_its_business(action):
    """Gradients that overflow under 16-mixed are its way to find the scale: they are no finding here."""
    guard, precision = NonFiniteGuard(action), mixed(scale=2.0**120)
    trainer = fit(Model(), guard, plugins=[precision])

    assert precision.scaler.get_scale() < 2.0**120 and guard.bad_steps == 0
    assert trainer.global_step == 20


def test_under_a_scaler_a_bad_loss_counts():
    """The scaler skips its step, and the guard says so."""
    guard, model = NonFiniteGuard("skip"), Model(bad={5})
    with pytest.warns(UserWarning, match="infinite loss in epoch 0, batch 5"):
        fit(model, guard, plugins=[mixed(scale=1.0)])

    assert guard.bad_steps == 1
    assert all(bool(torch.isfinite(each).all()) for each in model.state_dict().values())


def test_a_guard_that_finds_nothing_changes_nothing():
    """Nor does it count anything."""
    plain = Model()
    fit(plain)
    for action in ("stop", "skip", "rollback"):
        guard, watched = NonFiniteGuard(action, snapshot_every_n_steps=2), Model()
        fit(watched, guard)
        assert same(plain, watched) and guard.state_dict() == {"bad_steps": 0, "in_a_row": 0, "rollbacks": 0}


@pytest.mark.parametrize("options", [
    {"action": "pray"}, {"patience": -1}, {"check_every_n_steps": 0}, {"snapshot_every_n_steps": 0.5}, {"lr_factor": 0},
    {"lr_factor": 2.0},
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(options):
    """At construction, by its name."""
    with pytest.raises(MisconfigurationException, match=next(iter(options))):
        NonFiniteGuard(**options)
