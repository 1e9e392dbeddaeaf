"""Weights, gradients and the optimizer's memory in pieces on all ranks: torch's `fully_shard`."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffload,
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecision,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
)

from fulgurite.base.arguments import checked, fitting, shown
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info
from fulgurite.core.checkpoint_io import CheckpointIO
from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.strategies.parallel import TIMEOUT
from fulgurite.strategies.sharded import ShardedStrategy, materialize, own_tensors, send_from_first

Policy = Any
"""A set of module classes, a function of a module, or one of `torch.distributed.fsdp.wrap`."""

RESHARDS = {"FULL_SHARD": None, "SHARD_GRAD_OP": False, "HYBRID_SHARD": None, "_HYBRID_SHARD_ZERO2": False}
"""By name of torch's `ShardingStrategy`: whether parts are cut again after the forward; None leaves it to torch."""
BOTH = "cpu:gloo,cuda:nccl"
"""The backends of a process group that brings tensors together wherever they lie."""
ALWAYS = {"use_orig_params": True, "sync_module_states": True, "limit_all_gathers": True}
"""Arguments of torch's first FSDP, and what the second does anyway."""


class FSDPStrategy(ShardedStrategy):
    """Each rank keeps a piece of every weight; the whole of a layer is there only while it computes.

    ``auto_wrap_policy`` names the layers that are brought together one at a time, such as ``{Block}``; or it is a
    function that says so of a module. Without it the model is one layer, and memory is saved for gradients and the
    optimizer alone. ``activation_checkpointing_policy`` names the layers that are computed anew in backward instead of
    being remembered.

    ``sharding_strategy``: "FULL_SHARD"; "SHARD_GRAD_OP" keeps layers whole between forward and backward;
    "HYBRID_SHARD" cuts within each machine, and has copies between them. ``reshard_after_forward`` says the same as
    torch does, ``device_mesh`` the sizes of both (copies, pieces) or a mesh of your own. ``cpu_offload`` keeps the
    pieces in the computer's memory.

    ``mixed_precision`` is torch's `MixedPrecisionPolicy`: with ``param_dtype=torch.bfloat16`` layers travel and compute
    in half of the bytes, loss included. Without, ``Trainer(precision=...)`` means what it means on one device.

    With ``state_dict_type="sharded"`` a checkpoint is a folder to which all ranks write, and which any number of
    processes can read; "full" is one file, as ever.
    """

    strategy_name = "fsdp"

    @checked
    def __init__(
        self,
        *,
        process_group_backend: str | None = None,
        timeout: timedelta = TIMEOUT,
        cpu_offload: Any = None,
        mixed_precision: MixedPrecisionPolicy | MixedPrecision | None = None,
        auto_wrap_policy: Policy | None = None,
        activation_checkpointing: Any = None,
        activation_checkpointing_policy: Policy | None = None,
        sharding_strategy: Any = "FULL_SHARD",
        reshard_after_forward: bool | int | None = None,
        state_dict_type: str = "full",
        device_mesh: tuple[int, int] | list[int] | DeviceMesh | None = None,
        parallel_devices: Sequence[torch.device] | None = None,
        cluster_environment: ClusterEnvironment | None = None,
        checkpoint_io: CheckpointIO | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            parallel_devices=parallel_devices,
            cluster_environment=cluster_environment,
            checkpoint_io=checkpoint_io,
            process_group_backend=process_group_backend,
            timeout=timeout,
        )
        self.sharding = _sharding(sharding_strategy)
        if state_dict_type not in ("full", "sharded"):
            raise ValueError(f"state_dict_type={state_dict_type!r}: 'full' or 'sharded' was expected.")
        _check_others(kwargs)
        self.state_dict_type = state_dict_type
        self.writes_folders = state_dict_type == "sharded"
        self.mixed_precision = _precision(mixed_precision)
        self.reshard_after_forward = RESHARDS[self.sharding] if reshard_after_forward is None else reshard_after_forward
        self.cpu_offload = _offloads(cpu_offload)
        self._wraps = _policy("auto_wrap_policy", auto_wrap_policy)
        self._recomputes = _policy("activation_checkpointing_policy", activation_checkpointing_policy)
        if self._recomputes is None:
            self._recomputes = _policy("activation_checkpointing", activation_checkpointing)
        self._mesh_wanted = _mesh_sizes(device_mesh)
        self.device_mesh: DeviceMesh | None = device_mesh if isinstance(device_mesh, DeviceMesh) else None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "device_mesh": None}

    def setup_environment(self) -> None:
        if self.cpu_offload and self.root_device.type == "cuda" and self.process_group_backend is None:
            # Norms of gradients that lie in the computer's memory are summed there.
            self.process_group_backend = BOTH
        super().setup_environment()
        if self.cpu_offload and self.root_device.type == "cuda" and "cpu:" not in dist.get_backend_config():
            raise MisconfigurationException(
                "FSDPStrategy(cpu_offload=True): pieces in the computer's memory are brought together by gloo, and the "
                f"process group that was there before has {dist.get_backend_config()!r} alone. Pass "
                f"process_group_backend={BOTH!r} to the strategy of the Trainer that begins it."
            )
        self.device_mesh = self.device_mesh or self._mesh()

    def setup(self, trainer: Any) -> None:
        """Cut the model up, layer by layer: each is made whole on the device, gets rank 0's values, and is cut."""
        module = self._module
        assert module is not None
        if not any(isinstance(each, FSDPModule) for each in module.modules()):
            self._recompute(str(trainer.state.fn) == "fit")
            self._cut(bool(trainer.ckpt_path))
        elif not self.cpu_offload:
            module.to(self.root_device)
        super().setup(trainer)

    def tensor_init_context(self, empty_init: bool | None = None) -> Any:
        """With ``empty_init`` the model is built without values, and each layer gets them when it is cut."""
        return torch.device("meta") if empty_init else super().tensor_init_context()

    def _cut(self, is_loaded: bool) -> None:
        module = self._module
        assert module is not None
        units = self._chosen(module)
        done: set[int] = set()
        for unit in [*units, module]:
            fresh = [each for each in unit.modules() if id(each) not in done]
            done.update(map(id, fresh))
            materialize(fresh, self.root_device, is_loaded)
            send_from_first((tensor for each in fresh for tensor in own_tensors(each)), self.root_device)
            if unit is not module or module.automatic_optimization:
                self._shard(unit)
        own = [name for name, each in module.named_parameters(recurse=False)]
        if own and not module.automatic_optimization:
            raise MisconfigurationException(
                f"With manual optimization every parameter has to be in a layer that `training_step` calls, and "
                f"{type(module).__name__} holds {', '.join(own)} itself. Put it into a module of its own."
            )
        if not module.automatic_optimization:
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.to(self.root_device))

    def _shard(self, unit: nn.Module) -> None:
        fully_shard(
            unit,
            mesh=self.device_mesh,
            reshard_after_forward=self.reshard_after_forward,
            mp_policy=self.mixed_precision or MixedPrecisionPolicy(),
            offload_policy=CPUOffloadPolicy(pin_memory=torch.cuda.is_available())
            if self.cpu_offload
            else OffloadPolicy(),
        )

    def _chosen(self, module: Any) -> list[nn.Module]:
        """The layers that are brought together one at a time, inner ones first."""
        wanted = list(_matching(module, self._wraps))
        if not module.automatic_optimization:
            # Nobody calls the root: each of its layers has to bring itself together.
            wanted += [each for each in _called(module) if each not in wanted]
        elif self._wraps is None:
            rank_zero_info(
                "FSDPStrategy got no auto_wrap_policy: the whole model is brought together for each batch. Name its "
                "layers, `FSDPStrategy(auto_wrap_policy={Block})`, to have one of them at a time."
            )
        order = {id(each): at for at, each in enumerate(module.modules())}
        # Modules come before their children there.
        return sorted(wanted, key=lambda each: -order[id(each)])

    def _recompute(self, trains: bool) -> None:
        if self._recomputes is None or not trains:
            return
        from torch.distributed._composable.checkpoint_activation import checkpoint  # late: seldom wanted

        assert self._module is not None
        for layer in _matching(self._module, self._recomputes):
            checkpoint(layer)

    def _mesh(self) -> DeviceMesh:
        kind, world = self.root_device.type, self.world_size
        wanted: Any = self._mesh_wanted
        if "HYBRID" in self.sharding and wanted is None:
            wanted = (self.num_nodes, world // self.num_nodes)
        if wanted is None:
            return init_device_mesh(kind, (world,), mesh_dim_names=("shard",))
        sizes = tuple(wanted)
        if len(sizes) != 2 or sizes[0] * sizes[1] != world:
            raise MisconfigurationException(
                f"device_mesh={wanted!r}: two sizes were expected, copies and pieces, whose product is the number of "
                f"processes, {world}."
            )
        return init_device_mesh(kind, sizes, mesh_dim_names=("replicate", "shard"))


def _sharding(word: Any) -> str:
    name = (word.name if isinstance(word, Enum) else str(word)).upper()
    if name == "NO_SHARD":
        raise MisconfigurationException("sharding_strategy='NO_SHARD' cuts nothing: use strategy='ddp'.")
    if name not in RESHARDS:
        words = ", ".join(repr(each) for each in RESHARDS if not each.startswith("_"))
        raise ValueError(f"sharding_strategy={shown(word)}: one of {words} was expected.")
    return name


def _offloads(wanted: Any) -> bool:
    """True, torch's `OffloadPolicy`, or the `CPUOffload` of its first FSDP. Raises ``WrongKind`` for others."""
    if isinstance(wanted, OffloadPolicy):
        return isinstance(wanted, CPUOffloadPolicy)
    if isinstance(wanted, CPUOffload):
        return bool(wanted.offload_params)
    return bool(fitting(wanted, bool | None, "FSDPStrategy(cpu_offload={})"))


def _mesh_sizes(wanted: Any) -> Any:
    """The mesh as it was given. Raises ``MisconfigurationException`` where it is neither one of torch nor two sizes."""
    if isinstance(wanted, tuple | list) and (
        len(wanted) != 2 or not all(type(size) is int and size > 0 for size in wanted)
    ):
        raise MisconfigurationException(
            f"device_mesh={wanted!r}: two ints of at least 1 were expected, the numbers of copies and of pieces."
        )
    return wanted


def _check_others(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if name not in ALWAYS or value is not ALWAYS[name]:
            raise TypeError(
                f"FSDPStrategy({name}={shown(value)}): torch's `fully_shard`, which cuts the model, has no such "
                "setting. Leave it out."
            )


def _precision(wanted: Any) -> MixedPrecisionPolicy | None:
    """What ``wanted`` means to `fully_shard`; it may be the `MixedPrecision` of torch's first FSDP."""
    if isinstance(wanted, MixedPrecision):
        casts = wanted.cast_forward_inputs or wanted.cast_root_forward_inputs
        return MixedPrecisionPolicy(wanted.param_dtype, wanted.reduce_dtype, cast_forward_inputs=casts)
    if isinstance(wanted, MixedPrecisionPolicy | None):
        return wanted
    raise MisconfigurationException(
        f"mixed_precision={wanted!r}: a `torch.distributed.fsdp.MixedPrecisionPolicy` was expected, such as "
        "MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)."
    )


def _policy(name: str, policy: Policy) -> Policy:
    """Return the policy, a single class as a set of it. Raises ``MisconfigurationException`` for what is none."""
    policy = {policy} if isinstance(policy, type) else policy
    classes = isinstance(policy, set | frozenset | list | tuple)
    wrong = [each for each in policy if not (isinstance(each, type) and issubclass(each, nn.Module))] if classes else []
    if wrong or (policy is not None and not classes and not callable(policy)):
        raise MisconfigurationException(
            f"{name}={shown(policy)}: a set of module classes, such as {{nn.TransformerEncoderLayer}}, or a function "
            "of a module was expected."
        )
    return policy


def _matching(module: nn.Module, policy: Policy) -> Iterator[nn.Module]:
    """The modules inside ``module`` that the policy names."""
    if policy is None:
        return
    if isinstance(policy, set | frozenset | list | tuple):
        yield from (each for each in module.modules() if each is not module and isinstance(each, tuple(policy)))
    elif "recurse" in inspect.signature(policy).parameters:
        found: list[nn.Module] = []
        _ask_by_size(module, policy, found, is_root=True)
        yield from found
    else:
        yield from (each for each in module.modules() if each is not module and policy(each))


def _ask_by_size(module: nn.Module, policy: Callable[..., bool], found: list[nn.Module], is_root: bool) -> int:
    """Ask a policy of `torch.distributed.fsdp.wrap`, which goes by what is not chosen yet. Return what is."""
    total = sum(each.numel() for each in module.parameters())
    chosen = 0
    if policy(module=module, recurse=True, nonwrapped_numel=total):
        chosen = sum(_ask_by_size(child, policy, found, is_root=False) for child in module.children())
    if not is_root and policy(module=module, recurse=False, nonwrapped_numel=total - chosen):
        found.append(module)
        return total
    return chosen


def _called(module: nn.Module) -> Iterator[nn.Module]:
    """The layers directly inside ``module``: what can be called, and has parameters."""
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _called(child)
        elif any(True for _ in child.parameters()):
            yield child
