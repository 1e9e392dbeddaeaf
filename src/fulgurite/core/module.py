"""What users subclass: a `torch.nn.Module` that knows its steps, its optimizers and its data."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn, warn_once
from fulgurite.base.tree import as_tensors, map_tensors
from fulgurite.core.export import Exports
from fulgurite.core.hooks import DataHooks
from fulgurite.core.hparams import HyperparametersMixin
from fulgurite.core.loading import class_only, load_module
from fulgurite.core.module_hooks import ModelHooks
from fulgurite.metrics import Moment


class LightningModule(ModelHooks, DataHooks, HyperparametersMixin, Exports, nn.Module):
    """A model with its training, validation, test and prediction steps, its optimizers and, if you like, its data.

    Override ``training_step`` and ``configure_optimizers`` to train; everything else is optional.
    Inside a hook ``self.log`` records a value, and ``self.trainer`` is the Trainer that runs the hook.
    """

    CHECKPOINT_HYPER_PARAMS_KEY = "hyper_parameters"
    CHECKPOINT_HYPER_PARAMS_NAME = "hparams_name"
    CHECKPOINT_HYPER_PARAMS_TYPE = "hparams_type"

    # TorchScript must not evaluate these properties while it compiles.
    __jit_unused_properties__: ClassVar[list[str]] = [
        "example_input_array", "trainer", "logger", "loggers", "automatic_optimization", "strict_loading", "fabric",
        "current_epoch", "global_step", "global_rank", "local_rank", "on_gpu", "device", "dtype", "device_mesh",
        "hparams", "hparams_initial",
    ]  # fmt: skip
    _jit_is_scripting = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trainer: Any = None
        self._moment: Moment | None = None
        self._automatic_optimization = True
        self._example_input_array: Any = None
        self._strict_loading: bool | None = None

    # -- to be overridden ---------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation of ``self(...)``; by convention the inference part."""
        return super().forward(*args, **kwargs)

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Take ``(batch, batch_idx)``; return the loss, a dict with the key "loss", or None to skip the batch."""
        rank_zero_warn(f"{type(self).__name__} defines no `training_step`: there is nothing to train by.")

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """Take ``(batch, batch_idx[, dataloader_idx])``; log what the pass shall measure."""

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """Take ``(batch, batch_idx[, dataloader_idx])``; log what the test shall measure."""

    def predict_step(self, *args: Any, **kwargs: Any) -> Any:
        """Return the prediction for ``batch``; ``self(batch)`` unless overridden."""
        return self(args[0] if args else kwargs["batch"])

    def configure_callbacks(self) -> Any:
        """Return a callback or a list of them; they replace those of the same type that the Trainer has."""
        return []

    def configure_optimizers(self) -> Any:
        """Return an optimizer, a list of them, ``([optimizers], [schedulers])``, or a dict with "optimizer"."""
        rank_zero_warn(f"{type(self).__name__} defines no `configure_optimizers`: there is nothing to train with.")

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradients of ``loss``."""
        loss.backward(*args, **kwargs)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Do the optimizer's step. An override must pass the closure on to ``optimizer.step``, or call it."""
        optimizer.step(closure=optimizer_closure)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Clear the gradients at the beginning of an accumulation window."""
        optimizer.zero_grad()

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the gradients; called once a window, also where the Trainer has no clip value."""
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step ``scheduler``; ``metric`` is None unless it watches one."""
        scheduler.step() if metric is None else scheduler.step(metric)

    # -- logging ------------------------------------------------------------------------------------------------------

    def log(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: Any = "mean",
        enable_graph: bool = False,
        sync_dist: bool = False,
        sync_dist_group: Any = None,
        add_dataloader_idx: bool = True,
        batch_size: int | None = None,
        metric_attribute: str | None = None,
        rank_zero_only: bool = False,
    ) -> None:
        """Record ``value`` (a number, a tensor of one element, or a torchmetrics object) under ``name``.

        ``on_step`` shows it as it is at each step, ``on_epoch`` reduces it over the epoch by ``reduce_fx``
        (a mean is weighted by the batch size); the defaults follow the hook. With both, the names get
        ``_step`` and ``_epoch``. Raises ``MisconfigurationException`` where a hook cannot log, ``ValueError`` for
        a value that is no single number.
        """
        moment = self._moment
        if moment is None:
            return _without_trainer(name)
        flags = (
            prog_bar, logger, on_step, on_epoch, reduce_fx, enable_graph, sync_dist, sync_dist_group,
            add_dataloader_idx, rank_zero_only,
        )  # fmt: skip
        moment.metrics.log(name, value, flags, batch_size, metric_attribute)  # type: ignore[union-attr]

    def log_dict(
        self,
        dictionary: Mapping[str, Any],
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: Any = "mean",
        enable_graph: bool = False,
        sync_dist: bool = False,
        sync_dist_group: Any = None,
        add_dataloader_idx: bool = True,
        batch_size: int | None = None,
        rank_zero_only: bool = False,
    ) -> None:
        """Record every item of ``dictionary`` (or of a ``MetricCollection``) as `log` does."""
        # A MetricCollection yields its members under their full names only when it is asked not to copy them.
        given: Any = dictionary
        is_collection = type(dictionary).__name__ == "MetricCollection"
        items = given.items(keep_base=False, copy_state=False) if is_collection else given.items()
        for name, value in items:
            self.log(
                name, value, prog_bar, logger, on_step, on_epoch, reduce_fx, enable_graph, sync_dist, sync_dist_group,
                add_dataloader_idx, batch_size, None, rank_zero_only,
            )  # fmt: skip

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on rank 0, above a progress bar if one is on."""
        bar = self._trainer.progress_bar_callback if self._trainer is not None else None
        if bar is not None and bar.is_enabled:
            bar.print(*args, **kwargs)
        elif self._trainer is None or self._trainer.is_global_zero:
            print(*args, **kwargs)

    # -- optimisation by hand -----------------------------------------------------------------------------------------

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        """Return the optimizer, or the list of them; wrapped, so that ``step`` counts and knows the precision."""
        found = self.trainer._lightning_optimizers if use_pl_optimizer else self.trainer.optimizers
        return found[0] if len(found) == 1 else list(found)

    def lr_schedulers(self) -> Any:
        """Return None, the scheduler, or the list of them."""
        schedulers = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        return (schedulers[0] if len(schedulers) == 1 else schedulers) if schedulers else None

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute gradients under the Trainer's precision. Only with ``automatic_optimization = False``."""
        if self.automatic_optimization:
            raise MisconfigurationException(
                "After `loss.backward`, `optimizer.step()` and `optimizer.zero_grad()` are called by the Trainer: to "
                "call "
                "`manual_backward` yourself set `self.automatic_optimization = False` in `__init__`."
            )
        self.trainer._backward(loss, *args, **kwargs)

    def clip_gradients(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by "norm" (default) or "value". Values left out are the Trainer's; two that disagree raise."""
        plan = self.trainer.plan
        value = _agreed("gradient_clip_val", gradient_clip_val, plan.gradient_clip_val)
        algorithm = _agreed("gradient_clip_algorithm", gradient_clip_algorithm, plan.gradient_clip_algorithm) or "norm"
        if algorithm not in ("norm", "value"):
            raise MisconfigurationException(f"gradient_clip_algorithm={algorithm!r}: choose 'norm' or 'value'.")
        self.trainer._clip(optimizer, value, str(algorithm))

    def toggle_optimizer(self, optimizer: Any) -> None:
        """Let only the parameters of ``optimizer`` require gradients until `untoggle_optimizer`."""
        self.untoggle_optimizer(optimizer)
        require_grad = self.trainer.strategy.require_grad
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        before: dict[Any, bool] = {}
        for other in self.trainer.optimizers:
            for group in other.param_groups:
                for parameter in group["params"]:
                    before.setdefault(parameter, parameter.requires_grad)
                    if id(parameter) not in own:
                        require_grad(parameter, False)
        self._toggled = before

    def untoggle_optimizer(self, optimizer: Any) -> None:
        """Undo `toggle_optimizer`."""
        for parameter, required in self.__dict__.pop("_toggled", {}).items():
            self.trainer.strategy.require_grad(parameter, required)

    @contextmanager
    def toggled_optimizer(self, optimizer: Any) -> Iterator[None]:
        """`toggle_optimizer` for the length of a ``with`` block, also when it raises."""
        self.toggle_optimizer(optimizer)
        try:
            yield
        finally:
            self.untoggle_optimizer(optimizer)

    # -- what it is and where it is -----------------------------------------------------------------------------------

    def freeze(self) -> None:
        """No parameter requires gradients; evaluation mode."""
        self.requires_grad_(False)
        self.eval()

    def unfreeze(self) -> None:
        """All parameters require gradients; training mode."""
        self.requires_grad_(True)
        self.train()

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        """Return ``data`` with each tensor, number and NumPy array in it as a tensor of those of all ranks.

        It has a new first dimension, the ranks; where there is one rank, tensors are as they were. With ``sync_grads``
        gradients flow back to all. Raises ``RanksDisagree`` where shapes differ (told on the CPU).
        """
        gather = partial(self.trainer.strategy.all_gather, group=group, sync_grads=sync_grads)
        return map_tensors(as_tensors(data, self.device), gather)

    @class_only
    def load_from_checkpoint(
        cls: Any,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the module that a checkpoint holds: built from the stored hyperparameters, with the stored weights.

        ``kwargs`` override hyperparameters; ``hparams_file`` (YAML or CSV) replaces them. ``weights_only=False``
        trusts the file to unpickle anything; by default it is read safely. Called on an object it raises ``TypeError``.
        """
        return load_module(cls, checkpoint_path, map_location, hparams_file, strict, weights_only, **kwargs)

    @property
    def trainer(self) -> Any:
        if self._trainer is None and not self._jit_is_scripting:
            raise RuntimeError(f"{type(self).__qualname__} is not attached to a `Trainer`.")
        return self._trainer

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        moment = getattr(trainer, "_moment", None)
        for child in self.modules():
            if isinstance(child, LightningModule):
                child._trainer = trainer
                child._moment = moment if isinstance(moment, Moment) else None

    @property
    def logger(self) -> Any:
        return self._trainer.logger if self._trainer is not None else None

    @property
    def loggers(self) -> list[Any]:
        return self._trainer.loggers if self._trainer is not None else []

    @property
    def current_epoch(self) -> int:
        return self._trainer.current_epoch if self._trainer is not None else 0

    @property
    def global_step(self) -> int:
        return self._trainer.global_step if self._trainer is not None else 0

    @property
    def global_rank(self) -> int:
        return self._trainer.global_rank if self._trainer is not None else 0

    @property
    def local_rank(self) -> int:
        return self._trainer.local_rank if self._trainer is not None else 0

    @property
    def device(self) -> torch.device:
        """Where the first parameter or buffer lies; the CPU for a module without any."""
        tensor = self._any_tensor(lambda tensor: True)
        return torch.device("cpu") if tensor is None else tensor.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the first floating-point parameter or buffer."""
        tensor = self._any_tensor(torch.is_floating_point)
        return torch.get_default_dtype() if tensor is None else tensor.dtype

    @property
    def device_mesh(self) -> Any:
        """The mesh of processes that a strategy cuts the model over; None where it is not cut."""
        return None if self._trainer is None else getattr(self._trainer.strategy, "device_mesh", None)

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def automatic_optimization(self) -> bool:
        """False hands ``zero_grad``, ``backward`` and ``step`` to ``training_step``."""
        return self._automatic_optimization

    @automatic_optimization.setter
    def automatic_optimization(self, automatic: bool) -> None:
        self._automatic_optimization = automatic

    @property
    def example_input_array(self) -> Any:
        """An input of ``forward``, for summaries, graphs and exports."""
        return self._example_input_array

    @example_input_array.setter
    def example_input_array(self, example: Any) -> None:
        self._example_input_array = example

    @property
    def strict_loading(self) -> bool:
        """Whether a checkpoint must hold every key of ``state_dict`` and no other."""
        return self._strict_loading is None or self._strict_loading

    @strict_loading.setter
    def strict_loading(self, strict: bool | None) -> None:
        self._strict_loading = strict

    def __getstate__(self) -> dict[str, Any]:
        # A Trainer holds files and processes; the module travels without it, and without the `log` of a compiled run.
        kept = {name: value for name, value in self.__dict__.items() if name != "log"}
        return {**kept, "_trainer": None, "_moment": None}

    def _any_tensor(self, wanted: Callable[[Tensor], bool]) -> Tensor | None:
        found = next((tensor for tensor in self.parameters() if wanted(tensor)), None)
        return next((tensor for tensor in self.buffers() if wanted(tensor)), None) if found is None else found

    def _metric_attribute(self, metric: Any, attribute: str | None) -> str:
        """Return the name under which ``metric`` is an attribute, by identity."""
        if attribute is not None:
            return attribute
        for name, child in self.named_modules():
            if child is metric:
                return name
        raise MisconfigurationException(
            f"The {type(metric).__name__} given to self.log is no attribute of {type(self).__name__}: it could not "
            f"be reset "
            "and saved. Make it one (`self.accuracy = ...`), or pass metric_attribute='...'."
        )


def _without_trainer(name: str) -> None:
    warn_once(
        f"self.log({name!r}, ...) was called, but the module is not attached to a `Trainer`: nothing is recorded. "
        "This is expected when you call a step by hand."
    )


def _agreed(argument: str, given: Any, planned: Any) -> Any:
    if given is not None and planned is not None and given != planned:
        raise MisconfigurationException(
            f"`clip_gradients({argument}={given!r})` and `Trainer({argument}={planned!r})` disagree. Set it in one "
            f"place."
        )
    return planned if given is None else given
