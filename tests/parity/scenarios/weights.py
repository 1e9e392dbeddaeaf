"""Callbacks that change weights: what is logged and validated, what each file holds, and the weights that remain."""

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.utils import prune

from parity.scenarios.kit import Bench, Scenarios, batches, plain

SCENARIOS = Scenarios()


def layered(bench: Bench, norm: bool = False, momentum: float = 0.5) -> type:
    """Return a module class with a backbone, with batch norm or without, and a head; it logs both its losses."""

    class Layered(bench.Tiny):
        def __init__(self):
            super().__init__()
            del self.net
            torch.manual_seed(3)
            norms = [nn.BatchNorm1d(3)] if norm else []
            self.backbone = nn.Sequential(nn.Linear(3, 3), *norms, nn.Tanh())
            self.head = nn.Linear(3, 1)
            self.rates: list[list[float]] = []

        def forward(self, x):
            return self.head(self.backbone(x)).squeeze(-1)

        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("loss", loss)
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.loss(batch))

        def on_train_epoch_start(self):
            self.rates.append([group["lr"] for group in self.trainer.optimizers[0].param_groups])

        def configure_optimizers(self):
            trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
            return torch.optim.SGD(trained, lr=0.1, momentum=momentum)

    return Layered


def contents(file: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return what a checkpoint holds under ``keys``, tensors as lists, and the names of all keys."""
    found = torch.load(file, weights_only=False)
    kept = {key: dict(sorted(plain(found[key]).items())) for key in keys if key in found}
    return {"keys": sorted(found), **kept}


def changed(
    pl, folder, *, callback, keys=("state_dict",), norm=False, configure=None, val=True, train=3, **options
) -> dict[str, Any]:
    """Fit with ``callback(pl, module)``; return rows, rates, what each epoch's file holds, state, and end weights."""
    bench = Bench(pl, folder)
    kind = layered(bench, norm)
    if configure is not None:
        kind = type("Configured", (kind,), {"configure_optimizers": configure})
    module = kind()
    made = callback(pl, module)
    files = pl.callbacks.ModelCheckpoint(
        dirpath=folder / "kept", filename="{epoch}", auto_insert_metric_name=False, save_top_k=-1
    )
    trainer = bench.trainer(**{"max_epochs": 4, "callbacks": [made, files], "enable_checkpointing": True, **options})
    trainer.fit(module, batches(train), batches(2, seed=1) if val else None)
    return {
        "rows": bench.logger.rows,
        "rates": module.rates,
        "files": {path.name: contents(path, keys) for path in sorted((folder / "kept").iterdir())},
        "key": made.state_key,
        "weights": dict(sorted(plain(module.state_dict()).items())),
        "trains": {name: parameter.requires_grad for name, parameter in sorted(module.named_parameters())},
        "end": [trainer.current_epoch, trainer.global_step],
    }


_averaging = partial(changed, keys=("state_dict", "current_model_state", "averaging_state", "callbacks"))


def _of_the_callback(pl, folder, *, name, **options) -> dict[str, Any]:
    """As `_averaging`, and of all callbacks' states only that of the one under test, without ModelCheckpoint's."""
    record = _averaging(pl, folder, **options)
    for file in record["files"].values():
        file["callbacks"] = {key: state for key, state in file["callbacks"].items() if key.startswith(name)}
    return record


def ema(**arguments: Any):
    return lambda pl, module: pl.callbacks.EMAWeightAveraging(**arguments)


def equal(**arguments: Any):
    return lambda pl, module: pl.callbacks.WeightAveraging(**arguments)


for _name, _options in {
    "equal": {"callback": equal()},
    "equal_norm": {"callback": equal(), "norm": True},
    "equal_without_buffers": {"callback": equal(use_buffers=False), "norm": True},
    "own_function": {"callback": equal(avg_fn=lambda old, new, count: 0.5 * (old + new))},
    "ema": {"callback": ema(decay=0.8), "norm": True},
    "ema_every_2": {"callback": ema(decay=0.8, update_every_n_steps=2)},
    "ema_epochs_only": {"callback": ema(decay=0.8, update_every_n_steps=0, update_starting_at_epoch=0)},
    "ema_steps_and_epochs": {"callback": ema(decay=0.8, update_every_n_steps=3, update_starting_at_epoch=1)},
    "ema_accumulating": {"callback": ema(decay=0.8), "accumulate_grad_batches": 2},
    "ema_mid_epoch": {"callback": ema(decay=0.8), "val_check_interval": 1},
    "ema_without_validation": {"callback": ema(decay=0.8), "val": False},
}.items():
    _named = "WeightAveraging" if _name.startswith(("equal", "own")) else "EMAWeightAveraging"
    SCENARIOS[f"averaging_{_name}"] = partial(_of_the_callback, name=_named, **_options)


@SCENARIOS
def averaging_decides(pl, folder):
    """Which steps and epochs EMAWeightAveraging takes, for each set of arguments."""
    decided = {}
    for arguments in (
        {},
        {"update_every_n_steps": 2},
        {"update_every_n_steps": 0},
        {"update_starting_at_step": 3},
        {"update_starting_at_epoch": 1},
        {"update_every_n_steps": 3, "update_starting_at_step": 4, "update_starting_at_epoch": 2},
    ):
        made = pl.callbacks.EMAWeightAveraging(**arguments)
        steps = [made.should_update(step_idx=step) for step in range(9)]
        epochs = [made.should_update(epoch_idx=epoch) for epoch in range(4)]
        decided[str(arguments)] = {"steps": steps, "epochs": epochs, "neither": made.should_update()}
    return decided


def mean_of_epochs(*rates: Any, **arguments: Any):
    return lambda pl, module: pl.callbacks.StochasticWeightAveraging(*rates, **arguments)


def _sgd(module, **options):
    return torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.5, **options)


