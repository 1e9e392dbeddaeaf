"""Training on several ranks: the weights of one process, of a loop by hand, and of a run that was broken off."""

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from fulgurite import LightningModule, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import Callback, ModelCheckpoint
from fulgurite.strategies import DDPStrategy
from fulgurite.testing import QUIET
from fulgurite.tuner import Tuner
from support.ranks import on_ranks


class Net(LightningModule):
    def __init__(self, norm=False, dropout=0.0, by_hand=False):
        super().__init__()
        torch.manual_seed(0)
        norms = [nn.BatchNorm1d(5)] if norm else []
        self.net = nn.Sequential(nn.Linear(3, 5), *norms, nn.Tanh(), nn.Dropout(dropout), nn.Linear(5, 1))
        self.automatic_optimization = not by_hand
        self.losses = []

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        loss = nn.functional.mse_loss(self(batch[0]), batch[1])
        self.losses.append(loss.item())
        self.log("loss", loss, on_epoch=True, sync_dist=True)
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)


def rows(number=24):
    drawn = torch.Generator().manual_seed(1)
    return TensorDataset(torch.randn(number, 3, generator=drawn), torch.randn(number, 1, generator=drawn))


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def trained(model, devices, size, **arguments):
    trainer = Trainer(devices=devices, **{**QUIET, "max_epochs": 2, **arguments})
    trainer.fit(model, DataLoader(rows(), batch_size=size))
    return weights(model)


WAYS = {
    "plain": ({}, {}),
    "accumulated": ({}, {"accumulate_grad_batches": 2}),
    "clipped": ({}, {"gradient_clip_val": 0.1}),
    "by_hand": ({"by_hand": True}, {}),
}


def trained_on_two():
    return {name: trained(Net(**model), 2, 4, **arguments) for name, (model, arguments) in WAYS.items()}


def test_weights_are_those_of_one_process_with_the_whole_batch():
    """Within 1e-6: gradients are summed in another order. Both ranks have the same bits."""
    one, two = on_ranks(trained_on_two)

    for name, (model, arguments) in WAYS.items():
        alone = trained(Net(**model), 1, 8, **arguments)
        for key, value in alone.items():
            assert torch.equal(one[name][key], two[name][key]), (name, key)
            assert torch.allclose(one[name][key], value, rtol=0, atol=1e-6), (name, key)


def loops():
    model, module = Net(), Net()
    trainer = Trainer(devices=2, **{**QUIET, "max_epochs": 2})
    trainer.fit(model, DataLoader(rows(), batch_size=4))

    device = trainer.strategy.root_device
    module.to(device)
    rank = torch.distributed.get_rank()
    wrapped = DistributedDataParallel(module)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    losses = []
    for _ in range(2):
        for start in range(4 * rank, 24, 8):
            x, y = (each.to(device) for each in rows()[start : start + 4])
            loss = nn.functional.mse_loss(wrapped(x), y)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.losses == losses, weights(model), weights(module.cpu())


def test_losses_and_weights_are_those_of_a_loop_by_hand():
    """To the bit."""
    for same, mine, by_hand in on_ranks(loops):
        assert same
        assert all(torch.equal(mine[key], by_hand[key]) for key in mine)


class Breaks(Callback):
    def __init__(self, after):
        self.after = after

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.after:
            raise KeyError("broken off")


def run(folder, breaks=0, ckpt_path=None, devices=2, size=2):
    saves = ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    breaks = [Breaks(breaks)] if breaks else []
    trainer = Trainer(
        devices=devices, callbacks=[saves, *breaks], **{**QUIET, "max_epochs": 2, "enable_checkpointing": True}
    )
    model = Net(dropout=0.5)
    torch.manual_seed(trainer.global_rank)
    loader = DataLoader(rows(), batch_size=size, shuffle=True)
    try:
        trainer.fit(model, loader, ckpt_path=ckpt_path)
    except KeyError:
        return None
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return weights(model), metrics, torch.get_rng_state(), saves.best_model_path


