"""DeepSpeed's engine over two ranks: weights, memory of the optimizer and checkpoints are those of one process.

Weights are compared with a tolerance of 2e-6: sums over ranks are taken in another order than sums over a batch.
"""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fulgurite import Callback, Trainer, seed_everything
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import GradientAccumulationScheduler, ModelCheckpoint
from fulgurite.strategies import DeepSpeedStrategy
from support.ranks import on_ranks
from support.sharded import QUIET, ByHand, Words, words

pytest.importorskip("deepspeed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "strategies" / "deepspeed_strategy.py"
SAME = 2e-6
COUNT = 40
"""Five batches of eight, so that the last of three accumulation windows of an epoch is short."""
ACCUMULATES = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.3}


class Scheduled(Words):
    """Two groups of parameters, in one of which something is frozen, and a scheduler that steps with the batches."""

    def configure_optimizers(self):
        self.blocks[0].norm.weight.requires_grad_(False)
        rest = [*self.embed.parameters(), *self.head.parameters()]
        optimizer = torch.optim.AdamW([{"params": self.blocks.parameters(), "weight_decay": 0.1}, {"params": rest}])
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.8)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class Skips(Words):
    """No loss for the first two batches, a whole window, nor for the third, the first one of the next."""

    def training_step(self, batch, batch_idx):
        return None if batch_idx in (0, 1, 2) else self.loss(batch)


def run(strategy, model=Words, size=8, fits=1, seed=1, callbacks=(), arguments=None, ckpt_path=None, save=None, **more):
    """Train, then validate over loaders of which a rank has fewer batches than the other."""
    seed_everything(1)
    more = {**QUIET, "max_epochs": 2, **more}
    if any(isinstance(each, ModelCheckpoint) for each in callbacks):
        more.pop("enable_checkpointing")
    module = None
    for _ in range(fits):
        trainer = Trainer(strategy=strategy, callbacks=list(callbacks), **more)
        if module is None:
            seed_everything(seed + trainer.global_rank * (seed != 1))
            module = model(**(arguments or {}))
        trainer.fit(module, words(COUNT, size), words(5, size), ckpt_path=ckpt_path)
    logged = trainer.callback_metrics["val_loss"].item()
    if save:
        trainer.save_checkpoint(save)
    evaluated = trainer.validate(module, words(5, size), verbose=False)[0]["val_loss"]
    weights = {name: each.detach().clone() for name, each in module.state_dict().items()}
    return {"weights": weights, "step": trainer.global_step, "logged": logged, "evaluated": evaluated}


def everything(place):
    """All that two ranks do, in one start of them."""

    def two(strategy="deepspeed", **more):
        return run(strategy, size=4, devices=2, **more)

    def kept(name):
        return [ModelCheckpoint(f"{place}/{name}", "{epoch}", save_top_k=-1)]

    path = f"{place}/config.json"
    with open(path, "w") as file:
        json.dump({"zero_optimization": {"stage": 1}, "gradient_clipping": 0.3}, file)
    windows = {0: 1, 1: 3}
    done = {
        "plain": two("deepspeed_stage_1"),
        "stage 2": two("deepspeed_stage_2", seed=7),
        "offloaded": two("deepspeed_stage_2_offload"),
        "offloaded sums": two("deepspeed_stage_2_offload", **ACCUMULATES),
        "skips": two("deepspeed_stage_2", model=Skips, **ACCUMULATES),
        "accumulated": two("deepspeed_stage_2", callbacks=kept("two"), **ACCUMULATES, save=f"{place}/end.ckpt"),
        "by file": two(DeepSpeedStrategy(config=path), accumulate_grad_batches=2),
        "windows": two("deepspeed_stage_1", callbacks=[GradientAccumulationScheduler(windows)]),
        "sgd": two("deepspeed_stage_2", arguments={"optimizer": "sgd"}, callbacks=kept("sgd")),
        "scheduled": two("deepspeed_stage_2", model=Scheduled, callbacks=kept("scheduled")),
        "mixed": two("deepspeed_stage_2", precision="bf16-mixed", arguments={"optimizer": "sgd"}),
        "half": two("deepspeed_stage_2", precision="bf16-true", callbacks=kept("half")),
        "twice": two("deepspeed_stage_2", fits=2),
    }
    for name, more in {
        "accumulated": ACCUMULATES,
        "sgd": {"arguments": {"optimizer": "sgd"}},
        "scheduled": {"model": Scheduled},
        "half": {"precision": "bf16-true"},
    }.items():
        folder = "two" if name == "accumulated" else name
        done[f"{name} resumed"] = two("deepspeed_stage_2", **more, ckpt_path=f"{place}/{folder}/epoch=0.ckpt")
    done["in other parts"] = two("deepspeed_stage_1", **ACCUMULATES, ckpt_path=f"{place}/two/epoch=0.ckpt")
    packed = io.BytesIO()
    torch.save(done, packed)
    return packed.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def both(place):
    """What came of it on either rank."""
    return [torch.load(io.BytesIO(each), weights_only=False) for each in on_ranks(everything, str(place), patience=150)]