def _halving(module):
    optimizer = _sgd(module)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "name": "mine"}}


def _by_step(module):
    optimizer = _sgd(module)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _two_groups(module):
    groups = [{"params": module.backbone.parameters(), "lr": 0.2}, {"params": module.head.parameters()}]
    return torch.optim.SGD(groups, lr=0.1)


def stochastic(pl, folder, *, swa, **options) -> dict[str, Any]:
    """As `changed`, and what each file remembers of the averaging, the form of the scheduler's state aside."""
    record = changed(pl, folder, callback=mean_of_epochs(**swa), **{"max_epochs": 6, **options})
    for name in record["files"]:
        found = torch.load(folder / "kept" / name, weights_only=False)
        state = found["callbacks"]["StochasticWeightAveraging"]
        record["files"][name]["averaging"] = {
            "n_averaged": int(state["n_averaged"]),
            "latest_update_epoch": int(state["latest_update_epoch"]),
            "scheduler": state["scheduler_state"] is not None,
            # Before the first update Lightning keeps what the model began with, and its buffers ever after.
            "average": _weights_in(state["average_model_state"]) if state["n_averaged"] else None,
        }
        record["files"][name]["schedulers"] = [plain(each["_last_lr"]) for each in found["lr_schedulers"]]
    return record


def _weights_in(state: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in sorted(state.items()) if name.endswith(("weight", "bias"))}


for _name, _options in {
    "cos": {"swa": {"swa_lrs": 0.01, "swa_epoch_start": 3, "annealing_epochs": 2}},
    "linear": {"swa": {"swa_lrs": 0.01, "swa_epoch_start": 3, "annealing_epochs": 2, "annealing_strategy": "linear"}},
    "long": {"swa": {"swa_lrs": 0.02}, "max_epochs": 10},
    "share": {"swa": {"swa_lrs": 0.02, "swa_epoch_start": 0.5, "annealing_epochs": 1}},
    "at_once": {"swa": {"swa_lrs": 0.02, "swa_epoch_start": 1, "annealing_epochs": 0}},
    "scheduled": {"swa": {"swa_lrs": 0.02, "swa_epoch_start": 4, "annealing_epochs": 2}, "configure": _halving},
    "scheduled_by_step": {
        "swa": {"swa_lrs": 0.02, "swa_epoch_start": 4, "annealing_epochs": 2},
        "configure": _by_step,
    },
    "groups": {"swa": {"swa_lrs": [0.01, 0.05], "swa_epoch_start": 3}, "configure": _two_groups},
    "own_function": {
        "swa": {"swa_lrs": 0.02, "swa_epoch_start": 3, "avg_fn": lambda mean, weight, count: 0.5 * (mean + weight)}
    },
    "norm": {"swa": {"swa_lrs": 0.02, "swa_epoch_start": 3, "annealing_epochs": 2}, "norm": True},
}.items():
    SCENARIOS[f"stochastic_{_name}"] = partial(stochastic, **_options)


def backbone(**arguments: Any):
    return lambda pl, module: pl.callbacks.BackboneFinetuning(**arguments)


def _all_at_once(module):
    return torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.5)


def _decaying(module):
    optimizer = torch.optim.SGD([each for each in module.parameters() if each.requires_grad], lr=0.1)
    return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]


