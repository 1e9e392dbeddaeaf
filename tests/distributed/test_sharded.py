"""Models in pieces: several ranks make of them what one process makes, and checkpoints fit any number of ranks.

Weights are compared with a tolerance of 2e-6: sums over ranks are taken in another order than sums over a batch.
"""

import os
import signal

import pytest
import torch

from fulgurite import Callback, Trainer, seed_everything
from fulgurite.base import folder
from fulgurite.callbacks import ModelCheckpoint, NonFiniteGuard
from fulgurite.cli import main
from fulgurite.precision import MixedPrecision
from fulgurite.strategies import FSDPStrategy
from support.ranks import on_ranks
from support.sharded import QUIET, Block, Words, ran, whole_weights, words

SAME = 2e-6
COUNT = 48
ACCUMULATES = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.3}
CUTS = {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}
PASSES = {"left": [5, 3], "predict": 7}
"""Two loaders; of the second, the second of two ranks has no batch."""


def one(trainer=None, **more):
    """A run of two epochs in one process, with the batches of two."""
    return {
        "size": 8,
        "count": COUNT,
        "do": ["fit"],
        "trainer": {"max_epochs": 2, "devices": 1, **(trainer or {})},
        **more,
    }


def two(strategy, trainer=None, **more):
    return one({**(trainer or {}), "devices": 2}, **{"size": 4, **more}, strategy=strategy)


def tensor(**strategy):
    return {"kind": "model_parallel", **strategy}