@pytest.fixture(scope="module")
def pair(both):
    return both[0]


@pytest.fixture(scope="module")
def alone():
    windows = [GradientAccumulationScheduler({0: 1, 1: 3})]
    plain, accumulated = run("auto", devices=1), run("auto", devices=1, **ACCUMULATES)
    return {
        "plain": plain,
        "stage 2": run("auto", devices=1, seed=7),
        "offloaded": plain,
        "accumulated": accumulated,
        "offloaded sums": accumulated,
        "skips": run("auto", devices=1, model=Skips, **ACCUMULATES),
        "windows": run("auto", devices=1, callbacks=windows),
        "sgd": run("auto", devices=1, arguments={"optimizer": "sgd"}),
        "scheduled": run("auto", devices=1, model=Scheduled),
        "twice": run("auto", devices=1, fits=2),
        "mixed": run("auto", devices=1, precision="bf16-mixed", arguments={"optimizer": "sgd"}),
    }


def apart(one, other):
    assert one["weights"].keys() == other["weights"].keys()
    pairs = [(value.float(), other["weights"][name].float()) for name, value in one["weights"].items()]
    return max((mine - its).abs().max().item() for mine, its in pairs)


@pytest.mark.parametrize(
    "name", ["plain", "stage 2", "offloaded", "offloaded sums", "accumulated", "windows", "skips", "sgd", "scheduled"]
)
def test_two_ranks_learn_what_one_process_does(alone, pair, name):
    """Each has half of every batch, and half of the optimizer's memory; for `stage 2` also other first weights."""
    assert apart(alone[name], pair[name]) < SAME
    assert pair[name]["step"] == alone[name]["step"]


def test_all_ranks_have_the_same_weights(both):
    for name in both[0]:
        assert apart(both[0][name], both[1][name]) == 0


def test_a_file_of_settings_wins(alone, pair):
    """It holds the clipping as well, which the Trainer was not told."""
    assert apart(alone["accumulated"], pair["by file"]) < SAME


def test_autocast_is_that_of_one_process(alone, pair):
    """Two halves of a batch are not rounded as the whole is; that is less than what autocast changes."""
    assert {each.dtype for each in pair["mixed"]["weights"].values()} == {torch.float32}
    changed = apart(alone["sgd"], alone["mixed"])
    assert apart(alone["mixed"], pair["mixed"]) < changed < 0.01


def test_weights_in_half_of_the_bytes_learn_about_the_same(alone, pair):
    assert {each.dtype for each in pair["half"]["weights"].values()} == {torch.bfloat16}
    assert 0 < apart(alone["plain"], pair["half"]) < 0.2


@pytest.mark.parametrize("name", ["plain", "stage 2", "accumulated"])
def test_each_sample_counts_once_where_a_rank_has_fewer(alone, pair, name):
    for key in ("logged", "evaluated"):
        assert pair[name][key] == pytest.approx(alone[name][key], abs=1e-5)


def test_a_model_is_trained_by_one_trainer_after_another(alone, pair):
    """The engine of the first is in nobody's way."""
    assert apart(alone["twice"], pair["twice"]) < SAME


@pytest.mark.parametrize("name", ["accumulated", "sgd", "scheduled", "half"])
def test_a_run_goes_on_from_the_end_of_an_epoch_to_the_bit(pair, name):
    assert apart(pair[name], pair[f"{name} resumed"]) == 0
    assert pair[f"{name} resumed"]["step"] == pair[name]["step"]


def test_another_stage_goes_on_from_it(pair):
    assert apart(pair["accumulated"], pair["in other parts"]) < SAME


@pytest.mark.parametrize(
    ("file", "more"),
    [("two", ACCUMULATES), ("sgd", {"arguments": {"optimizer": "sgd"}}), ("scheduled", {"model": Scheduled})],
)
def test_one_process_goes_on_from_what_two_wrote(alone, pair, place, file, more):
    name = "accumulated" if file == "two" else file

    again = run("auto", devices=1, ckpt_path=f"{place}/{file}/epoch=0.ckpt", **more)

    assert apart(alone[name], again) < SAME


