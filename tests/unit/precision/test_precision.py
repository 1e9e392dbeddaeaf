"""In which numbers a run computes."""

import warnings

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD

from fulgurite.base.errors import MisconfigurationException
from fulgurite.core.precision import Precision
from fulgurite.precision import DoublePrecision, HalfPrecision, MixedPrecision
from fulgurite.precision.choose import CHOICES, choose, parse_precision
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer

CPU = torch.device("cpu")
EVERY = [
    Precision(),
    MixedPrecision("bf16-mixed", "cpu"),
    # Torch's own first scale is found by overflowing; here the weights are compared after three steps.
    MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=256.0)),
    HalfPrecision("bf16-true"),
    HalfPrecision("16-true"),
    DoublePrecision(),
]


def train(precision, steps=3, optimizer=SGD):
    """A few steps as a loop does them; returns the module and the dtype of its outputs."""
    torch.manual_seed(0)
    module = precision.convert_module(nn.Linear(4, 1))
    chosen = optimizer(module.parameters(), lr=0.1)
    for _ in range(steps):
        batch = precision.convert_input({"x": torch.randn(8, 4), "n": torch.arange(8)})
        with precision.forward_context():
            output = module(batch["x"])
        chosen.zero_grad()
        precision.backward(output.float().square().mean())
        precision.unscale(chosen)
        precision.step(chosen)
    return module, output.dtype


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "32-true"),
        (32, "32-true"),
        ("32", "32-true"),
        (16, "16-mixed"),
        ("16", "16-mixed"),
        ("bf16", "bf16-mixed"),
        (64, "64-true"),
        ("64", "64-true"),
        *[(name, name) for name in CHOICES],
    ],
)
def test_every_spelling_has_one_name(given, name):
    """Numbers and short words are understood as the full names."""
    assert parse_precision(given) == name


@pytest.mark.parametrize("given", [8, "fp16", "", True, 16.0], ids=repr)
def test_unknown_precisions_are_named_with_the_choices(given):
    """The error tells what was given and all that could be."""
    with pytest.raises(ValueError, match=f"precision={given!r} is not known; choose one of '32-true'.*'64-true'"):
        parse_precision(given)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (None, Precision),
        ("bf16", MixedPrecision),
        ("16-true", HalfPrecision),
        ("64", DoublePrecision),
    ],
)
def test_the_chosen_precision_knows_its_name(given, kind):
    """A word becomes the class that computes so."""
    chosen = choose(given, CPU)

    assert type(chosen) is kind and chosen.precision == parse_precision(given)


def test_float16_on_the_cpu_becomes_bfloat16():
    """Mixed float16 is exchanged on the CPU, and the user is told."""
    with pytest.warns(UserWarning, match="'bf16-mixed'"):
        chosen = choose("16-mixed", CPU)

    assert chosen.precision == "bf16-mixed" and chosen.scaler is None


def test_a_users_own_precision_is_taken_as_it_is():
    """An instance passes, and what it overrides is known to the step."""

    class Rounded(Precision):
        def convert_input(self, batch):
            return batch.round()

    mine = Rounded()

    assert choose(mine, CPU) is mine
    assert (mine.converts_input, mine.needs_context) == (True, False)


@pytest.mark.parametrize(
    ("precision", "inputs", "context"),
    [
        (EVERY[0], False, False),
        (EVERY[1], False, True),
        (EVERY[3], True, True),
        (EVERY[5], True, True),
    ],
    ids=lambda value: getattr(value, "precision", str(value)),
)
def test_the_step_can_ask_once_what_it_may_leave_out(precision, inputs, context):
    """Plain float32 needs neither conversion nor context; the others say what they need."""
    assert (precision.converts_input, precision.needs_context) == (inputs, context)


def test_the_step_knows_whether_to_go_through_the_precision():
    """Plain backward and step are left out of the way unless there is a scaler or an override."""

    class Own(Precision):
        def step(self, optimizer, closure=None, **kwargs):
            return super().step(optimizer, closure, **kwargs)

    class OwnMixed(MixedPrecision):
        pass

    assert [each.scales for each in EVERY] == [False, False, True, False, False, False]
    assert Own().scales and OwnMixed("16-mixed", "cpu").scales