def gradual(**options: Any):
    """A finetuning that thaws the backbone's first layer in epoch 1 and the rest in epoch 2."""

    def make(pl, module):
        class Gradual(pl.callbacks.BaseFinetuning):
            def freeze_before_training(self, pl_module):
                self.freeze(pl_module.backbone, train_bn=options.get("train_bn", True))

            def finetune_function(self, pl_module, epoch, optimizer):
                if epoch == 1:
                    self.unfreeze_and_add_param_group(pl_module.backbone[0], optimizer, **options)
                if epoch == 2:
                    self.unfreeze_and_add_param_group([pl_module.backbone[1:]], optimizer, lr=0.3)

        return Gradual()

    return make


def finetuned(pl, folder, *, callback, **options) -> dict[str, Any]:
    """As `changed`, and the groups that each file remembers, with the rates that they began with."""
    record = changed(pl, folder, callback=callback, **{"max_epochs": 5, **options})
    for name in record["files"]:
        found = torch.load(folder / "kept" / name, weights_only=False)
        state = next(state for key, state in found["callbacks"].items() if "internal_optimizer_metadata" in state)
        groups = state["internal_optimizer_metadata"]
        record["files"][name]["groups"] = {
            str(index): [each["params"] for each in stored] for index, stored in groups.items()
        }
        record["files"][name]["previous_backbone_lr"] = state.get("previous_backbone_lr")
        record["files"][name]["optimizer"] = [
            [group["lr"], group["params"]] for group in found["optimizer_states"][0]["param_groups"]
        ]
    return record


for _name, _options in {
    "backbone": {"callback": backbone(unfreeze_backbone_at_epoch=1)},
    "backbone_norm": {"callback": backbone(unfreeze_backbone_at_epoch=1), "norm": True},
    "backbone_norm_left_out": {"callback": backbone(unfreeze_backbone_at_epoch=1, train_bn=False), "norm": True},
    "backbone_own_rate": {
        "callback": backbone(unfreeze_backbone_at_epoch=1, backbone_initial_lr=0.03, lambda_func=lambda epoch: 1.5)
    },
    "backbone_not_aligned": {"callback": backbone(unfreeze_backbone_at_epoch=0, should_align=False)},
    "backbone_ratio": {"callback": backbone(unfreeze_backbone_at_epoch=2, backbone_initial_ratio_lr=0.5)},
    "backbone_scheduled": {"callback": backbone(unfreeze_backbone_at_epoch=1), "configure": _decaying},
    "backbone_in_the_group": {"callback": backbone(unfreeze_backbone_at_epoch=1), "configure": _all_at_once},
    "gradual": {"callback": gradual(), "norm": True},
    "gradual_without_norms": {"callback": gradual(train_bn=False, initial_denom_lr=4), "norm": True},
}.items():
    SCENARIOS[f"finetuning_{_name}"] = partial(finetuned, **_options)


@SCENARIOS
def finetuning_tools(pl, folder):
    """What the static methods take, leave, freeze and thaw."""
    tools = pl.callbacks.BaseFinetuning

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.inner = nn.Parameter(torch.ones(1)), nn.Linear(1, 1)

    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ModuleDict({"a": Own(), "b": nn.ReLU()}))

    def seen() -> dict[str, Any]:
        return {
            "trained": [name for name, parameter in model.named_parameters() if parameter.requires_grad],
            "tracks": model[1].track_running_stats,
        }

    def kinds(modules) -> list[str]:
        return [type(module).__name__ for module in tools.flatten_modules(modules)]

    record: dict[str, Any] = {"flat": [kinds(model), kinds([model[0], [model[2]]]), kinds(model[2])]}
    for train_bn in (True, False):
        tools.freeze(model, train_bn=train_bn)
        record[f"frozen, train_bn={train_bn}"] = seen()
    tools.make_trainable([model[0], [model[1]]])
    record["thawed"] = seen()
    tools.freeze_module(model)
    tools.freeze_module(model[1])
    record["one frozen"] = seen()
    shapes = {}
    for train_bn in (True, False):
        for trained in (True, False):
            found = tools.filter_params(model, train_bn=train_bn, requires_grad=trained)
            shapes[f"{train_bn} {trained}"] = [list(parameter.shape) for parameter in found]
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.5)
    left = [list(parameter.shape) for parameter in tools.filter_on_optimizer(optimizer, model.parameters())]
    tools.unfreeze_and_add_param_group(model, optimizer, train_bn=False)
    tools.unfreeze_and_add_param_group(model, optimizer, lr=0.2)
    tools.unfreeze_and_add_param_group(model, optimizer, lr=0.3)
    groups = [[group["lr"], [list(each.shape) for each in group["params"]]] for group in optimizer.param_groups]
    return {**record, "shapes": shapes, "left": left, "groups": groups, "in the end": seen()}


@SCENARIOS
def finetuning_rates(pl, folder):
    """LearningRateMonitor names the groups anew when one is added."""
    bench = Bench(pl, folder)
    monitor = pl.callbacks.LearningRateMonitor("epoch")
    trainer = bench.trainer(max_epochs=4, callbacks=[pl.callbacks.BackboneFinetuning(2), monitor])
    trainer.fit(layered(bench)(), batches(3))
    return {"rows": bench.logger.rows, "lrs": monitor.lrs}


