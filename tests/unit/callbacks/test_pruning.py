"""ModelPruning: what becomes zero and stays so, in the model, in files, and in a run that goes on from them."""

import logging
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import (
    BackboneFinetuning,
    Callback,
    ModelCheckpoint,
    ModelPruning,
    StochasticWeightAveraging,
    WeightAveraging,
)
from support.resumed import Net, check_resume, quiet, read, rows, trained

L1 = partial(ModelPruning, "l1_unstructured", amount=0.2)


class Zeros(Callback):
    """The share of zeros in the backbone's first layer at the end of each epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.seen.append((pl_module.backbone[0].weight == 0).float().mean().item())


class Half(prune.BasePruningMethod):
    """A mask of halves rather than zeros, for every second weight."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t, default_mask):
        mask = default_mask.clone()
        mask.view(-1)[::2] = 0.5
        return mask


class Matrices(ModelPruning):
    """Leaves out what has one dimension."""

    def filter_parameters_to_prune(self, parameters_to_prune=()):
        return [(module, name) for module, name in parameters_to_prune if getattr(module, name).dim() > 1]


def names(module):
    return [name for name, _ in module.named_parameters()]


def zeros(weights):
    return sum(int((value == 0).sum()) for value in weights.values())


def test_a_share_of_what_is_left_goes_with_each_epoch(tmp_path):
    """Of 21 weights, then 17, then 14: a fifth each time. What is zero stays zero."""
    model = Net()
    trained(L1(), tmp_path, model, epochs=3)

    assert [zeros(read(tmp_path / f"{epoch}.ckpt")["state_dict"]) for epoch in range(3)] == [4, 7, 10]
    assert zeros(model.state_dict()) == 10


def test_model_and_files_are_plain_in_the_end(tmp_path):
    """No masks, the parameters in their old order, and a file that any model loads."""
    model = Net()
    trained(L1(), tmp_path, model, epochs=2)

    loaded = Net.load_from_checkpoint(tmp_path / "1.ckpt", "cpu")
    assert names(model) == names(Net())
    assert not dict(model.named_buffers()) and not prune.is_pruned(model)
    assert all(map(torch.equal, loaded.state_dict().values(), model.state_dict().values()))


@pytest.mark.parametrize("make", [
    L1,
    partial(L1, use_lottery_ticket_hypothesis=False),
    partial(L1, use_lottery_ticket_hypothesis=lambda epoch: epoch == 2),
    partial(L1, amount=lambda epoch: 0.1 * epoch, apply_pruning=lambda epoch: epoch != 3),
    partial(L1, amount=2, use_global_unstructured=False),
    partial(L1, prune_on_train_epoch_end=False),
    partial(L1, make_pruning_permanent=False),
    partial(L1, make_pruning_permanent=False, use_lottery_ticket_hypothesis=False),
    partial(ModelPruning, Half, use_lottery_ticket_hypothesis=False),
    partial(Matrices, "ln_structured", amount=1, use_global_unstructured=False, pruning_dim=0, pruning_norm=1),
])  # fmt: skip
def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path, make):
    """Masks, what is under them, and what was there at first are as they were; the optimizer knows its parameters."""
    check_resume(make, tmp_path, partial(Net, norm=True))


def test_it_goes_on_beside_others_that_change_the_weights(tmp_path):
    """Averaging and thawing know a weight by its own name, also while it is pruned; in any order."""

    def make():
        thaw, mean = BackboneFinetuning(1), StochasticWeightAveraging(0.01, swa_epoch_start=3, annealing_epochs=2)
        return [thaw, L1(use_lottery_ticket_hypothesis=False), mean]

    check_resume(make, tmp_path / "one")
    check_resume(lambda: make()[::-1], tmp_path / "other")


