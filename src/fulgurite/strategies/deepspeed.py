"""The optimizer's memory, and gradients, in pieces on all ranks: the engine of the `deepspeed` package."""

import json
import os
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from fulgurite.base.arguments import checked, fitting, shown
from fulgurite.base.errors import CheckpointError, MisconfigurationException, MissingExtra
from fulgurite.base.optional import available
from fulgurite.base.rank import rank_zero_warn
from fulgurite.core.checkpoint_io import CheckpointIO
from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.core.module import LightningModule
from fulgurite.core.precision import Precision
from fulgurite.runtime.hooks import overrides
from fulgurite.strategies.ddp import through
from fulgurite.strategies.parallel import TIMEOUT, ParallelStrategy, Place
from fulgurite.strategies.sharded import own_tensors, send_from_first
from fulgurite.strategies.zero import Pieces, keep_gradients

PRECISIONS = ("32-true", "bf16-mixed", "bf16-true")
STAGES = (1, 2)
OWN_SECTIONS = {
    "optimizer": "`configure_optimizers` returns the optimizer",
    "scheduler": "`configure_optimizers` returns the scheduler",
    "fp16": "pass Trainer(precision='bf16-mixed') or 'bf16-true'",
    "bf16": "pass Trainer(precision='bf16-true')",
    "torch_autocast": "pass Trainer(precision='bf16-mixed')",
}
"""Parts of DeepSpeed's configuration that the Trainer or the module says."""


