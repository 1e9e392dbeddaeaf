"""The module beside its hooks: freezing, optimisation by hand, compiling, exporting, and what it brings along."""

import copy

import pytest
import torch

from fulgurite import Callback, LightningModule, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import EarlyStopping, ModelCheckpoint
from fulgurite.core.summary import summarize
from fulgurite.testing import QUIET, TinyModule, batches, record_hooks
from support.observed import Noted, Witness

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step`")


def quiet(**arguments):
    return Trainer(**{**QUIET, "max_epochs": 1, "num_sanity_val_steps": 0, **arguments})


def test_freeze_and_unfreeze():
    """Freezing stops gradients and dropout, unfreezing starts both again."""
    model = TinyModule()
    model.freeze()
    assert not model.training and not any(one.requires_grad for one in model.parameters())

    model.unfreeze()
    assert model.training and all(one.requires_grad for one in model.parameters())


def test_a_frozen_part_stays_frozen_through_a_fit():
    """Its modes and flags are the user's, validation included."""
    model = TinyModule()
    model.backbone = TinyModule()
    model.backbone.freeze()
    weights = model.backbone.layer.weight.clone()

    quiet().fit(model, batches(2), batches(1))

    assert not model.backbone.training and torch.equal(model.backbone.layer.weight, weights)


class Pair(LightningModule):
    """Two layers with an optimizer each, and one layer that both have; a step does nothing by itself."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.both = (torch.nn.Linear(4, 1) for _ in range(3))
        self.second.bias.requires_grad = False
        self.automatic_optimization = False
        self.seen = []

    def training_step(self, batch, batch_idx):
        """Tests put their own here."""

    def configure_optimizers(self):
        return [
            torch.optim.SGD([*own.parameters(), *self.both.parameters()], lr=0.1) for own in (self.first, self.second)
        ]

    def trainable(self):
        return {name for name, one in self.named_parameters() if one.requires_grad}


ALL = {"first.weight", "first.bias", "second.weight", "both.weight", "both.bias"}


def in_step(body, model=None):
    """Run ``body(module)`` as a training step."""
    model = model or Pair()
    model.training_step = lambda batch, batch_idx: body(model)
    trainer = quiet(logger=Noted(), log_every_n_steps=1)
    trainer.fit(model, batches(1))
    return trainer


def test_toggling_leaves_one_optimizers_parameters():
    """Shared parameters stay trainable under both; what was frozen before is frozen after."""

    def body(module):
        first, second = module.optimizers()
        for optimizer, name in ((first, "first"), (second, "second")):
            module.toggle_optimizer(optimizer)
            assert module.trainable() == {one for one in ALL if one.startswith((name, "both"))}
            module.untoggle_optimizer(optimizer)
            assert module.trainable() == ALL
        with module.toggled_optimizer(first):
            assert "second.weight" not in module.trainable()
        with second.toggle_model():
            assert "first.weight" not in module.trainable()
        module.seen.append(module.trainable())

    model = Pair()
    in_step(body, model)

    assert model.seen == [ALL]


def test_toggling_is_undone_by_an_error():
    """In a ``with`` block; the error goes on."""

    def body(module):
        with pytest.raises(ZeroDivisionError), module.toggled_optimizer(module.optimizers()[0]):
            raise ZeroDivisionError
        assert module.trainable() == ALL

    in_step(body)


def test_toggling_twice_is_undone_all_the_same():
    """The second optimizer's turn begins from what was there before the first one's."""

    def body(module):
        first, second = module.optimizers()
        module.toggle_optimizer(first)
        module.toggle_optimizer(second)
        assert module.trainable() == {one for one in ALL if one.startswith(("second", "both"))}
        module.untoggle_optimizer(second)
        assert module.trainable() == ALL

    in_step(body)


def test_a_module_can_be_copied_while_toggled():
    """The note of what to restore stays with the original."""

    def body(module):
        with module.toggled_optimizer(module.optimizers()[0]):
            other = copy.deepcopy(module)
        assert other.trainable() != ALL and module.trainable() == ALL

    in_step(body)


def test_optimizers_are_wrapped_and_counted():
    """They pass for the optimizer itself; the plain ones are there too; each step counts."""

    def body(module):
        first, second = module.optimizers()
        assert isinstance(first, torch.optim.SGD) and first.optimizer is module.trainer.optimizers[0]
        assert module.optimizers(use_pl_optimizer=False) == module.trainer.optimizers
        assert module.optimizers() == [first, second]
        for optimizer in (first, second):
            optimizer.zero_grad()
            module.manual_backward(module.both(torch.ones(1, 4, device=module.device)).sum())
            optimizer.step()
        assert module.global_step == 2

    trainer = in_step(body)

    assert (trainer.global_step, trainer.batches_that_stepped) == (2, 1)


def test_a_gan_by_hand():
    """Two optimizers with turns of their own, hooks at each step, schedulers by hand, weights as in a plain loop."""

    class Gan(LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.generator, self.critic = torch.nn.Linear(2, 4), torch.nn.Linear(4, 1)
            self.automatic_optimization = False

        def turn(self, batch, noise, optimizers, backward):
            generator, critic = optimizers
            made = self.generator(noise)
            generator.zero_grad()
            backward(-self.critic(made).mean())
            generator.step()
            critic.zero_grad()
            backward(self.critic(made.detach()).mean() - self.critic(batch).mean())
            critic.step()

        def training_step(self, batch, batch_idx):
            self.turn(batch, torch.ones(2, 2, device=self.device), self.optimizers(), self.manual_backward)
            for scheduler in self.lr_schedulers():
                scheduler.step()
            self.log("lr", self.optimizers()[0].param_groups[0]["lr"])

        def configure_optimizers(self):
            optimizers = [torch.optim.Adam(each.parameters(), lr=0.1) for each in (self.generator, self.critic)]
            return optimizers, [torch.optim.lr_scheduler.ExponentialLR(each, 0.5) for each in optimizers]

    model, hand = Gan(), Gan()
    calls = record_hooks(witness := Witness())
    trainer = quiet(max_epochs=2, callbacks=witness, logger=(logger := Noted()), log_every_n_steps=1)
    trainer.fit(model, batches(3))

    optimizers, schedulers = hand.configure_optimizers()
    for batch in [*batches(3), *batches(3)]:
        hand.turn(batch, torch.ones(2, 2), optimizers, torch.Tensor.backward)
        for scheduler in schedulers:
            scheduler.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), hand.parameters(), strict=True))
    assert (trainer.global_step, trainer.batches_that_stepped) == (12, 6)
    assert calls.count("Witness.on_before_optimizer_step") == calls.count("Witness.on_before_backward") == 12
    assert calls.count("Witness.on_before_zero_grad") == 0
    assert [step for step, _ in logger.values("lr")] == [0, 1, 2, 3, 4, 5]


def test_manual_backward_is_for_manual_optimisation():
    """With the automatic one the error says what to set."""

    class Wrong(TinyModule):
        def training_step(self, batch, batch_idx):
            self.manual_backward(self.loss(batch))

    with pytest.raises(MisconfigurationException, match="automatic_optimization = False"):
        quiet().fit(Wrong(), batches(1))


@pytest.mark.parametrize("arguments", [{"gradient_clip_val": 1.0}, {"accumulate_grad_batches": 2}], ids=str)
def test_what_manual_optimisation_leaves_to_the_user(arguments):
    """Clipping and accumulation by the Trainer are refused."""
    with pytest.raises(MisconfigurationException, match=next(iter(arguments))):
        quiet(**arguments).fit(Pair(), batches(1))


@pytest.mark.parametrize(
    ("arguments", "trainers", "norm"),
    [
        ({"gradient_clip_val": 0.5}, {}, 0.5), ({"gradient_clip_val": 0.5, "gradient_clip_algorithm": "norm"}, {}, 0.5),
        ({}, {"gradient_clip_val": 0.25}, 0.25), ({"gradient_clip_val": 0.25}, {"gradient_clip_val": 0.25}, 0.25),
        ({"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value"}, {}, 1.0), ({}, {}, 20.0),
    ],
    ids=str,
)  # fmt: skip
def test_clip_gradients(arguments, trainers, norm):
    """By norm or by value; what is left out is the Trainer's."""
    seen = []

    class Clips(TinyModule):
        def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
            self.layer.weight.grad = torch.full_like(self.layer.weight, 10.0)
            self.layer.bias.grad = None
            self.clip_gradients(optimizer, **arguments)
            seen.append(self.layer.weight.grad.norm().item())

    quiet(**trainers).fit(Clips(), batches(1))

    assert seen == [pytest.approx(norm, rel=1e-4)]


@pytest.mark.parametrize(
    ("mine", "trainers"),
    [
        ({"gradient_clip_val": 1.0}, {"gradient_clip_val": 2.0}),
        ({"gradient_clip_algorithm": "value"}, {"gradient_clip_algorithm": "norm"}),
        ({"gradient_clip_algorithm": "cut"}, {}),
    ],
    ids=str,
)
def test_clipping_that_disagrees(mine, trainers):
    """Two values for one thing are refused, and so is an unknown algorithm."""

    class Clips(TinyModule):
        def on_before_optimizer_step(self, optimizer):
            self.clip_gradients(optimizer, **{"gradient_clip_val": 2.0, **mine})

    with pytest.raises(MisconfigurationException, match="gradient_clip"):
        quiet(**trainers).fit(Clips(), batches(1))


class Parent(TinyModule):
    """Has a child that logs by itself."""

    class Child(LightningModule):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, value):
            self.log("child", value.mean(), on_step=True, on_epoch=True)
            return value * self.scale

    def __init__(self):
        super().__init__()
        self.child = self.Child()

    def training_step(self, batch, batch_idx):
        loss = self.child(self.loss(batch))
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True)
        return loss


def test_a_child_module_logs_and_knows_the_trainer():
    """Under its own names, in the same hook."""
    trainer, model = quiet(logger=(logger := Noted()), log_every_n_steps=1), Parent()
    trainer.fit(model, batches(3))

    assert model.child.trainer is trainer
    assert len(logger.values("child_step")) == 3 and len(logger.values("child_epoch")) == 1


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_runs_everywhere(backend):
    """fit, validate, test and predict take it; what it logs, its children included, is what the plain one logs."""
    torch._dynamo.reset()
    rows, results, weights = [], [], []
    for compiled in (False, True):
        model = Parent()
        trainer = quiet(logger=(logger := Noted()), log_every_n_steps=1, max_epochs=2)
        given = torch.compile(model, backend=backend) if compiled else model
        trainer.fit(given, batches(3), batches(1))
        results.append(
            [trainer.validate(given, batches(1), verbose=False), trainer.test(given, batches(1), verbose=False)]
        )
        results[-1].append(torch.cat(trainer.predict(given, batches(1))))
        rows.append(logger.rows)
        weights.append(model.layer.weight)
        assert trainer.lightning_module is model and "log" not in vars(model) and "log" not in vars(model.child)

    assert torch.allclose(weights[0], weights[1])
    assert [(step, set(row)) for step, row in rows[0]] == [(step, set(row)) for step, row in rows[1]]
    for plain, other in zip(rows[0], rows[1], strict=True):
        assert plain[1] == pytest.approx(other[1])
    assert results[0][0][0] == pytest.approx(results[1][0][0]) and results[0][1][0] == pytest.approx(results[1][1][0])
    assert torch.allclose(results[0][2], results[1][2])


def test_a_compiled_models_checkpoint_is_the_plain_ones(tmp_path):
    """No ``_orig_mod`` in its names."""
    torch._dynamo.reset()
    trainer = quiet()
    trainer.fit(torch.compile(TinyModule(), backend="eager"), batches(1))
    trainer.save_checkpoint(tmp_path / "one.ckpt")

    assert list(torch.load(tmp_path / "one.ckpt", weights_only=True)["state_dict"]) == ["layer.weight", "layer.bias"]
    assert TinyModule.load_from_checkpoint(tmp_path / "one.ckpt")


def test_configure_model_builds_late_and_in_the_right_type(tmp_path):
    """It is called before the optimizers and at each verb; ``load_from_checkpoint`` calls it too."""

    class Late(TinyModule):
        def __init__(self):
            super().__init__()
            self.layer = None
            self.calls = 0

        def configure_model(self):
            self.calls += 1
            if self.layer is None:
                self.layer = torch.nn.Linear(4, 1)

    model, trainer = Late(), quiet(precision="64-true")
    trainer.fit(model, batches(2))
    trainer.test(model, batches(1), verbose=False)
    trainer.save_checkpoint(tmp_path / "late.ckpt")

    assert model.calls == 2 and model.layer.weight.dtype is torch.float64
    assert Late.load_from_checkpoint(tmp_path / "late.ckpt").layer is not None


def test_configure_callbacks_brings_and_replaces():
    """One of the Trainer's type is replaced, others join, checkpoints stay last; a second run does not double them."""

    class Brings(TinyModule):
        def configure_callbacks(self):
            return [EarlyStopping("loss", patience=7), Witness()]

    trainer = quiet(callbacks=[EarlyStopping("loss"), Callback(), ModelCheckpoint()], enable_checkpointing=None)
    model = Brings()
    for _ in range(2):
        trainer.fit(model, batches(2))
        assert [type(one) for one in trainer.callbacks] == [Callback, EarlyStopping, Witness, ModelCheckpoint]
        assert trainer.early_stopping_callback.patience == 7
    assert trainer.callbacks[2].torn_down == ["fit"]


def test_one_callback_may_come_without_a_list():
    """And None brings nothing."""
    model = TinyModule()
    model.configure_callbacks = Witness
    trainer = quiet()
    trainer.fit(model, batches(1))
    assert [type(one) for one in trainer.callbacks] == [Witness]

    model.configure_callbacks = lambda: None
    quiet().fit(model, batches(1))


def test_example_input_array_serves_the_summary():
    """Sizes in and out are shown for it."""
    model = TinyModule()
    model.example_input_array = torch.ones(5, 4)

    summary = str(summarize(model))

    assert "[5, 4]" in summary and "[5, 1]" in summary


def test_properties_follow_the_parameters():
    """Device and type are those of the first parameter, buffers where there is none."""

    class Bare(LightningModule):
        pass

    bare = Bare()
    assert (bare.device, bare.dtype) == (torch.device("cpu"), torch.get_default_dtype())
    bare.register_buffer("count", torch.ones(1, dtype=torch.float64, device="meta"))
    assert (bare.device.type, bare.dtype) == ("meta", torch.float64)
    assert TinyModule().double().dtype is torch.float64


def test_removed_hooks_are_told():
    """``training_epoch_end`` and its relatives would never be called."""
    for name, new in (
        ("training_epoch_end", "on_train_epoch_end"), ("validation_epoch_end", "on_validation_epoch_end"),
        ("test_epoch_end", "on_test_epoch_end"),
    ):  # fmt: skip
        model = TinyModule()
        setattr(model, name, lambda outputs: None)
        with pytest.raises(NotImplementedError, match=new):
            quiet().fit(model, batches(1))


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ({"no_loss": 1}, MisconfigurationException), ("loss", MisconfigurationException),
        (1.0, MisconfigurationException),
        ({"loss": None}, MisconfigurationException), ({"loss": 1.0}, MisconfigurationException),
    ],
    ids=str,
)  # fmt: skip
def test_what_training_step_may_not_return(output, kind):
    """The error says what may be returned."""
    model = TinyModule()
    model.training_step = lambda batch, batch_idx: output

    with pytest.raises(kind, match="loss"):
        quiet().fit(model, batches(1))


def test_outputs_reach_the_hooks():
    """The loss detached and divided by the window, everything else of the dict as it was returned, as in Lightning."""
    seen = []

    class Returns(TinyModule):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.kept = loss.item()
            self.extra = loss * 2
            return {"loss": loss, "extra": self.extra, "note": "x"}

        def on_train_batch_end(self, outputs, batch, batch_idx):
            seen.append((outputs["loss"].item() * 2 == self.kept, outputs["loss"].requires_grad, outputs["note"]))
            assert outputs["extra"] is self.extra

    quiet(accumulate_grad_batches=2).fit(Returns(), batches(2))

    assert seen == [(True, False, "x")] * 2


def test_steps_may_take_the_batch_alone():
    """``batch_idx`` is passed where it is asked for."""

    class Short(TinyModule):
        def training_step(self, batch):
            return self.loss(batch)

        def validation_step(self, batch):
            self.log("val", self.loss(batch))

        test_step = validation_step

        def predict_step(self, batch):
            return batch.shape[0]

    trainer, model = quiet(), Short()
    trainer.fit(model, batches(2), batches(1))

    assert "val" in trainer.callback_metrics and trainer.predict(model, batches(2)) == [2, 2]