@pytest.mark.parametrize("permanent", [True, False])
def test_a_run_goes_on_from_a_file_written_after_its_end(tmp_path, permanent):
    """Also from one in which the model is plain already."""
    make = partial(L1, make_pruning_permanent=permanent)
    alone = trained(make(), tmp_path / "alone")
    short = trained(make(), tmp_path / "short", epochs=3)
    short.save_checkpoint(tmp_path / "end.ckpt")

    model = Net(seed=9)
    trained(make(), tmp_path / "on", model, ckpt_path=tmp_path / "end.ckpt")

    expected = alone.lightning_module.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_a_file_with_masks_is_read_without_this_callbacks_state(tmp_path):
    """Files that are not permanent, of Lightning say, have the masks in the weights themselves."""
    make = partial(L1, make_pruning_permanent=False, use_lottery_ticket_hypothesis=False)
    alone = trained(make(), tmp_path / "alone")
    kept = read(tmp_path / "alone/2.ckpt")
    del kept["callbacks"]["ModelPruning"]
    torch.save(kept, tmp_path / "theirs.ckpt")

    model = Net(seed=9)
    trained(make(), tmp_path / "on", model, ckpt_path=tmp_path / "theirs.ckpt")

    expected = alone.lightning_module.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_a_file_with_masks_is_tested_with_its_zeros(tmp_path):
    """A new model that never was pruned measures what the pruned one did."""
    model = Net()
    trainer = trained(L1(make_pruning_permanent=False), tmp_path, model, epochs=2)
    (expected,) = trainer.test(model, rows(2, seed=1), verbose=False)
    other = Net(seed=9)

    (found,) = quiet(L1()).test(other, rows(2, seed=1), ckpt_path=tmp_path / "1.ckpt", verbose=False)

    assert found == expected
    assert zeros(other.state_dict()) == 7 and not other._load_state_dict_pre_hooks