@pytest.fixture(scope="module")
def alone():
    plain = one({"devices": 1}, do=["fit", "validate", "test", "predict"], **PASSES)
    sgd = {"arguments": {"optimizer": "sgd"}}
    return dict(
        zip(
            ("plain", "accumulated", "cut", "by hand"),
            ran([plain, one(ACCUMULATES), one(CUTS, **sgd), one(model="by hand")]),
            strict=True,
        )
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def pair(place):
    """All that two ranks do, in one start of them."""
    wrapped, pieces = {"wrap": True}, {"wrap": True, "state_dict_type": "sharded"}
    kept = {"filename": "{step}", "save_top_k": -1, "every_n_train_steps": 3}
    drawn = {"shuffle": True, "trainer": ACCUMULATES}
    runs = {
        # First, as it needs gloo beside NCCL in the process group that the others go on with.
        "recomputed": two({**wrapped, "recompute": True, "cpu_offload": True, "sharding_strategy": "SHARD_GRAD_OP"}),
        "plain": two(wrapped, do=["fit", "validate", "test", "predict"], **PASSES),
        "accumulated": two(wrapped, ACCUMULATES, checkpoints={"dirpath": f"{place}/full", **kept}),
        "cut": two("fsdp", CUTS, arguments={"optimizer": "sgd"}),
        "by hand": two(wrapped, model="by hand"),
        "half": two({**wrapped, "bf16": True}),
        "untouched": two(wrapped, do=["validate"], **PASSES),
        "tensor": two("model_parallel", ACCUMULATES, size=8, model="tensor", do=["fit", "validate"], **PASSES,
                      checkpoints={"dirpath": f"{place}/tensor", **kept}),
        "meta": two(wrapped, arguments={"meta": True}, other_seeds=True),
        "drawn": two(pieces, **drawn, checkpoints={"dirpath": f"{place}/pieces", **kept, "save_last": True},
                     save_at=[2, f"{place}/middle.ckpt"]),
        "from the middle": two(pieces, **drawn, ckpt_path=f"{place}/middle.ckpt"),
        "from pieces": two(wrapped, **drawn, ckpt_path=f"{place}/pieces/step=3.ckpt"),
        "from last": two(pieces, shuffle=True, trainer={**ACCUMULATES, "max_epochs": 3}, ckpt_path="last",
                         checkpoints={"dirpath": f"{place}/pieces", "filename": "later", "save_last": True}),
        "from a tensor": two(wrapped, ACCUMULATES, ckpt_path=f"{place}/tensor/step=3.ckpt"),
        "from a file": two(tensor(tensor_parallel_size=2), ACCUMULATES, size=8, model="tensor",
                           ckpt_path=f"{place}/full/step=3.ckpt"),
        "behind": two(pieces, ACCUMULATES, behind=True,
                      checkpoints={"dirpath": f"{place}/behind", "filename": "{step}", "every_n_train_steps": 1,
                                   "save_top_k": 1, "save_last": "link"}),
    }  # fmt: skip
    return dict(zip(runs, ran(list(runs.values()), ranks=2), strict=True))


def apart(one, other):
    assert one.keys() == other.keys()
    return max((one[name].float() - other[name].float()).abs().max().item() for name in one)


@pytest.mark.parametrize("name", ["plain", "accumulated", "cut", "by hand"])
def test_two_ranks_with_pieces_learn_what_one_process_does(alone, pair, name):
    """Each has half of every batch, and half of every weight."""
    assert apart(alone[name]["weights"], pair[name]["weights"]) < SAME
    assert pair[name]["step"] == alone[name]["step"]
    assert pair[name]["kind"] == "DTensor"


def test_recomputing_and_offloading_change_no_number(alone, pair):
    assert apart(alone["plain"]["weights"], pair["recomputed"]["weights"]) < SAME


def test_layers_in_half_of_the_bytes_learn_about_the_same(alone, pair):
    """The pieces stay in float32."""
    assert {each.dtype for each in pair["half"]["weights"].values()} == {torch.float32}
    assert 0 < apart(alone["plain"]["weights"], pair["half"]["weights"]) < 0.3


def test_layers_cut_over_two_ranks_learn_what_whole_ones_do(alone, pair):
    """Both ranks have the same batches, and results count once."""
    assert apart(alone["accumulated"]["weights"], pair["tensor"]["weights"]) < SAME
    assert pair["tensor"]["seen"] == [[0, 1, 2, 3, 4, 0, 1, 2]] * 2


def test_a_model_without_values_gets_those_of_rank_0(pair):
    """It was built on the meta device, with other random numbers on each rank."""
    assert all(torch.isfinite(each).all() for each in pair["meta"]["weights"].values())
    norms = [value for name, value in pair["meta"]["weights"].items() if name.endswith("norm.weight")]
    assert all((value - 1).abs().max() < 1 for value in norms)


@pytest.mark.parametrize("verb", ["validate", "test"])
def test_each_sample_counts_once_where_a_rank_has_no_batch(alone, pair, verb):
    """Forward passes bring all pieces together, so a rank without a batch follows the others."""
    for mine, theirs in zip(pair["plain"][verb], alone["plain"][verb], strict=True):
        assert mine.keys() == theirs.keys()
        assert list(mine.values()) == pytest.approx(list(theirs.values()), abs=SAME)
    assert pair["plain"]["seen"] == [[0, 1, 2, 3, 0, 1, 2], [4]]
    assert pair["untouched"]["seen"] == pair["plain"]["seen"]


def test_predictions_come_once_and_in_order(alone, pair):
    numbers, guesses = (torch.cat([each[at] for each in pair["plain"]["predicted"]]) for at in (0, 1))

    assert numbers.tolist() == list(range(7))
    assert torch.equal(guesses, torch.cat([each[1] for each in alone["plain"]["predicted"]]))


@pytest.mark.parametrize("name", ["from the middle", "from pieces"])
def test_a_run_goes_on_from_a_folder_to_the_bit(pair, name):
    """Also from the middle of an accumulation window, whose gradients are in pieces too, and under another format."""
    assert apart(pair["drawn"]["weights"], pair[name]["weights"]) == 0
    assert pair[name]["step"] == pair["drawn"]["step"] == 6


def test_last_finds_a_folder(pair, place):
    assert pair["from last"]["step"] == 9
    assert folder.is_intact(place / "pieces" / "last.ckpt")


@pytest.mark.parametrize("name", ["from a tensor", "from a file"])
def test_a_checkpoint_fits_a_model_that_is_cut_otherwise(alone, pair, name):
    assert apart(alone["accumulated"]["weights"], pair[name]["weights"]) < SAME


def test_folders_written_behind_the_training_are_kept_and_removed_as_files_are(pair, place):
    names = sorted(path.name for path in (place / "behind").iterdir())

    assert names == ["last.ckpt", "step=6.ckpt"]
    assert folder.is_intact(place / "behind" / "last.ckpt")
    assert folder.read(place / "behind" / "last.ckpt")["global_step"] == pair["behind"]["step"] == 6


@pytest.mark.parametrize("kept", ["pieces", "tensor", "full"])
def test_one_process_reads_what_two_wrote(pair, place, kept):
    """As a module, and to train on with the optimizer's memory."""
    path = place / kept / "step=6.ckpt"
    wanted = {"pieces": "drawn", "tensor": "tensor", "full": "accumulated"}[kept]

    found = Words.load_from_checkpoint(path)

    assert apart(dict(found.state_dict()), pair[wanted]["weights"]) == 0
    assert found.hparams.lr == 0.05
    if kept != "pieces":  # there the order was drawn, by each number of ranks in its own way
        again = ran([one(ACCUMULATES, ckpt_path=str(place / kept / "step=3.ckpt"))])[0]
        assert apart(again["weights"], pair[wanted]["weights"]) < SAME


def test_a_folder_becomes_one_file(pair, place, capsys):
    target = place / "whole.ckpt"

    assert main(["consolidate", str(place / "pieces" / "step=6.ckpt"), "--output", str(target)]) == 0

    assert capsys.readouterr().out.strip() == str(target)
    weights_only = torch.load(target, weights_only=True)["state_dict"]
    assert apart(dict(weights_only), pair["drawn"]["weights"]) == 0
    assert main(["consolidate", str(target)]) == 2
    assert "is one file already" in capsys.readouterr().err
    trainer = Trainer(devices=1, max_epochs=3, **QUIET)
    trainer.fit(Words(), words(COUNT, 8), ckpt_path=target)
    assert trainer.global_step == 6 + 6


class Stops(Callback):
    """Asks rank 1 to end, or lets it fail, in the middle of the fourth batch."""

    def __init__(self, how):
        self.how = how

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step == 3 and trainer.global_rank == 1:
            if self.how == "fails":
                raise ValueError("rank 1 is ill")
            os.kill(os.getpid(), signal.SIGTERM)


def stopped(how, folder_):
    strategy = FSDPStrategy(auto_wrap_policy={Block}, state_dict_type="sharded")
    keeps = ModelCheckpoint(folder_, every_n_epochs=1, save_on_exception=how == "fails")
    quiet = {name: value for name, value in QUIET.items() if name != "enable_checkpointing"}
    trainer = Trainer(**quiet, devices=2, max_epochs=2, strategy=strategy, callbacks=[Stops(how), keeps])
    seed_everything(1)
    try:
        trainer.fit(Words(), words(COUNT, 4))
    except BaseException as error:
        notes = getattr(error, "__notes__", [])
        return f"{type(error).__name__}: {error}", "".join(notes)
    return None


@pytest.mark.slow
def test_a_run_that_is_asked_to_end_saves_its_pieces_and_goes_on(alone, tmp_path):
    ends = on_ranks(stopped, "is asked", str(tmp_path / "kept"))

    assert all(end[0].startswith("SIGTERM") for end in ends)
    (path,) = (tmp_path / "kept").iterdir()
    assert folder.is_intact(path)
    again = ran([two({"wrap": True}, ckpt_path=str(path))], ranks=2)[0]
    assert apart(alone["plain"]["weights"], again["weights"]) < SAME


@pytest.mark.slow
def test_a_rank_that_failed_leaves_no_half_of_a_checkpoint(tmp_path):
    """It has pieces only; the error is its own, and says what could not be saved."""
    ends = on_ranks(stopped, "fails", str(tmp_path / "kept"))

    assert all("rank 1 is ill" in end[0] for end in ends)
    assert "holds pieces of the weights only" in ends[1][1]
    assert not (tmp_path / "kept").exists() or not list((tmp_path / "kept").iterdir())


class Overflows(Words):
    """Its second loss is infinite on rank 1."""

    def training_step(self, batch, batch_idx):
        return self.loss(batch) * (float("inf") if batch_idx == 1 and self.trainer.global_rank == 1 else 1)


def scaled():
    precision = MixedPrecision("16-mixed", "cpu")
    trainer = Trainer(**QUIET, devices=2, max_epochs=1, plugins=[precision], strategy=FSDPStrategy())
    model = Overflows()
    trainer.fit(model, words(16, 4))
    return precision.scaler.get_scale(), all(bool(each.isfinite().all()) for each in whole_weights(model).values())


@pytest.mark.slow
def test_a_gradient_that_overflows_on_one_rank_is_left_out_by_all():
    """The scale is halved on both, and no weight is touched."""
    assert on_ranks(scaled) == [(2.0**15, True)] * 2


class Spoils(Callback):
    """Makes one gradient infinite, in a piece that rank 1 has."""

    def on_after_backward(self, trainer, pl_module):
        if trainer.global_step == 1 and trainer.global_rank == 1:
            pl_module.head.weight.grad.to_local()[0, 0] = float("inf")


def guarded():
    guard = NonFiniteGuard("skip", check_every_n_steps=1)
    strategy = FSDPStrategy(auto_wrap_policy={Block})
    trainer = Trainer(**QUIET, devices=2, max_epochs=1, strategy=strategy, callbacks=[Spoils(), guard])
    seed_everything(1)
    model = Words()
    trainer.fit(model, words(16, 4))
    return guard.bad_steps, trainer.global_step, whole_weights(model)


@pytest.mark.slow
def test_a_gradient_that_only_one_rank_sees_is_guarded_against_by_all():
    """Otherwise one piece would be left as it was, and the others moved on."""
    one, two = on_ranks(guarded)

    assert one[:2] == two[:2] == (1, 2)
    assert all(each.isfinite().all() for each in one[2].values())


class IllAlone(Words):
    """Its second loss is infinite on rank 0, and no gradient of it is."""

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        return loss + float("inf") if batch_idx == 1 and self.trainer.global_rank == 0 else loss


def guarded_losses(action, strategy):
    guard = NonFiniteGuard(action, check_every_n_steps=1)
    trainer = Trainer(**QUIET, devices=2, max_epochs=1, strategy=strategy, callbacks=[guard])
    seed_everything(1)
    model = IllAlone()
    trainer.fit(model, words(24, 4))
    return guard.bad_steps, guard.rollbacks, whole_weights(model)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("action", ["skip", "rollback"])
def test_a_loss_that_is_bad_on_one_rank_is_bad_for_all(action, strategy):
    """Otherwise one would leave its step out, or go back, and the other move on."""
    one, two = on_ranks(guarded_losses, action, strategy)

    assert one[:2] == two[:2] == (1, action == "rollback")
    assert all(torch.equal(each, two[2][name]) for name, each in one[2].items())


@pytest.mark.slow
def test_four_ranks_read_what_two_wrote(alone, pair, place):
    """Whole layers in four pieces, in two pieces and two copies, and layers cut over two with two shares of data."""
    runs = [
        one({**ACCUMULATES, "devices": 4}, size=size, strategy=strategy, do=["fit", "validate"], left=[9, 1], **more,
            ckpt_path=f"{place}/{kept}/step=3.ckpt")
        for strategy, size, kept, more in (
            ({"wrap": True, "state_dict_type": "sharded"}, 2, "tensor", {}),
            ({"wrap": True, "sharding_strategy": "HYBRID_SHARD", "device_mesh": [2, 2]}, 2, "full", {}),
            (tensor(data_parallel_size=2), 4, "tensor", {"model": "tensor"}),
        )
    ]  # fmt: skip

    found = ran(runs, ranks=4)

    for each in found:
        assert apart(alone["accumulated"]["weights"], each["weights"]) < SAME
    assert [sorted(sum(each["seen"], [])) for each in found[:2]] == [sorted([*range(9), 0])] * 2
    assert found[2]["seen"] == [[0, 1, 2, 3, 8, 0], [0, 1, 2, 3, 8, 0], [4, 5, 6, 7], [4, 5, 6, 7]]


TURNS = {"both": ("toggle", "toggle"), "first": ("toggle", "no"), "second": ("no", "toggle"), "late": ("no", "late")}
"""Which of two parts that train in turns freezes the other meanwhile."""
CUT_INTO = {
    "layers": {},
    "layers that stay together": {"sharding_strategy": "SHARD_GRAD_OP"},
    "layers in layers": {"auto_wrap_policy": {torch.nn.Linear}},
    "layers of one's own": tensor(data_parallel_size=2, tensor_parallel_size=1),
}


@pytest.fixture(scope="module")
def rivals():
    """By way of cutting and taking turns: the weights of two ranks; by taking turns alone: those of one process."""
    turns = {name: {"model": "rivals", "arguments": {"ways": ways}} for name, ways in TURNS.items()}
    runs = {(cut, name): two(strategy, **turns[name]) for cut, strategy in CUT_INTO.items() for name in TURNS}
    runs |= {("half", name): two({"bf16": True}, **turns[name]) for name in ("both", "late")}
    runs["root", "both"] = two(CUT_INTO["layers of one's own"], model="rivals", arguments={"root": True})
    found = dict(zip(runs, ran(list(runs.values()), ranks=2), strict=True))
    alone = dict(zip(TURNS, ran([one(**each) for each in turns.values()]), strict=True))
    return {name: each["weights"] for name, each in (found | alone).items()}


@pytest.mark.slow
@pytest.mark.parametrize("cut", CUT_INTO)
@pytest.mark.parametrize("name", TURNS)
def test_parts_that_train_in_turns_learn_what_one_process_teaches_them(rivals, cut, name):
    """A layer that is together from an earlier turn is frozen, freed and renewed as its pieces are."""
    assert apart(rivals[name], rivals[cut, name]) < SAME


@pytest.mark.slow
def test_parts_that_train_in_turns_may_be_in_a_unit_of_the_whole_model(rivals):
    assert apart(rivals["both"], rivals["root", "both"]) < SAME


@pytest.mark.slow
def test_what_is_frozen_before_its_first_batch_gets_gradients_in_its_own_numbers_later(rivals):
    """Layers compute in half of the bytes; both turns would give nothing to the part that isn't theirs anyway."""
    assert apart(rivals["half", "both"], rivals["half", "late"]) < SAME


@pytest.mark.slow
def test_parts_that_train_in_turns_both_learn(rivals):
    first = ran([one({"max_epochs": 0}, model="rivals")])[0]["weights"]
    changed = {name.split(".")[0] for name, value in rivals["both"].items() if not torch.equal(value, first[name])}
    assert changed == {"maker", "judge"}


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 1])
def test_layers_that_learn_in_every_second_epoch(first):
    """Frozen and freed between epochs, as fine-tuning does it, while they are in pieces or together."""
    given = {"model": "thaws", "arguments": {"first": first, "optimizer": "sgd", "lr": 0.1}}
    cuts = [*CUT_INTO.values()][:3]
    (alone,) = ran([one({"max_epochs": 4}, **given)])
    *found, half = ran([two(each, {"max_epochs": 4}, **given) for each in (*cuts, {"bf16": True})], ranks=2)

    assert [apart(alone["weights"], each["weights"]) < SAME for each in found] == [True] * 3
    assert apart(alone["weights"], half["weights"]) < 0.02
    assert {each.dtype for each in half["weights"].values()} == {torch.float32}
