"""What strategies share in which no process has the whole model: its steps, its checkpoints, its beginning."""

import os
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel, register_fsdp_forward_method

from fulgurite.base import folder
from fulgurite.base.errors import CheckpointError, MisconfigurationException
from fulgurite.base.pieces import alike, is_piece, whole
from fulgurite.strategies.freezing import Freezing
from fulgurite.strategies.parallel import ParallelStrategy, Place

Way = tuple[Any, ...]
PART, END = "a part of the model", "the end of a step"
RESETS = ("reset_parameters", "_reset_parameters")


class ShardedStrategy(ParallelStrategy):
    """Weights, gradients and the optimizer's memory lie in pieces on all ranks, as torch's DTensor."""

    sharded = restore_checkpoint_after_setup = True
    writes_folders = False
    """Whether a checkpoint is a folder that all ranks write to, or one file, which rank 0 writes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._units: list[FSDPModule] = []
        self._firsts: list[tuple[nn.Module, str, Any] | None] = []
        self._hooks: list[Any] = []
        self._freezing: Freezing | None = None
        self._after_steps: list[Any] = []
        self._leads = False
        self._writers: Any = None

    def __getstate__(self) -> dict[str, Any]:
        lists: dict[str, Any] = {name: [] for name in ("_units", "_firsts", "_hooks", "_after_steps")}
        return {**super().__getstate__(), **lists, "_freezing": None, "_writers": None}

    def place(self, *args: Any) -> None:
        super().place(*args)
        # What is brought together under inference mode could not be trained with afterwards.
        self.allows_inference_mode = False

    def model_to_device(self) -> None:
        """It goes there piece by piece, in `setup`: all of it may not have room."""

    def model_from_device(self) -> None:
        """It stays there: NCCL brings pieces together on GPUs only, to be looked at, saved or tested afterwards."""

    def setup(self, trainer: Any) -> None:
        assert self._module is not None
        old = next((name for name, each in self._module.named_modules() if isinstance(each, _OLD)), None)
        if old is not None:
            raise MisconfigurationException(
                f"{old!r} is wrapped by FullyShardedDataParallel, torch's first FSDP. Leave it as it is and name its "
                "class in `FSDPStrategy(auto_wrap_policy={...})`, or call `torch.distributed.fsdp.fully_shard` on it."
            )
        self._units = [each for each in self._module.modules() if isinstance(each, FSDPModule)]
        self._gather_nothing()
        self._firsts = list(map(_first_parameter, self._units))
        self._freezing = Freezing(self._module, self._units)  # type: ignore[arg-type]

    def bind(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The whole step counts as the root's forward, so it may call any layer that is not wrapped by itself."""
        module = self._module
        assert module is not None
        if not isinstance(module, FSDPModule):
            return step
        # The root's pieces hang on what the step returns; that of `self(...)` inside may be changed in place.
        warnings.filterwarnings("ignore", rf"FSDP2-wrapped module \({type(module).__name__}\) returned a view")
        own = module.__dict__
        before = own.get(name)
        own[name] = step
        register_fsdp_forward_method(module, name)
        bound = own.pop(name)
        if before is not None:
            own[name] = before
        if name == "training_step":
            return bound

        def announced(*args: Any) -> Any:
            if self._leads:
                self._announce(self._units.index(module))
            return bound(*args)

        return announced

    def take_optimizers(self, session: Any) -> None:
        """Let one of them step weight by weight where some weights are cut otherwise than others.

        On GPUs torch steps over lists of weights if it isn't told, and fails where such ones are in a list together.
        """
        for optimizer in session.optimizers:
            for group in optimizer.param_groups:
                asked = group.get("foreach", False) is not None or group.get("fused")
                if not asked and len(alike(group["params"])) > 1:
                    group["foreach"] = False
            # What is together still has the weights from before the step.
            self._after_steps.append(optimizer.register_step_post_hook(self._after_step))

    def _after_step(self, *_: Any) -> None:
        self._gather_nothing()

    def require_grad(self, parameter: nn.Parameter, required: bool) -> None:
        """Say it of its layer as well, where that is together: pieces hand it on only when they come together."""
        assert self._freezing is not None
        self._freezing.require_grad(parameter, required)

    # -- steps that not all ranks have a batch for --------------------------------------------------------------------

    def lead(self) -> None:
        self._gather_nothing()
        self._leads = True
        self._hooks = [
            unit.register_forward_pre_hook(partial(self._announce, at), prepend=True)  # type: ignore[attr-defined]
            for at, unit in enumerate(self._units)
        ]

    def end_lead(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._leads = [], False
        self.meet(PART, END)
        self._gather_nothing()

    def follow(self) -> None:
        self._gather_nothing()
        while True:
            told = {each for each in self.meet(PART) if each is not None}
            if told == {END}:
                break
            for at in sorted(told - {END}):
                self._units[at].unshard()
                self._units[at].reshard()
        self._gather_nothing()

    def _announce(self, at: int, *_: Any) -> None:
        """Tell those that follow which part is brought together now, unless it is already."""
        first = self._firsts[at]
        if first is not None:
            owner, name, mesh = first
            parameter: Any = owner._parameters[name]
            if is_piece(parameter) and parameter.device_mesh == mesh:
                self.meet(PART, at)

    def _gather_nothing(self) -> None:
        # All ranks have to agree on what is together and what is not.
        for unit in self._units:
            unit.reshard()

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Place, storage_options: Any = None) -> None:
        """Write one file by rank 0, or a folder by all ranks. All have to come."""
        if self._alone and self.world_size > 1:
            raise CheckpointError(
                f"The checkpoint {os.fspath(filepath)!r} can't be written: this rank failed, and holds pieces of the "
                "weights only. The last checkpoint before is whole."
            )
        if not self.writes_folders:
            super().save_checkpoint(whole(checkpoint, keep=self.is_global_zero), filepath, storage_options)
            return
        if storage_options is not None:
            raise TypeError(f"storage_options={storage_options!r}: a checkpoint that is a folder takes no options.")
        # A group of its own: it may be written by a thread, while the ranks meet for other things.
        self._writers = self._writers or dist.new_group(backend="gloo", timeout=self.timeout)
        write = partial(folder.write_folder, path=filepath, name_of=self._names(), group=self._writers)
        self.checkpoint_io.save_by(write, checkpoint, filepath)

    def load_checkpoint(self, path: Place, weights_only: bool | None = None) -> dict[str, Any]:
        if not folder.is_folder(path):
            return super().load_checkpoint(path, weights_only)
        assert self._module is not None
        own = {name: each for name, each in self._module.state_dict().items() if is_piece(each)}

        def empty(name: str | None, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
            like = own.get(str(name))
            fits = like is not None and like.shape == shape
            return torch.empty_like(like, dtype=dtype) if fits else torch.empty(shape, dtype=dtype)  # type: ignore[arg-type]

        return folder.read_folder(path, empty, weights_only, self._group)

    def _names(self) -> Callable[[Way], str | None]:
        """Which parameter a piece at a place of the checkpoint belongs to."""
        assert self._module is not None
        named = {id(each): name for name, each in self._module.named_parameters()}
        optimizers = [
            [named.get(id(each)) for group in optimizer.param_groups for each in group["params"]]
            for optimizer in self._module.trainer.optimizers
        ]

        def name_of(way: Way) -> str | None:
            if way[:1] == ("optimizer_states",) and way[2:3] == ("state",):
                return optimizers[way[1]][way[3]]
            return str(way[-1]) if way[0] in ("state_dict", "fulgurite") else None

        return name_of

    def teardown(self) -> None:
        super().teardown()
        if self._freezing is not None:
            self._freezing.end()
        for handle in self._after_steps:
            handle.remove()
        self._after_steps = []
        self.model = self._module


_OLD = FullyShardedDataParallel


def own_tensors(module: nn.Module) -> list[torch.Tensor]:
    """The parameters and buffers that ``module`` itself holds."""
    return [each for each in (*module._parameters.values(), *module._buffers.values()) if each is not None]


def materialize(modules: Iterable[nn.Module], device: torch.device, is_loaded: bool) -> None:
    """Give those of ``modules`` that are on the meta device a place on ``device``, and their first values.

    With ``is_loaded`` the values come from a checkpoint. Raises ``MisconfigurationException`` where a module can't make
    its own.
    """
    for module in modules:
        if not any(each.is_meta for each in own_tensors(module)):
            continue
        module.to_empty(device=device, recurse=False)
        reset = next((getattr(module, name) for name in RESETS if callable(getattr(module, name, None))), None)
        if reset is not None:
            reset()
        elif not is_loaded:
            raise MisconfigurationException(
                f"{type(module).__name__} was built on the meta device, without values, and has no "
                "`reset_parameters()` to make them. Define it, pass a ckpt_path, or build the model without "
                '`torch.device("meta")`.'
            )


def send_from_first(tensors: Iterable[torch.Tensor], device: torch.device) -> None:
    """Let all ranks have the values of rank 0, one tensor after another."""
    if dist.get_world_size() == 1:
        return
    for tensor in tensors:
        if not is_piece(tensor):
            there = tensor.detach().to(device).contiguous()
            dist.broadcast(there, src=0)
            tensor.detach().copy_(there)


def _first_parameter(unit: Any) -> tuple[nn.Module, str, Any] | None:
    """A parameter that ``unit`` itself brings together: who holds it, its name, and the mesh that it is cut over."""
    inner = {
        id(each)
        for child in unit.modules()
        if child is not unit and isinstance(child, FSDPModule)
        for each in child.parameters()  # type: ignore[attr-defined]
    }
    for owner in unit.modules():
        for name, each in owner._parameters.items():
            if each is not None and id(each) not in inner:
                return owner, name, each.device_mesh if is_piece(each) else None
    return None