def pruned(fn: Any = "l1_unstructured", *, of: Any = None, **arguments: Any):
    def make(pl, module):
        chosen = {} if of is None else {"parameters_to_prune": of(module)}
        return pl.callbacks.ModelPruning(fn, **chosen, **arguments)

    return make


class Alternating(prune.BasePruningMethod):
    """Hides every second of what it sees."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t, default_mask):
        mask = default_mask.clone()
        mask.view(-1)[::2] = 0
        return mask


def _once(epoch: int) -> bool:
    return epoch == 1


_plain = {"use_lottery_ticket_hypothesis": False}
for _name, _options in {
    "everywhere": {"callback": pruned(amount=0.2, **_plain)},
    "everywhere_norm": {"callback": pruned(amount=0.2, **_plain), "norm": True},
    "by_number": {"callback": pruned(amount=2, **_plain)},
    "by_epoch": {
        "callback": pruned(amount=lambda epoch: 0.1 * epoch, apply_pruning=lambda epoch: epoch != 2, **_plain)
    },
    "each": {"callback": pruned(amount=0.3, use_global_unstructured=False, **_plain)},
    "slices": {
        "callback": pruned(
            "ln_structured",
            amount=0.4,
            use_global_unstructured=False,
            pruning_dim=0,
            pruning_norm=2,
            parameter_names=["weight"],
            **_plain,
        )
    },
    "weights_only": {"callback": pruned(amount=0.3, parameter_names=["weight"], **_plain)},
    "pairs": {"callback": pruned(amount=0.5, of=lambda module: [(module.head, "weight")], **_plain)},
    "own_method": {"callback": pruned(Alternating, **_plain)},
    "torchs_class": {"callback": pruned(prune.L1Unstructured, amount=0.3, **_plain)},
    "after_validation": {"callback": pruned(amount=0.2, prune_on_train_epoch_end=False, **_plain)},
    "not_permanent": {"callback": pruned(amount=0.2, make_pruning_permanent=False, **_plain)},
    "lottery_ticket": {"callback": pruned(amount=0.4, apply_pruning=_once)},
    "lottery_ticket_by_epoch": {"callback": pruned(amount=0.2, use_lottery_ticket_hypothesis=_once)},
    "lottery_ticket_drawn": {"callback": pruned(amount=0.2, resample_parameters=True)},
    "random": {"callback": pruned("random_unstructured", amount=0.2, **_plain)},
    "random_slices": {
        "callback": pruned(
            "random_structured",
            amount=1,
            parameter_names=["weight"],
            use_global_unstructured=False,
            pruning_dim=0,
            apply_pruning=_once,
            **_plain,
        )
    },
}.items():
    SCENARIOS[f"pruning_{_name}"] = partial(changed, **_options)


@SCENARIOS
def pruning_refused(pl, folder):
    """Which arguments are refused, and when."""
    bench = Bench(pl, folder)
    model = layered(bench)()
    outcomes = {}
    for arguments in (
        {"pruning_fn": "l2"},
        {"pruning_fn": "L1_Unstructured"},
        {"pruning_fn": "ln_structured"},
        {"pruning_fn": "ln_structured", "pruning_dim": 0},
        {"pruning_fn": "random_structured", "pruning_dim": 0},
        {"pruning_fn": prune.L1Unstructured, "use_global_unstructured": False},
        {"pruning_fn": prune.LnStructured},
        {"pruning_fn": prune.l1_unstructured},
        {"pruning_fn": "l1_unstructured", "amount": "half"},
        {"pruning_fn": "l1_unstructured", "verbose": 3},
        {"pruning_fn": "l1_unstructured", "parameter_names": ["scale"]},
        {"pruning_fn": "l1_unstructured", "parameters_to_prune": 3},
        {"pruning_fn": "l1_unstructured", "parameters_to_prune": [(nn.Linear(1, 1), "weight")]},
        {"pruning_fn": "l1_unstructured", "parameters_to_prune": [(model.head, "scale")]},
    ):
        title = ", ".join(f"{name}={getattr(value, '__name__', value)}" for name, value in arguments.items())
        try:
            callback = pl.callbacks.ModelPruning(**arguments)
        except Exception as error:
            outcomes[title] = f"{type(error).__name__} at once"
            continue
        try:
            bench.trainer(callbacks=[callback]).fit(model, batches(1))
        except Exception as error:
            outcomes[title] = f"{type(error).__name__} in fit"
        else:
            outcomes[title] = "accepted"
    return outcomes