@pytest.mark.parametrize(
    ("precision", "weights", "outputs"),
    [
        (EVERY[0], torch.float32, torch.float32),
        (EVERY[1], torch.float32, torch.bfloat16),
        (EVERY[2], torch.float32, torch.float16),
        (EVERY[3], torch.bfloat16, torch.bfloat16),
        (EVERY[4], torch.float16, torch.float16),
        (EVERY[5], torch.float64, torch.float64),
    ],
    ids=[each.precision for each in EVERY],
)
def test_training_in_each_precision(precision, weights, outputs):
    """Weights and outputs have the types that the name promises, and the weights stay near those of float32."""
    reference, _ = train(Precision())
    module, kind = train(precision)

    assert (module.weight.dtype, kind) == (weights, outputs)
    assert torch.get_default_dtype() is torch.float32
    assert torch.allclose(module.weight.float(), reference.weight, atol=2e-2)


def test_a_module_is_built_in_its_final_type():
    """Inside the context new weights and new tensors are of the precision's type; outside nothing has changed."""
    with HalfPrecision("bf16-true").module_init_context():
        assert nn.Linear(1, 1).weight.dtype is torch.bfloat16
    with DoublePrecision().forward_context():
        assert torch.ones(1).dtype is torch.float64
    assert torch.ones(1).dtype is torch.float32


def test_the_default_type_returns_after_an_error():
    """A step that fails leaves the default type as it found it."""
    with pytest.raises(RuntimeError), DoublePrecision().forward_context():
        raise RuntimeError
    assert torch.get_default_dtype() is torch.float32


def test_only_floats_are_converted():
    """Indices and words keep their types; floats of any size are cast."""
    batch = {"x": [torch.ones(1, dtype=torch.float64)], "i": torch.arange(2), "s": "word"}
    half = HalfPrecision("bf16-true").convert_input(batch)

    assert half["x"][0].dtype is torch.bfloat16 and half["i"] is batch["i"] and half["s"] == "word"
    assert batch["x"][0].dtype is torch.float64


@pytest.mark.parametrize("no_grad", [torch.no_grad, torch.inference_mode])
def test_a_forward_without_gradients_does_not_take_them_from_the_next(no_grad):
    """Whether in the same context or in an earlier one: weights that were cast without gradients get them later."""
    precision, module, rows = MixedPrecision("bf16-mixed", "cpu"), nn.Linear(4, 4), torch.randn(2, 4)
    with no_grad(), precision.forward_context():
        module(rows)
    with precision.forward_context():
        with no_grad():
            module(rows)
        loss = module(rows).sum()
    loss.backward()

    assert module.weight.grad is not None


def test_an_overflow_skips_the_step_and_lowers_the_scale():
    """With float16 a gradient that is not finite changes no weight; the scale is halved."""
    precision, module = MixedPrecision("16-mixed", "cpu"), nn.Linear(1, 1)
    optimizer, before = SGD(module.parameters(), lr=1.0), module.weight.clone()
    scale = precision.scaler.get_scale()

    precision.backward(module(torch.ones(1, 1)).sum() * float("inf"))
    precision.unscale(optimizer)
    precision.step(optimizer)

    assert torch.equal(module.weight, before)
    assert precision.scaler.get_scale() == scale / 2


def test_a_step_without_gradients_changes_nothing():
    """Where no loss was given, the scaler is left alone instead of failing."""
    precision, module = MixedPrecision("16-mixed", "cpu"), nn.Linear(1, 1)
    optimizer = SGD(module.parameters(), lr=1.0)
    precision.unscale(optimizer)

    assert precision.step(optimizer) is None
    assert precision.state_dict()["_growth_tracker"] == 0


def test_gradients_are_clipped_at_their_true_size():
    """After unscaling, norm and value clipping see the gradients that float32 would."""
    for precision in (Precision(), MixedPrecision("16-mixed", "cpu")):
        module = nn.Linear(2, 1, bias=False)
        optimizer = SGD(module.parameters(), lr=1.0)
        precision.backward(module(torch.tensor([[3.0, 4.0]])).sum())
        precision.unscale(optimizer)

        precision.clip_grad_by_norm(optimizer, 1.0)
        assert torch.allclose(module.weight.grad, torch.tensor([[0.6, 0.8]]), atol=1e-4)
        precision.clip_grad_by_value(optimizer, 0.7)
        assert torch.allclose(module.weight.grad, torch.tensor([[0.6, 0.7]]), atol=1e-4)