def broken_off(folder):
    whole = run(f"{folder}/whole")
    run(f"{folder}/broken", breaks=5)
    return whole, run(f"{folder}/broken", ckpt_path=f"{folder}/broken/step=4.ckpt")


def test_a_run_of_two_ranks_goes_on_exactly(tmp_path, monkeypatch):
    """In the middle of an epoch: weights, the epoch's mean over both ranks, and the random numbers of each."""
    for whole, resumed in on_ranks(broken_off, tmp_path, environ={"PL_GLOBAL_SEED": "3"}):
        assert all(torch.equal(whole[0][key], resumed[0][key]) for key in whole[0])
        assert whole[1] == resumed[1]
        assert torch.equal(whole[2], resumed[2])
        assert resumed[3].endswith("step=12.ckpt")


def undropped(folder, ckpt_path, devices, size):
    saves = ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    trainer = Trainer(devices=devices, callbacks=[saves], **{**QUIET, "max_epochs": 2, "enable_checkpointing": True})
    model = Net()
    trainer.fit(model, DataLoader(rows(), batch_size=size, shuffle=True), ckpt_path=ckpt_path)
    return weights(model)


def test_another_number_of_ranks_goes_on_in_the_same_order(tmp_path):
    """Two ranks with batches of four go on where one had batches of two, or four ranks; the samples are the same."""
    seed = {"PL_GLOBAL_SEED": "3"}
    whole = on_ranks(undropped, tmp_path / "two", None, 2, 4, environ=seed)[0]
    file = tmp_path / "two" / "step=2.ckpt"
    four = on_ranks(undropped, tmp_path / "four", file, 4, 2, ranks=4, environ=seed)[0]

    assert all(torch.allclose(whole[key], four[key], rtol=0, atol=1e-6) for key in whole)
    loaded = Net.load_from_checkpoint(tmp_path / "two" / "step=6.ckpt", "cpu")
    assert all(torch.equal(whole[key], value) for key, value in loaded.state_dict().items())


class Half(Net):
    """Has parameters that no loss depends on."""

    def __init__(self):
        super().__init__()
        self.rest = nn.Linear(2, 2)


def in_other_settings():
    hook = DDPStrategy(ddp_comm_hook=fp16_compress_hook)
    found = {
        "hook": trained(Net(), 2, 4, strategy=hook),
        "static": trained(Net(), 2, 4, strategy=DDPStrategy(static_graph=True)),
        "unused": trained(Half(), 2, 4, strategy="ddp_find_unused_parameters_true"),
        "bf16": trained(Net(), 2, 4, precision="bf16-mixed"),
        "plain": trained(Net(), 2, 4),
    }
    model = Net()
    trainer = Trainer(devices=2, **{**QUIET, "max_epochs": 1})
    loader = DataLoader(rows(240), batch_size=2)
    rate = Tuner(trainer).lr_find(model, loader, num_training=20, update_attr=False).suggestion()
    synced = Trainer(devices=2, sync_batchnorm=True, **{**QUIET, "max_epochs": 1})
    synced.predict(Net(norm=True), DataLoader(torch.ones(8, 3), batch_size=4), return_predictions=False)
    if trainer.strategy.root_device.type == "cpu":
        return found, rate, refused(Half())[1], refused(Net(norm=True), sync_batchnorm=True)
    return found, rate, refused(Half())[1], trained(Net(norm=True), 2, 4, sync_batchnorm=True)


def refused(model, **more):
    """The error of a training, with its notes and the steps that were made."""
    try:
        trained(model, 2, 4, **more)
    except (RuntimeError, MisconfigurationException) as error:
        return str(error), getattr(error, "__notes__", ()), len(model.losses)