def test_the_file_holds_what_one_process_writes(pair, place):
    """Weights in float32 also where the run computed in half of the bytes; also after the end of the run."""
    for file in ("two/epoch=1.ckpt", "end.ckpt", "half/epoch=1.ckpt"):
        found = torch.load(place / file, weights_only=True)
        assert {each.dtype for each in found["state_dict"].values()} == {torch.float32}
        memory = found["optimizer_states"][0]
        assert [each["exp_avg"].shape for each in memory["state"].values()] == [
            each.shape for each in found["state_dict"].values()
        ]
        assert {int(each["step"]) for each in memory["state"].values()} == {found["global_step"]}
    module = Words.load_from_checkpoint(place / "end.ckpt")
    assert apart({"weights": module.state_dict()}, pair["accumulated"]) == 0


def test_two_ranks_go_on_from_what_one_process_wrote(alone, tmp_path):
    keeps = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    run("auto", devices=1, callbacks=[keeps], **ACCUMULATES)

    (weights, _) = on_ranks(_resumed, str(tmp_path / "epoch=0.ckpt"))

    found = {name: torch.tensor(value) for name, value in weights.items()}
    assert apart(alone["accumulated"], {"weights": found}) < SAME


def _resumed(path):
    found = run("deepspeed", size=4, devices=2, ckpt_path=path, **ACCUMULATES)["weights"]
    return {name: value.tolist() for name, value in found.items()}


class Backward(Words):
    def backward(self, loss):
        loss.backward()


class SecondOrder(Words):
    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters())


class ClipsOtherwise(Words):
    def configure_gradient_clipping(self, optimizer, gradient_clip_val, gradient_clip_algorithm):
        self.clip_gradients(optimizer, 0.5, "norm")


@pytest.mark.parametrize(
    ("model", "more", "config", "says"),
    [
        (ByHand, {}, None, "optimizes by hand"),
        (Backward, {}, None, "overrides `backward`"),
        (SecondOrder, {}, None, "one optimizer, not LBFGS; `configure_optimizers` returned LBFGS"),
        (ClipsOtherwise, {}, None, "called with 0.5, and DeepSpeed"),
        (Words, {"gradient_clip_val": 1, "gradient_clip_algorithm": "value"}, None, "by norm only"),
        (Words, {"exact_accumulation": True}, None, "exact_accumulation"),
        (Words, {"gradient_clip_val": 1}, {"gradient_clipping": 2}, "gradient_clipping=2, and the Trainer 1"),
        (Words, {}, {"gradient_accumulation_steps": 4}, "gradient_accumulation_steps=4, and the Trainer 1"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(model, more, config, says):
    trainer = Trainer(**{**QUIET, "max_epochs": 1, "strategy": DeepSpeedStrategy(config=config), "devices": 1, **more})

    with pytest.raises(MisconfigurationException, match=says):
        trainer.fit(model(), words(8, 8), words(8, 8))


@pytest.mark.parametrize("precision", ["16-true", "64-true"])
def test_other_precisions_are_refused_at_once(precision):
    with pytest.raises(MisconfigurationException, match=f"precision='{precision}' .* '32-true', 'bf16-mixed'"):
        Trainer(**QUIET, precision=precision, strategy="deepspeed")


def test_one_device_trains_by_the_engine_too(alone):
    found = run("deepspeed_stage_1", devices=1)

    assert apart(alone["plain"], found) < SAME


class SkipsLast(Words):
    def training_step(self, batch, batch_idx):
        return None if batch_idx == 3 else self.loss(batch)


def test_a_window_whose_last_batch_has_no_loss_is_an_error():
    with pytest.raises(MisconfigurationException, match="returned None for the last batch of an accumulation window"):
        run("deepspeed", devices=1, model=SkipsLast, **ACCUMULATES)


def test_a_checkpoint_inside_of_an_accumulation_window_says_what_it_lacks(tmp_path):
    keeps = SaveAt(2, str(tmp_path / "middle.ckpt"))

    with pytest.warns(UserWarning, match="inside of an accumulation window"):
        run("deepspeed", devices=1, callbacks=[keeps], **ACCUMULATES)


class SaveAt(Callback):
    """Saves after so many batches."""

    def __init__(self, batches, path):
        self.batches, self.path = batches, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 0 and batch_idx == self.batches:
            trainer.save_checkpoint(self.path)


def test_the_example_of_its_page_runs(tmp_path):
    command = [sys.executable, str(EXAMPLE)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stderr[-3000:]
    assert "here lie 194 of 385 averages of AdamW" in done.stdout
