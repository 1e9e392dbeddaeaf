"""Prunes weights while a model is trained: sets the least important of them to zero, and keeps them there."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import Module, Parameter
from torch.nn.utils import prune

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info
from fulgurite.callbacks.moments import warn_of_weights_only
from fulgurite.callbacks.weight_averaging import WeightAveraging
from fulgurite.callbacks.weights import MASK, ORIGINAL, named_masks
from fulgurite.core.callback import Callback
from fulgurite.core.module import LightningModule

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from fulgurite.trainer import Trainer

Target = tuple[Module, str]
"""A module, and the name of one of its parameters."""

FUNCTIONS: dict[str, tuple[Callable[..., Any], type[prune.BasePruningMethod]]] = {
    "ln_structured": (prune.ln_structured, prune.LnStructured),
    "l1_unstructured": (prune.l1_unstructured, prune.L1Unstructured),
    "random_structured": (prune.random_structured, prune.RandomStructured),
    "random_unstructured": (prune.random_unstructured, prune.RandomUnstructured),
}
COUNTING = tuple(method for _, method in FUNCTIONS.values())
NOTHING: dict[str, Any] = {"masks": {}, "hidden": {}, "originals": {}, "ticket_due": False}


class ModelPruning(Callback):
    """Prune ``amount`` of what is left of the weights at the end of each epoch.

    ``pruning_fn`` is one of torch's functions, by name, or a subclass of ``torch.nn.utils.prune.BasePruningMethod``.
    With ``use_global_unstructured`` all parameters compete with one another, else each is pruned by itself; structured
    functions need that, and ``pruning_dim``, and "ln_structured" also ``pruning_norm``. Pruned are
    ``parameters_to_prune``, pairs of a module and a name, or without them all that are called as ``parameter_names``
    says ("weight" and "bias"). ``amount`` is a share of what is left, or a number. ``apply_pruning``, ``amount`` and
    ``use_lottery_ticket_hypothesis`` may be functions of the epoch.

    With ``use_lottery_ticket_hypothesis`` the epoch that follows a pruning begins anew: the weights that are left go
    back to what they were when training began; with ``resample_parameters`` to newly drawn ones. Not before: the file
    of an epoch, and the model in the end, have what was trained. ``prune_on_train_epoch_end=False`` prunes at the end
    of each validation instead. ``verbose`` of 1 tells the sparsity, 2 that of each parameter as well.

    With ``make_pruning_permanent`` files hold plain weights, zeros included, as any model loads them, and so does the
    model when training ends. Masks, and what they hide, are kept in this callback's state: a resumed run goes on as it
    would have without the break.
    """

    PARAMETER_NAMES = ("weight", "bias")

    @checked
    def __init__(
        self,
        pruning_fn: Callable[..., Any] | str,
        parameters_to_prune: Sequence[Target] = (),
        parameter_names: list[str] | None = None,
        use_global_unstructured: bool = True,
        amount: int | float | Callable[[int], int | float] = 0.5,
        apply_pruning: bool | Callable[[int], bool] = True,
        make_pruning_permanent: bool = True,
        use_lottery_ticket_hypothesis: bool | Callable[[int], bool] = True,
        resample_parameters: bool = False,
        pruning_dim: int | None = None,
        pruning_norm: int | None = None,
        verbose: bool | int = 0,
        prune_on_train_epoch_end: bool = True,
    ) -> None:
        self._parameter_names = list(parameter_names or self.PARAMETER_NAMES)
        for name in self._parameter_names:
            if name not in self.PARAMETER_NAMES:
                raise MisconfigurationException(
                    f"ModelPruning(parameter_names={parameter_names!r}): {name!r} is neither 'weight' nor 'bias'. "
                    f"Give others in pairs: parameters_to_prune=[(module, {name!r})]."
                )
        if not callable(amount):
            _check_amount(amount)
        if verbose not in (0, 1, 2):
            raise MisconfigurationException(f"ModelPruning(verbose={verbose!r}): 0, 1 or 2 was expected.")
        self.pruning_fn = _chosen(pruning_fn, use_global_unstructured, pruning_dim, pruning_norm)
        self.amount = amount
        self._parameters_to_prune = parameters_to_prune
        self._use_global_unstructured = use_global_unstructured
        self._apply_pruning = apply_pruning
        self._make_pruning_permanent = make_pruning_permanent
        self._use_lottery_ticket_hypothesis = use_lottery_ticket_hypothesis
        self._resample_parameters = resample_parameters
        self._verbose = verbose
        self._prune_on_train_epoch_end = prune_on_train_epoch_end
        self._kept = NOTHING
        self._pruned: Pruned | None = None
        self._loading: RemovableHandle | None = None

    # What subclasses may override or call

    def filter_parameters_to_prune(self, parameters_to_prune: Sequence[Target] = ()) -> Sequence[Target]:
        """Return those of the pairs that shall be pruned; all, unless it is overridden."""
        return parameters_to_prune

    @staticmethod
    def sanitize_parameters_to_prune(
        pl_module: LightningModule,
        parameters_to_prune: Sequence[Target] = (),
        parameter_names: Sequence[str] = (),
    ) -> Sequence[Target]:
        """Return the pairs that were given, or all of the model's by name. Raises where one is not in the model."""
        names = parameter_names or ModelPruning.PARAMETER_NAMES
        holders = (LightningModule, nn.ModuleDict, nn.ModuleList)
        modules = [module for module in pl_module.modules() if not isinstance(module, holders)]
        if isinstance(parameters_to_prune, list | tuple) and not parameters_to_prune:
            return [(module, name) for name in names for module in modules if _has(module, name)]
        _check_pairs(parameters_to_prune, modules)
        return parameters_to_prune

    @torch.no_grad()
    def apply_pruning(self, amount: int | float) -> None:
        """Prune ``amount`` of what is left."""
        pruned = self._pruned
        assert pruned is not None
        before = pruned.zeros() if self._verbose else {}
        if self._use_global_unstructured:
            left = sum(_left(module, name) for module, name in pruned.targets.values())
            arguments = {"amount": _at_most(self.pruning_fn, left, amount)}
            taken = inspect.signature(self.pruning_fn).parameters
            prune.global_unstructured(
                list(pruned.targets.values()),
                pruning_method=self.pruning_fn,
                **{name: value for name, value in arguments.items() if name in taken},
            )
        else:
            dim = self.pruning_fn.keywords.get("dim")
            for module, name in pruned.targets.values():
                self.pruning_fn(module, name=name, amount=_at_most(self.pruning_fn, _left(module, name, dim), amount))
        if self._verbose:
            _tell(before, pruned, amount, each=self._verbose == 2)

    def apply_lottery_ticket_hypothesis(self) -> None:
        """Set what is left of the weights to what it was when training began, or to newly drawn values."""
        assert self._pruned is not None
        self._pruned.begin_again()

    def make_pruning_permanent(self, module: Module) -> None:
        """Give all pruned modules inside ``module`` plain parameters again, with the zeros in them."""
        for full in named_masks(module):
            owner, _, name = full.rpartition(".")
            child = module.get_submodule(owner)
            prune.remove(child, name)
            if self._pruned is not None:
                self._pruned.put_in_order(child)

    # State

    def state_dict(self) -> dict[str, Any]:
        return dict(self._kept) if self._pruned is None else self._pruned.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._kept = {**NOTHING, **state_dict}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._make_pruning_permanent:
            weights = checkpoint["state_dict"]
            for full in _pruned_in(weights):
                weights[full] = weights.pop(full + ORIGINAL) * weights.pop(full + MASK)

    # The run

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._end_loading()
        self._loading = pl_module.register_load_state_dict_pre_hook(partial(_plain_weights, masked=stage != "fit"))
        if stage != "fit":
            return
        if any(isinstance(callback, WeightAveraging) for callback in trainer.callbacks):
            raise MisconfigurationException(
                "ModelPruning and WeightAveraging change the same weights and do not know of each other. Leave one out."
            )
        if self._make_pruning_permanent:
            warn_of_weights_only(trainer, self, "masks and hidden weights, which a plain model does not load")
        found = self.sanitize_parameters_to_prune(pl_module, self._parameters_to_prune, self._parameter_names)
        pruned = Pruned(pl_module, self.filter_parameters_to_prune(found))
        _check_that_there_are(pruned.targets, pl_module, self._parameter_names)
        if "dim" in getattr(self.pruning_fn, "keywords", ()):
            _check_slices(pruned.targets)
        # What a fit before has left comes back once the optimizer has taken the parameters, in their own order.
        self._kept = {**NOTHING, **pruned.uncover()}
        if self._use_lottery_ticket_hypothesis:
            pruned.remember(self._resample_parameters)
        self._pruned = pruned

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """A file that was written with masks in it has them also where this callback's state has not."""
        weights = checkpoint["state_dict"]
        masks = {full: weights[full + MASK] for full in _pruned_in(weights)}
        hidden = {full: weights[full + ORIGINAL][mask != 1] for full, mask in masks.items()}
        self._kept = {**self._kept, "masks": masks, "hidden": hidden}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_loading()
        assert self._pruned is not None
        self._pruned.restore(self._kept)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not when it is pruned: the epoch's file, and the model after the last one, shall hold what was trained.
        assert self._pruned is not None
        due, self._pruned.ticket_due = self._pruned.ticket_due, False
        # A resumed run may have been given other arguments.
        if due and self._use_lottery_ticket_hypothesis:
            self.apply_lottery_ticket_hypothesis()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._prune_on_train_epoch_end:
            self._prune(trainer.current_epoch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking and not self._prune_on_train_epoch_end:
            self._prune(trainer.current_epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._end_loading()
        # Also after an error: a model that is half pruned could neither be saved as a plain one nor fitted again.
        self._end(pl_module)

    def _end(self, pl_module: LightningModule) -> None:
        if self._pruned is not None:
            # Files that are written from now on can be resumed from as well.
            self._kept = self._pruned.state_dict()
            if self._make_pruning_permanent:
                self.make_pruning_permanent(pl_module)
            self._pruned = None

    def _end_loading(self) -> None:
        if self._loading is not None:
            self._loading.remove()
            self._loading = None

    def _prune(self, epoch: int) -> None:
        if not _at(self._apply_pruning, epoch):
            return
        amount = _at(self.amount, epoch)
        _check_amount(amount)
        if not amount:
            return
        self.apply_pruning(amount)
        if _at(self._use_lottery_ticket_hypothesis, epoch):
            assert self._pruned is not None
            self._pruned.ticket_due = True


class Pruned:
    """The parameters that one run prunes, and what they were when it began."""

    def __init__(self, module: Module, pairs: Sequence[Target]) -> None:
        owners = {child: f"{owner}." if owner else "" for owner, child in module.named_modules()}
        self.targets = {f"{owners[child]}{name}": (child, name) for child, name in pairs}
        self.orders = {child: _order(child) for child, _ in pairs}
        self.blank: dict[Module, Module] = {}
        self.originals: dict[str, Tensor] = {}
        self.ticket_due = False
        """Whether the next epoch is to begin again."""

    def state_dict(self) -> dict[str, Any]:
        """The masks, what each hides, what was there at first, by the parameters' names; whether that is due again."""
        masks, hidden = {}, {}
        for full, (module, name) in self.targets.items():
            if hasattr(module, name + MASK):
                mask = getattr(module, name + MASK).detach()
                hidden[full] = _trained(module, name).detach()[mask != 1].cpu()
                masks[full] = _packed(mask).cpu()
        return {"masks": masks, "hidden": hidden, "originals": self.originals, "ticket_due": self.ticket_due}

    def uncover(self) -> dict[str, Any]:
        """Take all masks off, so that what they hid is in the parameters. Return their state."""
        state = self.state_dict()
        for full in state["masks"]:
            module, name = self.targets[full]
            whole = _trained(module, name).detach().clone()
            prune.remove(module, name)
            getattr(module, name).data.copy_(whole)
            self.put_in_order(module)
        return state

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Put masks onto plain parameters, and beneath each what it hid."""
        self.originals.update(state["originals"])
        self.ticket_due = state["ticket_due"]
        for full, mask in state["masks"].items():
            if full not in self.targets:
                raise MisconfigurationException(
                    f"The checkpoint has a mask of {full!r}, which is not among what this ModelPruning prunes: "
                    f"{', '.join(self.targets)}. Resume with the arguments that it was written with."
                )
            module, name = self.targets[full]
            parameter = getattr(module, name)
            mask = mask.to(parameter.device, parameter.dtype)
            parameter[mask != 1] = state["hidden"][full].to(parameter.device, parameter.dtype)
            prune.custom_from_mask(module, name, mask)

    def remember(self, resample: bool) -> None:
        """Keep what there is now or, to ``resample``, modules that can draw it anew."""
        for full, (module, name) in self.targets.items():
            if resample and hasattr(module, "reset_parameters"):
                self.blank[module] = self.blank.get(module) or copy.deepcopy(module)
            else:
                self.originals[full] = getattr(module, name).detach().cpu().clone()

    @torch.no_grad()
    def begin_again(self) -> None:
        """Set all parameters to what was remembered, or to newly drawn values. Masks stay."""
        for blank in self.blank.values():
            blank.reset_parameters()  # type: ignore[operator]
        for full, (module, name) in self.targets.items():
            first = getattr(self.blank[module], name) if module in self.blank else self.originals[full]
            # A copy: what training changes now must not be taken for the beginning the next time.
            _trained(module, name).copy_(first)
            if hasattr(module, name + MASK):
                setattr(module, name, _trained(module, name) * getattr(module, name + MASK))

    def put_in_order(self, module: Module) -> None:
        """A parameter that comes back comes last; an optimizer counts them, so they go back to their places."""
        for name in self.orders.get(module, ()):
            parameter = module._parameters.get(name)
            if parameter is not None:
                delattr(module, name)
                module.register_parameter(name, parameter)

    def zeros(self) -> dict[str, int]:
        """How many of each parameter's weights are zero."""
        return {full: _trained(*target).numel() - _nonzero(*target) for full, target in self.targets.items()}


def _at(value: Any, epoch: int) -> Any:
    return value(epoch) if callable(value) else value


def _trained(module: Module, name: str) -> Parameter:
    """The parameter that the optimizer has."""
    return getattr(module, name + ORIGINAL) if hasattr(module, name + MASK) else getattr(module, name)


def _has(module: Module, name: str) -> bool:
    own = {each.removesuffix(ORIGINAL) if each.endswith(ORIGINAL) else each for each in module._parameters}
    return name in own and getattr(module, name, None) is not None


def _order(module: Module) -> list[str]:
    names = [(name, name.removesuffix(ORIGINAL)) for name in module._parameters]
    return [plain if plain + MASK in module._buffers else name for name, plain in names]


def _nonzero(module: Module, name: str) -> int:
    return int(getattr(module, name).count_nonzero())


def _left(module: Module, name: str, dim: int | None = None) -> int:
    """How many weights are not pruned; along ``dim``, how many slices are not pruned as a whole."""
    mask = getattr(module, name + MASK, None)
    mask = torch.ones_like(getattr(module, name)) if mask is None else mask
    if dim is None:
        return int(mask.count_nonzero())
    return int(mask.sum(dim=[other for other in range(mask.dim()) if other != dim % mask.dim()]).count_nonzero())


def _at_most(pruning: Any, left: int, amount: int | float) -> int | float:
    """torch raises where a number is more than what is left; after some epochs it must be in the end."""
    counts = not isinstance(pruning, type) or issubclass(pruning, COUNTING)
    return min(amount, left) if isinstance(amount, int) and counts else amount


def _tell(before: dict[str, int], pruned: Pruned, amount: int | float, each: bool) -> None:
    after = pruned.zeros()
    sizes = {full: _trained(*target).numel() for full, target in pruned.targets.items()}
    then, now, size = sum(before.values()), sum(after.values()), sum(sizes.values())
    rank_zero_info(f"Pruned by {amount}: {then} -> {now} of {size} weights are zero ({now / size:.1%}).")
    for full, size in sizes.items() if each else ():
        rank_zero_info(f"  {full}: {before[full]} -> {after[full]} of {size} ({after[full] / size:.1%})")


def _packed(mask: Tensor) -> Tensor:
    """Ones and zeros as bool, which is a quarter of their size; a mask of other numbers as it is."""
    return mask.bool() if bool(((mask == 0) | (mask == 1)).all()) else mask.clone()


def _pruned_in(weights: dict[str, Any]) -> list[str]:
    names = [name.removesuffix(ORIGINAL) for name in weights if name.endswith(ORIGINAL)]
    return [name for name in names if name + MASK in weights]


def _plain_weights(module: Module, weights: dict[str, Any], prefix: str, *rest: Any, masked: bool) -> None:
    """Read a file with masks into a model that has none: with the zeros, or, to train on, with what is under them."""
    plain = {name for name, _ in module.named_parameters()}
    for full in _pruned_in(weights):
        if full.removeprefix(prefix) in plain:
            whole, mask = weights.pop(full + ORIGINAL), weights.pop(full + MASK)
            weights[full] = whole * mask if masked else whole


def _chosen(chosen: Any, everywhere: bool, dim: int | None, norm: int | None) -> Any:
    """Return what does the pruning: a method's class to prune everywhere at once, else a function of one parameter."""
    if isinstance(chosen, str):
        method: Any = _function(chosen.lower(), everywhere, dim, norm)
    elif isinstance(chosen, type) and issubclass(chosen, prune.BasePruningMethod):
        method = chosen
        if not everywhere:
            raise MisconfigurationException(
                f"ModelPruning({chosen.__name__}, use_global_unstructured=False): a class prunes everywhere at once. "
                f"Name a function, one of {', '.join(FUNCTIONS)}, or leave use_global_unstructured out."
            )
    else:
        raise MisconfigurationException(
            f"ModelPruning(pruning_fn={chosen!r}): one of {', '.join(FUNCTIONS)} was expected, or a subclass of "
            "BasePruningMethod, as a class."
        )
    if everywhere and method.PRUNING_TYPE != "unstructured":
        raise MisconfigurationException(
            f"ModelPruning(pruning_fn={chosen!r}) is {method.PRUNING_TYPE}; only unstructured pruning works everywhere "
            "at once. Pass use_global_unstructured=False."
        )
    return method


def _function(name: str, everywhere: bool, dim: int | None, norm: int | None) -> Any:
    if name not in FUNCTIONS:
        raise MisconfigurationException(
            f"ModelPruning(pruning_fn={name!r}): torch has no such function. Choose one of {', '.join(FUNCTIONS)}."
        )
    arguments: dict[str, Any] = {}
    if name.endswith("_structured"):
        if dim is None:
            raise MisconfigurationException(f"ModelPruning({name!r}) prunes slices: say along which, by pruning_dim.")
        arguments["dim"] = dim
    if name == "ln_structured":
        if norm is None:
            raise MisconfigurationException(f"ModelPruning({name!r}) measures slices: say how, by pruning_norm.")
        arguments["n"] = norm
    function, method = FUNCTIONS[name]
    return method if everywhere else partial(function, **arguments)


def _check_amount(amount: Any) -> None:
    share = isinstance(amount, float) and 0.0 <= amount <= 1.0
    if not share and not (isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0):
        raise MisconfigurationException(
            f"ModelPruning(amount={amount!r}): a float from 0.0 to 1.0, an int from 0, or a function that returns one "
            "for an epoch was expected."
        )


def _check_pairs(pairs: Any, modules: list[Module]) -> None:
    are_pairs = isinstance(pairs, list | tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs)
    if not are_pairs:
        raise MisconfigurationException(
            f"ModelPruning(parameters_to_prune={pairs!r}): pairs were expected, [(model.layer, 'weight'), ...]."
        )
    strangers = [module for module, _ in pairs if module not in modules]
    missing = [name for module, name in pairs if module in modules and not _has(module, name)]
    if strangers or missing:
        raise MisconfigurationException(
            f"ModelPruning(parameters_to_prune=...): not all are in the model. Modules that it does not have: "
            f"{strangers}; parameters that its modules do not have: {missing}."
        )


def _check_that_there_are(targets: dict[str, Target], module: Module, names: list[str]) -> None:
    if not targets:
        raise MisconfigurationException(
            f"ModelPruning finds nothing to prune in {type(module).__name__}: no module has a parameter called "
            f"{' or '.join(names)} when `fit` begins. Give parameters_to_prune."
        )


def _check_slices(targets: dict[str, Target]) -> None:
    flat = [full for full, (module, name) in targets.items() if _trained(module, name).dim() < 2]
    if flat:
        raise MisconfigurationException(
            f"ModelPruning prunes slices, which {', '.join(flat)} with one dimension cannot lose. Leave them out: "
            "parameter_names=['weight'], or parameters_to_prune."
        )
