"""Freezes parts of a model before training and thaws them on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn import Module, Parameter
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.callbacks.weights import named_weights
from fulgurite.core.callback import Callback
from fulgurite.runtime.optim import NoOptimizer

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer

Modules = Module | Iterable[Any]
"""A module, or modules in lists and lists of lists."""


def multiplicative(epoch: int) -> float:
    """Two: the rate doubles from epoch to epoch."""
    return 2.0


class BaseFinetuning(Callback):
    """Subclass this to say what is frozen at first, and what is thawed when.

    ``freeze_before_training(pl_module)`` runs before ``configure_optimizers``, which should leave out what is frozen:
    ``SGD([p for p in self.parameters() if p.requires_grad], ...)``. ``finetune_function(pl_module, epoch, optimizer)``
    runs at the start of each training epoch, for each optimizer, and adds what it thaws to it. The static methods do
    both: `freeze`, `unfreeze_and_add_param_group`.

    A resumed run finds its parameter groups, and what was frozen, as they were. So does a second ``fit`` of the same
    trainer, which goes on counting epochs.
    """

    def __init__(self) -> None:
        self._groups: dict[int, list[dict[str, Any]]] = {}
        self._frozen: list[str] | None = None
        self._untracked: list[str] = []
        self._was_loaded = False

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        """Freeze what shall not be trained at first."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `freeze_before_training(self, pl_module)`: define it, and freeze there what "
            "is not trained at first, by `self.freeze(pl_module.backbone)` say."
        )

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Thaw what is trained from ``epoch`` on, and add it to ``optimizer``."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `finetune_function(self, pl_module, epoch, optimizer)`: define it, and thaw "
            "there, by `self.unfreeze_and_add_param_group(pl_module.backbone, optimizer)` say."
        )

    # What subclasses do it with

    @staticmethod
    def flatten_modules(modules: Modules) -> list[Module]:
        """All modules inside that have no children, or parameters of their own beside them."""
        if not isinstance(modules, Module):
            return [module for part in modules for module in BaseFinetuning.flatten_modules(part)]
        return [
            module
            for module in modules.modules()
            if not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))
        ]

    @staticmethod
    def filter_params(modules: Modules, train_bn: bool = True, requires_grad: bool = True) -> Iterator[Parameter]:
        """The parameters that are trained or, without ``requires_grad``, frozen; ``train_bn`` takes batch norms in."""
        for module in BaseFinetuning.flatten_modules(modules):
            if train_bn or not isinstance(module, _BatchNorm):
                for parameter in module.parameters(recurse=False):
                    if parameter.requires_grad == requires_grad:
                        yield parameter

    @staticmethod
    def make_trainable(modules: Modules) -> None:
        """Thaw the modules, statistics of batch norms included."""
        for module in BaseFinetuning.flatten_modules(modules):
            _train(module, True)

    @staticmethod
    def freeze_module(module: Module) -> None:
        """Freeze the module's own parameters, not its children's; a batch norm keeps its statistics."""
        _train(module, False)

    @staticmethod
    def freeze(modules: Modules, train_bn: bool = True) -> None:
        """Freeze the modules; batch norms are trained on, unless ``train_bn`` is False."""
        for module in BaseFinetuning.flatten_modules(modules):
            _train(module, train_bn and isinstance(module, _BatchNorm))

    @staticmethod
    def filter_on_optimizer(optimizer: Optimizer, params: Iterable[Parameter]) -> list[Parameter]:
        """Those that the optimizer does not have. Warns of the others."""
        params, taken = list(params), {id(each) for group in optimizer.param_groups for each in group["params"]}
        new = [parameter for parameter in params if id(parameter) not in taken]
        if len(new) < len(params):
            rank_zero_warn(
                f"{len(params) - len(new)} of the parameters to be thawed are in the optimizer already and stay in "
                "their group. To give them one of their own, leave out of `configure_optimizers` what is frozen: "
                f"`{type(optimizer).__name__}([p for p in self.parameters() if p.requires_grad], ...)`."
            )
        return new

    @staticmethod
    def unfreeze_and_add_param_group(
        modules: Modules,
        optimizer: Optimizer,
        lr: float | None = None,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
    ) -> None:
        """Thaw the modules and train them as a new group of the optimizer, at ``lr``.

        Without ``lr`` it is the rate of the first group, divided by ``initial_denom_lr``. With ``train_bn`` False batch
        norms are left out of the group; those that the optimizer has trained all along stay where they are.
        """
        settled = _trained_norms(modules, optimizer)
        BaseFinetuning.make_trainable(modules)
        rate = optimizer.param_groups[0]["lr"] / initial_denom_lr if lr is None else float(lr)
        thawed = BaseFinetuning.filter_params(modules, train_bn=train_bn, requires_grad=True)
        params = BaseFinetuning.filter_on_optimizer(optimizer, (each for each in thawed if id(each) not in settled))
        if params:
            optimizer.add_param_group({"params": params, "lr": rate})

    # The run

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {"internal_optimizer_metadata": dict(self._groups)}
        return state if self._frozen is None else {**state, "frozen": self._frozen, "untracked": self._untracked}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._was_loaded = True
        self._groups = dict(state_dict["internal_optimizer_metadata"])
        # Lightning's files do not say what was frozen.
        self._frozen, self._untracked = state_dict.get("frozen"), state_dict.get("untracked", [])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._was_loaded = False
            self.freeze_before_training(pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Optimizers get their states back after this, and those must find their groups.
        if self._was_loaded:
            self._restore(trainer, pl_module, anew=True)
        elif trainer.current_epoch and self._fits(pl_module):
            self._restore(trainer, pl_module, anew=False)
        else:
            self._groups, self._frozen, self._untracked = {}, None, []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for optimizer in trainer.optimizers:
            self.finetune_function(pl_module, trainer.current_epoch, optimizer)
        self._note(trainer, pl_module)

    def _note(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write down, by names, which groups there are, and what is frozen."""
        names = {id(parameter): name for name, parameter in named_weights(pl_module).items()}
        self._groups = {
            index: [_named(group, names) for group in optimizer.param_groups]
            for index, optimizer in enumerate(trainer.optimizers)
            if not isinstance(optimizer, NoOptimizer)
        }
        self._frozen = [name for name, parameter in named_weights(pl_module).items() if not parameter.requires_grad]
        self._untracked = [name for name, norm in _norms(pl_module) if not norm.track_running_stats]

    def _fits(self, pl_module: LightningModule) -> bool:
        stored = {name for groups in self._groups.values() for group in groups for name in group["params"]}
        return bool(stored) and stored <= named_weights(pl_module).keys()

    def _restore(self, trainer: Trainer, pl_module: LightningModule, anew: bool) -> None:
        """Bring groups and freezing to where they were: groups all ``anew``, or what was added since."""
        parameters = named_weights(pl_module)
        for index, groups in self._groups.items():
            optimizer = trainer.optimizers[index]
            configured = len(optimizer.param_groups)
            stored = [_with_parameters(group, parameters) for group in groups]
            if self._frozen is None:
                for group in stored[configured:]:
                    for parameter in group["params"]:
                        parameter.requires_grad = True
            if anew:
                optimizer.param_groups.clear()
            have = {id(each) for group in optimizer.param_groups for each in group["params"]}
            for group in stored:
                if not any(id(parameter) in have for parameter in group["params"]):
                    optimizer.add_param_group(group)
        if self._frozen is not None:
            for name, parameter in parameters.items():
                parameter.requires_grad = name not in self._frozen
            for name, norm in _norms(pl_module):
                norm.track_running_stats = name not in self._untracked


class BackboneFinetuning(BaseFinetuning):
    """Train ``pl_module.backbone`` only from epoch ``unfreeze_backbone_at_epoch`` on, at a rate of its own.

    That rate begins with ``backbone_initial_lr``, or without it with ``backbone_initial_ratio_lr`` of the rate of the
    optimizer's first group. With each further epoch it is multiplied by ``lambda_func(epoch + 1)``, and with
    ``should_align`` it goes up to the first group's and not beyond. While the backbone is frozen its batch norms are
    trained on; ``train_bn`` says whether the new group takes those that the optimizer does not have. ``verbose`` tells
    both rates in each epoch, with ``rounding`` digits.
    """

    @checked
    def __init__(
        self,
        unfreeze_backbone_at_epoch: int = 10,
        lambda_func: Callable[[int], float] = multiplicative,
        backbone_initial_ratio_lr: float = 0.1,
        backbone_initial_lr: float | None = None,
        should_align: bool = True,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
        verbose: bool = False,
        rounding: int = 12,
    ) -> None:
        super().__init__()
        if type(unfreeze_backbone_at_epoch) is not int or unfreeze_backbone_at_epoch < 0:
            raise MisconfigurationException(
                f"BackboneFinetuning(unfreeze_backbone_at_epoch={unfreeze_backbone_at_epoch!r}): an int from 0 was "
                "expected."
            )
        if not callable(lambda_func):
            raise MisconfigurationException(
                f"BackboneFinetuning(lambda_func={lambda_func!r}): a function from an epoch to a factor was expected."
            )
        self.unfreeze_backbone_at_epoch = unfreeze_backbone_at_epoch
        self.lambda_func = lambda_func
        self.backbone_initial_ratio_lr = backbone_initial_ratio_lr
        self.backbone_initial_lr = backbone_initial_lr
        self.should_align = should_align
        self.initial_denom_lr = initial_denom_lr
        self.train_bn = train_bn
        self.verbose = verbose
        self.rounding = rounding
        self.previous_backbone_lr: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "previous_backbone_lr": self.previous_backbone_lr}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.previous_backbone_lr = state_dict["previous_backbone_lr"]

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        if not isinstance(getattr(pl_module, "backbone", None), nn.Module):
            raise MisconfigurationException(
                f"BackboneFinetuning needs a module as `backbone`, which {type(pl_module).__name__} does not have when "
                "`fit` begins. Set `self.backbone` in `__init__`, or subclass BaseFinetuning."
            )
        self.freeze(pl_module.backbone)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        if not self._groups:
            self.previous_backbone_lr = None

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        if epoch < self.unfreeze_backbone_at_epoch:
            return
        current = float(optimizer.param_groups[0]["lr"])
        # Also where the epoch was missed: a run that is resumed from a file written without this callback.
        if epoch == self.unfreeze_backbone_at_epoch or self.previous_backbone_lr is None:
            rate = current * self.backbone_initial_ratio_lr
            rate = rate if self.backbone_initial_lr is None else self.backbone_initial_lr
            self.unfreeze_and_add_param_group(
                pl_module.backbone, optimizer, rate, self.initial_denom_lr, self.train_bn
            )  # fmt: skip
        else:
            rate = self.lambda_func(epoch + 1) * self.previous_backbone_lr
            rate = min(rate, current) if self.should_align else rate
            optimizer.param_groups[-1]["lr"] = rate
        self.previous_backbone_lr = rate
        if self.verbose:
            rank_zero_info(
                f"Epoch {epoch}: rate {round(current, self.rounding)}, of the backbone {round(rate, self.rounding)}"
            )


def _train(module: Module, on: bool) -> None:
    if isinstance(module, _BatchNorm):
        module.track_running_stats = on
    for parameter in module.parameters(recurse=False):
        parameter.requires_grad = on


def _trained_norms(modules: Modules, optimizer: Optimizer) -> set[int]:
    """The batch norms' parameters that the optimizer has and that are not frozen, by their ids."""
    norms = [module for module in BaseFinetuning.flatten_modules(modules) if isinstance(module, _BatchNorm)]
    have = {id(each) for group in optimizer.param_groups for each in group["params"]}
    return have & {id(each) for each in BaseFinetuning.filter_params(norms)}


def _norms(module: Module) -> Iterator[tuple[str, _BatchNorm]]:
    for name, child in module.named_modules():
        if isinstance(child, _BatchNorm):
            yield name, child


def _named(group: dict[str, Any], names: dict[int, str]) -> dict[str, Any]:
    unknown = sum(id(parameter) not in names for parameter in group["params"])
    if unknown:
        raise MisconfigurationException(
            f"A group of the optimizer has {unknown} parameter(s) that do not belong to the LightningModule: a resumed "
            "run could not find them. Make them, or the module that has them, an attribute of it."
        )
    return {**group, "params": [names[id(parameter)] for parameter in group["params"]]}


def _with_parameters(group: dict[str, Any], parameters: dict[str, Parameter]) -> dict[str, Any]:
    missing = [name for name in group["params"] if name not in parameters]
    if missing:
        raise MisconfigurationException(
            f"The checkpoint trains {', '.join(missing)}, which the model does not have. Resume with the model that it "
            "was written from."
        )
    return {**group, "params": [parameters[name] for name in group["params"]]}