def test_a_closure_runs_once_before_the_scaler_steps():
    """The step returns the closure's loss, in plain and in scaled form."""
    for precision in (Precision(), MixedPrecision("16-mixed", "cpu")):
        module, calls = nn.Linear(1, 1), []
        optimizer = SGD(module.parameters(), lr=0.1)

        def closure(module=module, precision=precision, calls=calls):
            loss = module(torch.ones(1, 1)).sum()
            precision.backward(loss)
            calls.append(loss)
            return loss

        assert precision.step(optimizer, closure) is calls[0]
        assert len(calls) == 1


def test_lbfgs_cannot_be_scaled():
    """An optimizer that asks for the loss repeatedly is refused with a scaler, and works without."""
    module = nn.Linear(1, 1)
    optimizer = LBFGS(module.parameters())

    def closure():
        optimizer.zero_grad()
        loss = module(torch.ones(1, 1)).square().sum()
        loss.backward()
        return loss

    with pytest.raises(MisconfigurationException, match="LBFGS"):
        MixedPrecision("16-mixed", "cpu").step(optimizer, closure)
    assert MixedPrecision("bf16-mixed", "cpu").step(optimizer, closure) is not None


def test_the_scale_survives_in_the_state():
    """The scaler's state goes through a checkpoint; precisions without scaler keep and take nothing."""
    first, second = MixedPrecision("16-mixed", "cpu"), MixedPrecision("16-mixed", "cpu")
    module = nn.Linear(1, 1)
    optimizer = SGD(module.parameters(), lr=1.0)
    first.backward(module(torch.ones(1, 1)).sum() * float("inf"))
    first.step(optimizer)

    second.load_state_dict(first.state_dict())

    assert second.scaler.get_scale() == first.scaler.get_scale() < 65536
    bfloat = MixedPrecision("bf16-mixed", "cpu")
    bfloat.load_state_dict(first.state_dict())
    assert bfloat.state_dict() == Precision().state_dict() == {}


def test_wrong_arguments_are_named():
    """Each class refuses what it does not do; a scaler belongs to float16 alone."""
    with pytest.raises(ValueError, match="precision='32-true'; choose '16-mixed'"):
        MixedPrecision("32-true", "cpu")
    with pytest.raises(ValueError, match="precision='16-mixed'; choose '16-true'"):
        HalfPrecision("16-mixed")
    with pytest.raises(MisconfigurationException, match="takes no scaler"):
        MixedPrecision("bf16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    mine = torch.amp.GradScaler("cpu", init_scale=4.0)
    assert MixedPrecision("16-mixed", "cpu", mine).scaler is mine


def test_nothing_is_said_without_need():
    """Choosing and computing in a precision that fits raises no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("32-true", "bf16-mixed", "bf16-true", "64-true"):
            train(choose(name, CPU))


def test_an_overridden_backward_is_called():
    """Half of the loss goes backward, so half of the step is done."""

    class Halved(Precision):
        def backward(self, loss, *args, **kwargs):
            (loss / 2).backward(*args, **kwargs)

    moved = []
    for plugins in (None, Halved()):
        module = TinyModule()
        before = module.layer.weight.clone()
        Trainer(plugins=plugins, max_steps=1, **QUIET).fit(module, batches(1))
        moved.append((module.layer.weight - before).detach())

    assert torch.allclose(moved[0], 2 * moved[1])


def test_an_apple_gpu_has_no_float64():
    """Said when the Trainer is made, and not where the weights go there."""
    with pytest.raises(MisconfigurationException, match="precision='64': Apple's GPUs compute in 32 bits at most"):
        choose("64", torch.device("mps"))


class StepsInBetween(TinyModule):
    """Looks at the same row before and after a step of its own."""

    def __init__(self):
        super().__init__(lr=1.0)
        self.automatic_optimization, self.seen = False, []

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        before = self(batch).mean()
        self.manual_backward(before)
        optimizer.step()
        optimizer.zero_grad()
        after = self(batch).mean()
        as_is = batch.bfloat16() @ self.layer.weight.bfloat16().T + self.layer.bias.bfloat16()
        self.seen.append((before.item(), after.item(), as_is.mean().item()))


def test_a_forward_after_a_step_uses_the_new_weights():
    """torch keeps what it has cast within a step, and manual optimization changes the weights there."""
    model = StepsInBetween()

    Trainer(**{**QUIET, "precision": "bf16-mixed", "max_epochs": 1}).fit(model, batches(2))

    for before, after, as_is in model.seen:
        assert after == pytest.approx(as_is, abs=0.02) and abs(after - before) > 0.5