def test_settings_of_ddp_reach_torch_and_searches_agree():
    """Half-precision gradients are near, a static graph is the same; unused parameters have to be announced.

    Batch norms that work over all processes do so on GPUs alone, and learn there what one process learns from the whole
    batch: a CPU can use them, and is told before it trains them.
    """
    one, two = on_ranks(in_other_settings)

    for name, found in one[0].items():
        assert all(torch.equal(found[key], two[0][name][key]) for key in found), name
        near = 1e-6 if name in ("static", "unused") else 0.1
        assert all(torch.allclose(value, found[key], rtol=0, atol=near) for key, value in one[0]["plain"].items()), name
    assert not torch.equal(one[0]["hook"]["net.0.weight"], one[0]["plain"]["net.0.weight"])
    assert one[1] is not None and one[1] == two[1]
    assert any("ddp_find_unused_parameters_true" in note for note in one[2])
    if isinstance(one[3], dict):  # on GPUs, where `test_nccl.py` looks at the numbers
        assert all(torch.equal(value, two[3][key]) for key, value in one[3].items())
        return
    for told, _, steps in (one[3], two[3]):
        assert "sync_batchnorm" in told and "net.1" in told and "cpu" in told and steps == 0, told


class Thaws(Net):
    """Its first layer is frozen until the second epoch, and how many steps there are is asked early."""

    def __init__(self):
        super().__init__()
        self.net[0].requires_grad_(False)
        self.seen = []

    def on_train_epoch_start(self):
        self.net[0].requires_grad_(self.trainer.current_epoch > 0)

    def on_train_batch_start(self, batch, batch_idx):
        self.seen.append(batch[1].flatten().tolist())

    def configure_optimizers(self):
        self.steps = self.trainer.estimated_stepping_batches
        return super().configure_optimizers()


def without_a_seed(folder):
    model, again = Thaws(), Thaws()
    saves = ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    trainer = Trainer(devices=2, callbacks=[saves], **{**QUIET, "max_epochs": 1, "enable_checkpointing": True})
    trainer.fit(model, DataLoader(rows(), batch_size=4, shuffle=True))
    trainer = Trainer(devices=2, **{**QUIET, "max_epochs": 1})
    trainer.fit(again, DataLoader(rows(), batch_size=4, shuffle=True), ckpt_path=f"{folder}/step=2.ckpt")
    return trained(Thaws(), 2, 4), trained(Thaws(), 2, 4, accumulate_grad_batches=2), model.seen[2:], again.seen


def test_layers_set_free_later_and_an_order_nobody_gave_a_seed_for(tmp_path):
    """Gradients of such layers are exchanged as well; a run without a seed goes on with the same rows."""
    one, two = on_ranks(without_a_seed, tmp_path)

    for at, accumulates in enumerate((1, 2)):
        alone = trained(Thaws(), 1, 8, accumulate_grad_batches=accumulates)
        for key, value in alone.items():
            assert torch.equal(one[at][key], two[at][key]), key
            assert torch.allclose(one[at][key], value, rtol=0, atol=1e-6), key
    assert one[2] == one[3] != two[2] == two[3]


class Watches(Net):
    """Each rank logs something else, and a scheduler watches it."""

    def on_train_epoch_end(self):
        worse = self.trainer.global_rank == 1
        self.log("own", float(self.trainer.current_epoch) if worse else -float(self.trainer.current_epoch))

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "own"}}


def trained_on_a_plateau():
    model = Watches()
    trainer = Trainer(devices=2, **{**QUIET, "max_epochs": 3})
    trainer.fit(model, DataLoader(rows(), batch_size=4))
    return weights(model), trainer.optimizers[0].param_groups[0]["lr"]


def test_a_rate_that_follows_a_metric_is_the_same_on_all_ranks():
    """Rank 0's metric, as everywhere where ranks keep their values to themselves; it gets better."""
    one, two = on_ranks(trained_on_a_plateau)

    assert one[1] == two[1] == 0.05
    assert all(torch.equal(one[0][key], two[0][key]) for key in one[0])