class FirstWeights(Callback):
    """The weights at the first batch of each epoch, with their zeros, by plain names."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            layers = {"backbone.0": pl_module.backbone[0], "head": pl_module.head}
            self.seen.append({
                f"{owner}.{name}": getattr(layer, name).detach().clone().cpu()
                for owner, layer in layers.items() for name in ("weight", "bias")
            })  # fmt: skip


def masked(weights, like):
    return {name: torch.where(like[name] == 0, 0, weight) for name, weight in weights.items()}


def is_same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("at_epoch_end", [True, False])
def test_each_epoch_begins_with_the_lottery_ticket(tmp_path, at_epoch_end):
    """What is left has then the value that it had when training began."""
    first, begun = Net().state_dict(), FirstWeights()
    trained(L1(prune_on_train_epoch_end=at_epoch_end), tmp_path, None, begun, epochs=3)

    assert is_same(begun.seen[0], first)
    for epoch in (1, 2):
        file = read(tmp_path / f"{epoch - 1}.ckpt")["state_dict"]
        assert zeros(file) and is_same(begun.seen[epoch], masked(first, like=file))


@pytest.mark.parametrize("at_epoch_end", [True, False])
def test_what_is_kept_of_an_epoch_is_what_it_trained(tmp_path, at_epoch_end):
    """The ticket goes back when the next epoch begins, not before: files and the model in the end are trained."""
    first, plain, model = Net().state_dict(), Net(), Net()
    trained([], tmp_path / "plain", plain, epochs=1)
    trained(L1(prune_on_train_epoch_end=at_epoch_end), tmp_path, model, epochs=3)

    file, end = read(tmp_path / "0.ckpt")["state_dict"], model.state_dict()
    assert is_same(file, masked(plain.state_dict(), like=file))
    assert is_same(end, read(tmp_path / "2.ckpt")["state_dict"])
    assert not any(torch.equal(end[name], masked(first, like=end)[name]) for name in end if end[name].any())


def test_the_best_file_measures_what_was_measured(tmp_path):
    """Apart from what its own epoch pruned, which here is one of 21 weights."""
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(x, x.sum(dim=1, keepdim=True)), batch_size=4)
    best = ModelCheckpoint(dirpath=tmp_path, monitor="val_loss")
    quiet(L1(amount=1), best, max_epochs=4, enable_checkpointing=True).fit(Net(), loader, loader)
    loaded, untrained = Net.load_from_checkpoint(best.best_model_path), Net()

    (found,), (first,) = (quiet().validate(each, loader, verbose=False) for each in (loaded, untrained))

    told = best.best_model_score.item()
    assert told < 0.5 * first["val_loss"]
    assert abs(found["val_loss"] - told) < 0.1 * told


def test_the_ticket_is_due_after_a_file_written_in_between(tmp_path):
    """A run that goes on from the end of an epoch goes back to the same first weights, or draws the same new ones."""
    for name, make in {"first": L1, "drawn": partial(L1, resample_parameters=True)}.items():
        alone, on = FirstWeights(), FirstWeights()
        trained(make(), tmp_path / name, None, alone, epochs=3)
        trained(make(), tmp_path / "on", Net(seed=9), on, epochs=3, ckpt_path=tmp_path / name / "0.ckpt")

        assert read(tmp_path / name / "0.ckpt")["callbacks"]["ModelPruning"]["ticket_due"] is True
        assert [is_same(*pair) for pair in zip(alone.seen[1:], on.seen, strict=True)] == [True, True]


def test_a_run_that_goes_on_without_the_ticket_keeps_what_was_trained(tmp_path):
    """Though it was due where the file was written."""
    begun = FirstWeights()
    trained(L1(resample_parameters=True), tmp_path, epochs=1)
    plain = L1(use_lottery_ticket_hypothesis=False)
    trained(plain, tmp_path / "on", Net(seed=9), begun, epochs=2, ckpt_path=tmp_path / "0.ckpt")

    assert is_same(begun.seen[0], read(tmp_path / "0.ckpt")["state_dict"])


def test_a_ticket_that_is_due_does_not_undo_what_a_second_fit_begins_with(tmp_path):
    """A new fit begins with the weights that there are: they are its first ones."""
    model, begun = Net(), FirstWeights()
    pruning = L1()
    trained(pruning, tmp_path, model, epochs=2)
    ended = {name: weight.clone() for name, weight in model.state_dict().items()}

    trained(pruning, tmp_path / "second", model, begun, epochs=2)

    assert is_same(begun.seen[0], ended)


def test_the_lottery_ticket_can_be_drawn_anew(tmp_path):
    """Then what is left is neither what it was nor what was trained."""
    first, begun = Net().state_dict(), FirstWeights()
    trained(L1(resample_parameters=True), tmp_path, None, begun, epochs=2)

    weight, file = begun.seen[1]["head.weight"], read(tmp_path / "0.ckpt")["state_dict"]["head.weight"]
    left = weight != 0
    assert left.any() and torch.equal(left, file != 0)
    assert not (weight == first["head.weight"])[left].any()
    assert not (weight == file)[left].any()


def test_a_number_that_is_more_than_what_is_left_prunes_the_rest():
    """An epoch in which nothing is left does not end the run."""
    for everywhere in (True, False):
        model = Net()
        quiet(L1(amount=9, use_global_unstructured=everywhere), max_epochs=4).fit(model, rows())

        assert not any(parameter.any() for parameter in model.parameters())


def test_only_a_fit_prunes():
    """Validation by itself changes nothing, and leaves nothing on the model."""
    model = Net()
    trainer = quiet(L1(prune_on_train_epoch_end=False))
    trainer.validate(model, rows(1), verbose=False)

    assert zeros(model.state_dict()) == 0 and not model._load_state_dict_pre_hooks


def test_after_an_error_the_model_is_plain_and_pruned():
    """It can be saved, and fitted on with the same callback."""

    class Broken(Net):
        breaks = True

        def training_step(self, batch, batch_idx):
            if self.breaks and self.current_epoch == 2:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    model, pruning = Broken(), L1()
    with pytest.raises(ZeroDivisionError):
        quiet(pruning, max_epochs=3).fit(model, rows())
    assert names(model) == names(Net()) and zeros(model.state_dict()) == 7

    model.breaks = False
    quiet(pruning, max_epochs=1).fit(model, rows())
    assert names(model) == names(Net())


def test_a_second_fit_goes_on_with_masks_that_were_left(tmp_path):
    """Where pruning is not permanent; its files can be resumed from by a model that never had a mask."""
    make = partial(L1, make_pruning_permanent=False, use_lottery_ticket_hypothesis=False)
    pruning, model = make(), Net()
    trained(pruning, tmp_path / "first", model, epochs=2)
    trained(pruning, tmp_path / "second", model, epochs=4)

    assert zeros(read(tmp_path / "second/0.ckpt")["callbacks"]["ModelPruning"]["masks"]) == 10
    other = Net(seed=9)
    trained(make(), tmp_path / "on", other, epochs=4, ckpt_path=tmp_path / "second/1.ckpt")
    ours, theirs = model.state_dict(), other.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in theirs.items())


def test_a_second_model_is_pruned_as_the_first(tmp_path):
    """The same callback finds the parameters of the next model."""
    pruning, zero = L1(), Zeros()
    trained(pruning, tmp_path / "first", epochs=1)
    trained(pruning, tmp_path / "second", Net(seed=3), zero, epochs=2)

    assert 0 < zero.seen[0] < zero.seen[1]


def test_what_is_pruned_can_be_chosen():
    """By pairs, by names, or by an override."""

    class HeadOnly(ModelPruning):
        def filter_parameters_to_prune(self, parameters_to_prune=()):
            return [(module, name) for module, name in parameters_to_prune if module.out_features == 1]

    model = Net()
    for pruning in (L1(parameters_to_prune=[(model.head, "weight")]), HeadOnly("l1_unstructured", amount=0.2)):
        quiet(pruning, max_epochs=1).fit(model, rows())
        assert zeros(model.head.state_dict()) > 0 == zeros(model.backbone.state_dict())
    other = Net()
    quiet(L1(parameter_names=["bias"], amount=1.0), max_epochs=1).fit(other, rows())
    assert not other.head.bias.any() and other.head.weight.all()


def test_sparsity_is_told(caplog):
    """Of all, and at the second level of each."""
    with caplog.at_level(logging.INFO):
        quiet(L1(verbose=2), max_epochs=1).fit(Net(), rows())

    assert "Pruned by 0.2: 0 -> 4 of 21 weights are zero (19.0%)." in caplog.text
    assert "head.weight: 0 -> " in caplog.text


def test_files_of_weights_alone_are_warned_of(tmp_path):
    save = ModelCheckpoint(dirpath=tmp_path, save_weights_only=True)

    with pytest.warns(UserWarning, match="these files hold masks and hidden weights"):
        quiet(L1(), save, max_epochs=1, enable_checkpointing=True).fit(Net(), rows(), rows(1))


class Flat(Net):
    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Identity(), nn.Flatten()


@pytest.mark.parametrize(("callbacks", "module", "told"), [
    ([L1(), WeightAveraging()], Net, "do not know of each other"),
    ([L1(parameters_to_prune=[nn.Linear(1, 1)])], Net, "pairs were expected"),
    ([L1(parameters_to_prune=[(nn.Linear(1, 1), "weight")])], Net, r"does not have: \[Linear"),
    ([ModelPruning("random_structured", use_global_unstructured=False, pruning_dim=0)], Net, "backbone.0.bias, head.b"),
    ([L1()], Flat, "finds nothing to prune in Flat"),
])  # fmt: skip
def test_what_cannot_work_is_refused_before_the_first_batch(callbacks, module, told):
    trainer = quiet(*callbacks, max_epochs=1)
    with pytest.raises(MisconfigurationException, match=told):
        trainer.fit(module(), rows())

    assert trainer.global_step == 0


def test_a_mask_that_has_no_place_is_named(tmp_path):
    trained(L1(), tmp_path, epochs=2)

    with pytest.raises(MisconfigurationException, match=r"a mask of 'backbone.0.bias', which is not among"):
        trained(L1(parameter_names=["weight"]), tmp_path / "on", ckpt_path=tmp_path / "1.ckpt")


@pytest.mark.parametrize("arguments", [
    {"amount": "half"}, {"amount": 1.5}, {"amount": -1}, {"amount": True}, {"verbose": 3},
    {"parameter_names": ["scale"]}, {"pruning_fn": "l2"}, {"pruning_fn": prune.l1_unstructured},
    {"pruning_fn": prune.LnStructured},
])  # fmt: skip
def test_wrong_arguments_are_named_at_once(arguments):
    with pytest.raises(MisconfigurationException, match=r"ModelPruning\("):
        ModelPruning(**{"pruning_fn": "l1_unstructured", **arguments})


@pytest.mark.parametrize(("arguments", "told"), [
    ({"pruning_fn": "ln_structured"}, "pruning_dim"),
    ({"pruning_fn": "ln_structured", "pruning_dim": 0}, "pruning_norm"),
    ({"pruning_fn": "random_structured", "pruning_dim": 0}, "use_global_unstructured=False"),
    ({"pruning_fn": prune.L1Unstructured, "use_global_unstructured": False}, "Name a function"),
])  # fmt: skip
def test_what_is_missing_beside_a_function_is_named(arguments, told):
    with pytest.raises(MisconfigurationException, match=told):
        ModelPruning(**arguments)