class DeepSpeedStrategy(ParallelStrategy):
    """DeepSpeed's ZeRO: each rank keeps a part of the optimizer's memory (``stage=1``), and of the gradients (2).

    ``offload_optimizer`` keeps that part in the computer's memory. ``config`` is DeepSpeed's own configuration, a dict
    or the path of a JSON file: what it says wins over the arguments here, which are the same settings by name.
    Checkpoints are one file, as ever: rank 0 gets each tensor in its turn.

    Raises ``MissingExtra`` where the package is not installed, ``MisconfigurationException`` for what it can't do.
    """

    strategy_name = "deepspeed"

    @checked
    def __init__(
        self,
        *,
        zero_optimization: bool = True,
        stage: int = 2,
        offload_optimizer: bool = False,
        offload_parameters: bool = False,
        allgather_partitions: bool = True,
        allgather_bucket_size: int = 200_000_000,
        reduce_scatter: bool = True,
        reduce_bucket_size: int = 200_000_000,
        overlap_comm: bool = True,
        contiguous_gradients: bool = True,
        config: Mapping[str, Any] | Place | None = None,
        process_group_backend: str | None = None,
        timeout: timedelta = TIMEOUT,
        parallel_devices: Sequence[torch.device] | None = None,
        cluster_environment: ClusterEnvironment | None = None,
        checkpoint_io: CheckpointIO | None = None,
    ) -> None:
        own = _own_config(config)
        zero: dict[str, Any] = {
            "stage": stage,
            "allgather_partitions": allgather_partitions,
            "allgather_bucket_size": allgather_bucket_size,
            "reduce_scatter": reduce_scatter,
            "reduce_bucket_size": reduce_bucket_size,
            "overlap_comm": overlap_comm,
            "contiguous_gradients": contiguous_gradients,
        }
        _check_sizes(zero)
        if offload_optimizer:
            zero["offload_optimizer"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
        zero |= own.get("zero_optimization", {})
        _check_stage(zero, zero_optimization, offload_parameters)
        if not available("deepspeed"):
            raise MissingExtra(
                "DeepSpeedStrategy works over the package 'deepspeed', which is not installed. Install it with: "
                "pip install deepspeed",
                name="deepspeed",
            )
        super().__init__(
            parallel_devices=parallel_devices,
            cluster_environment=cluster_environment,
            checkpoint_io=checkpoint_io,
            process_group_backend=process_group_backend,
            timeout=timeout,
        )
        self.config: dict[str, Any] = {**_DEFAULTS, **own, "zero_optimization": zero}
        self.offloads = "offload_optimizer" in zero
        self._engine: Any = None
        self._pieces: Pieces | None = None
        self._precision: EnginePrecision | None = None
        self._step: Callable[..., Any] | None = None
        self._through: Callable[..., Any] | None = None
        self._has_gradients = self._ends_in_backward = False

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), **dict.fromkeys(("_engine", "_pieces", "_step", "_through"))}

    @property
    def engine(self) -> Any:
        """DeepSpeed's engine; None outside of a training."""
        return self._engine

    _wrapped = engine

    def precision_for(self, precision: Precision) -> Precision:
        known = type(precision).__module__.startswith("fulgurite.") and precision.precision in PRECISIONS
        if not known:
            raise MisconfigurationException(
                f"precision={precision.precision!r} ({type(precision).__name__}) does not go together with "
                f"DeepSpeedStrategy. Choose one of {', '.join(map(repr, PRECISIONS))}."
            )
        self._precision = EnginePrecision(self, precision)
        return self._precision

    # -- beginning ----------------------------------------------------------------------------------------------------

    def setup_environment(self) -> None:
        if self.root_device.type == "cpu":
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
        super().setup_environment()

    def setup(self, trainer: Any) -> None:
        """Refuse what DeepSpeed can't do, and let all have the values of rank 0."""
        module = self._module
        assert module is not None
        if str(trainer.state.fn) != "fit":
            if self._precision is not None:
                self._precision.asked.convert_module(module)
            return
        _check_training(module, trainer)
        self._pieces, self._has_gradients = None, False
        send_from_first((each for part in module.modules() for each in own_tensors(part)), self.root_device)

    def bind(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        """``training_step`` goes through the engine's forward; evaluation needs nobody else."""
        if name != "training_step":
            return step
        context = None if self._precision is None else self._precision.asked.context_of(name)
        self._step = step if context is None else _in_context(step, context)
        # The engine comes with the optimizer, later.
        return lambda *args: self._through(*args)  # type: ignore[misc]

    def take_optimizers(self, session: Any) -> None:
        """Give model and optimizer to DeepSpeed's engine."""
        import deepspeed  # late: an optional package, and slow to load

        module, optimizers = self._module, session.optimizers
        assert module is not None and self._step is not None
        if len(optimizers) != 1 or not isinstance(optimizers[0], Optimizer) or isinstance(optimizers[0], LBFGS):
            got = ", ".join(type(each).__name__ for each in optimizers) or "none"
            raise MisconfigurationException(
                f"DeepSpeedStrategy trains with one optimizer, not LBFGS; `configure_optimizers` returned {got}."
            )
        optimizer = optimizers[0]
        groups = [list(group["params"]) for group in optimizer.param_groups]
        trained = [each for group in groups for each in group if each.requires_grad]
        if not trained:
            raise MisconfigurationException("All parameters of the optimizer are frozen: DeepSpeed has nothing to do.")
        halves = self._precision is not None and self._precision.precision == "bf16-true"
        # The engine would start from rounded weights; those of a checkpoint are not.
        exact = [each.detach().to("cpu", torch.float32, copy=True) for each in trained] if halves else []
        deepspeed.init_distributed(dist_backend=dist.get_backend(), auto_mpi_discovery=False, verbose=False)
        device = Namespace(device_rank=self.root_device.index or 0)
        self._engine = deepspeed.initialize(
            args=device, model=module, optimizer=optimizer, model_parameters=trained,
            config=self._full_config(session.plan, halves),
        )[0]  # fmt: skip
        self._pieces = Pieces(optimizer, groups, self.root_device)
        for parameter, value in zip(trained, exact, strict=False):
            self._pieces.put_weight(value, parameter)
        optimizer.register_load_state_dict_pre_hook(self._pieces.take)
        # What its groups hold now are the engine's buffers, of which some gradients have to stay where they are.
        optimizer.zero_grad = keep_gradients  # type: ignore[method-assign]
        self._through = through(self, self._step)

    def _full_config(self, plan: Any, halves: bool) -> dict[str, Any]:
        """DeepSpeed's configuration with what the Trainer was told. Raises where the two contradict each other."""
        full = {**self.config, "bf16": {"enabled": halves}}
        said = {"gradient_accumulation_steps": plan.accumulate_grad_batches}
        if plan.clips():
            said["gradient_clipping"] = plan.gradient_clip_val
        for name, value in said.items():
            if full.setdefault(name, value) != value:
                raise MisconfigurationException(
                    f"DeepSpeed's config says {name}={full[name]!r}, and the Trainer {value!r}. Leave it out of the "
                    "config."
                )
        if "train_batch_size" not in full:
            full.setdefault("train_micro_batch_size_per_gpu", 1)
        return full

    # -- steps --------------------------------------------------------------------------------------------------------

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A batch that is not the last of its accumulation window: the engine only adds up."""
        self._engine.set_gradient_accumulation_boundary(False)
        yield
        self._ends_in_backward = False
        self._engine.step()
        self._engine.set_gradient_accumulation_boundary(True)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """The engine's backward; the Trainer has divided by the batches of the window."""
        self._has_gradients = self._ends_in_backward = True
        self._engine.backward(loss, *args, scale_wrt_gas=False, **kwargs)

    def change_weights(self) -> None:
        """The engine's step, which clips; nothing where no batch of the window had a loss."""
        if self._has_gradients and not self._ends_in_backward:
            raise MisconfigurationException(
                "`training_step` returned None for the last batch of an accumulation window, in which DeepSpeed brings "
                "the gradients of all together. Return a loss for it, such as one that is multiplied by 0."
            )
        if self._has_gradients:
            self._engine.step()
        self._has_gradients = self._ends_in_backward = False

    def check_clipping(self, value: float) -> None:
        if self._engine is not None and value != self._engine.gradient_clipping():
            raise MisconfigurationException(
                f"`clip_gradients` was called with {value}, and DeepSpeed clips in its own step, by what it was told "
                f"at the start: {self._engine.gradient_clipping()}. Pass Trainer(gradient_clip_val={value})."
            )

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Place, storage_options: Any = None) -> None:
        """Rank 0 writes one file with the whole of each tensor. All have to come."""
        if self._pieces is not None:
            if self._alone and self.world_size > 1:
                raise CheckpointError(
                    f"The checkpoint {os.fspath(filepath)!r} can't be written: this rank failed, and holds a part of "
                    "the optimizer's memory only. The last checkpoint before is whole."
                )
            if self._has_gradients:
                rank_zero_warn(
                    f"The checkpoint {os.fspath(filepath)!r} is written inside of an accumulation window, whose "
                    "gradients DeepSpeed keeps to itself: a run that goes on from it lacks them in its first step."
                )
            self._put_whole_weights(self._pieces, checkpoint["state_dict"])
            if "optimizer_states" in checkpoint:
                checkpoint["optimizer_states"] = [self._pieces.state_dict()]
        super().save_checkpoint(checkpoint, filepath, storage_options)

    def _put_whole_weights(self, pieces: Pieces, weights: dict[str, Any]) -> None:
        """Trained weights in float32, as the optimizer has them, each with memory of its own."""
        assert self._module is not None
        for name, parameter in self._module.named_parameters(remove_duplicate=False):
            if name in weights and id(parameter) in pieces.places:
                weights[name] = pieces.weight(parameter)

    def teardown(self) -> None:
        if self._engine is not None:
            # The optimizer stays, with this rank's parts: the last checkpoint may be saved after the training.
            self._engine.destroy()
        super().teardown()
        self.model, self._engine, self._through = self._module, None, None


class EnginePrecision(Precision):
    """What was asked for, with backward and step by DeepSpeed's engine."""

    def __init__(self, strategy: DeepSpeedStrategy, asked: Precision) -> None:
        self.strategy, self.asked, self.precision = strategy, asked, asked.precision

    @property
    def converts_input(self) -> bool:
        return self.asked.converts_input

    def convert_input(self, batch: Any) -> Any:
        return self.asked.convert_input(batch)

    def context_of(self, step: str) -> Callable[[], AbstractContextManager[Any]] | None:
        # The engine turns autocast off around its forward; `DeepSpeedStrategy.bind` enters it inside.
        return None if step == "training_step" else self.asked.context_of(step)

    def convert_module(self, module: nn.Module) -> nn.Module:
        """As it is: the engine makes weights in half of the bytes, and keeps the whole ones."""
        return module

    def module_init_context(self) -> AbstractContextManager[Any]:
        return self.asked.module_init_context() if self.precision != "bf16-true" else super().module_init_context()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        self.strategy.backward(loss, *args, **kwargs)

    def step(self, optimizer: Optimizer, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        answer = None if closure is None else closure()
        self.strategy.change_weights()
        return answer

    def clip_grad_by_norm(self, optimizer: Optimizer, clip_val: int | float) -> None:
        """The engine clips in its step, by the Trainer's value. Raises for another one."""
        self.strategy.check_clipping(clip_val)

    def clip_grad_by_value(self, optimizer: Optimizer, clip_val: int | float) -> None:
        raise MisconfigurationException("DeepSpeed clips by norm only. Leave out gradient_clip_algorithm='value'.")


_DEFAULTS: dict[str, Any] = {
    "zero_allow_untested_optimizer": True,
    "zero_force_ds_cpu_optimizer": False,
    "steps_per_print": 2**31 - 1,
}
"""Any optimizer of torch, also with offloading; and no lines of DeepSpeed's own every ten steps."""


def _own_config(given: Any) -> dict[str, Any]:
    """Return the user's configuration as a dict. Raises ``MisconfigurationException`` where it is none."""
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise MisconfigurationException(f"config={os.fspath(path)!r} can't be read: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise MisconfigurationException(f"config={os.fspath(path)!r} is not JSON: {error}") from error
    if not isinstance(given, Mapping | None):
        raise MisconfigurationException(f"config={shown(given)}: a dict or the path of a JSON file was expected.")
    own = dict(given or {})
    for name, instead in OWN_SECTIONS.items():
        if name in own:
            raise MisconfigurationException(f"DeepSpeed's config has a section {name!r}: leave it out; {instead}.")
    fitting(own.get("zero_optimization", {}), Mapping, "zero_optimization={} in DeepSpeed's config")
    return own


def _check_sizes(zero: Mapping[str, Any]) -> None:
    for name in ("allgather_bucket_size", "reduce_bucket_size"):
        if zero[name] < 1:
            raise MisconfigurationException(f"{name}={zero[name]}: a number of elements from 1 was expected.")


def _check_stage(zero: Mapping[str, Any], wanted: bool, offload_parameters: bool) -> None:
    stage = fitting(zero["stage"], int, "stage={}")
    if not wanted or stage == 0:
        said = "stage=0" if wanted else f"zero_optimization={wanted!r}"
        raise MisconfigurationException(f"DeepSpeedStrategy({said}) cuts nothing: use strategy='ddp'.")
    if stage == 3 or offload_parameters or "offload_param" in zero:
        said = f"stage={stage}" if stage == 3 else f"offload_parameters={offload_parameters or 'offload_param' in zero}"
        raise MisconfigurationException(
            f"{said}: DeepSpeed's stage 3, which cuts the weights too, is not supported yet. Use strategy='fsdp', "
            "which does the same, or 'fsdp_cpu_offload'."
        )
    if stage not in STAGES:
        raise ValueError(f"stage={stage!r}: 1 or 2 was expected.")


def _check_training(module: Any, trainer: Any) -> None:
    if not module.automatic_optimization:
        raise MisconfigurationException(
            f"DeepSpeedStrategy steps by its engine, and {type(module).__name__} optimizes by hand. Use "
            "strategy='ddp' or 'fsdp'."
        )
    if overrides(module, "backward", LightningModule):
        raise MisconfigurationException(
            f"{type(module).__name__} overrides `backward`, which is the engine's with DeepSpeedStrategy. Use "
            "strategy='ddp' or 'fsdp'."
        )
    plan = trainer.plan
    if plan.clips() and plan.gradient_clip_algorithm == "value":
        raise MisconfigurationException(
            "DeepSpeed clips by norm only. Leave out gradient_clip_algorithm='value', or use strategy='fsdp'."
        )
    if plan.exact_accumulation:
        raise MisconfigurationException(
            "exact_accumulation=True needs the gradients, which DeepSpeed keeps to itself. Leave it out."
        )


def _in_context(step: Callable[..., Any], context: Callable[[], Any]) -> Callable[..., Any]:
    def stepped(*args: Any) -> Any:
        with context():
            return step(*args)

    return stepped
