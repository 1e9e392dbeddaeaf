"""Models that the user cuts up: a mesh of processes, some with other data, some with other parts of each layer."""

from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.pieces import is_piece
from fulgurite.base.rank import rank_zero_warn
from fulgurite.core.module import LightningModule
from fulgurite.runtime.hooks import overrides
from fulgurite.strategies.parallel import TIMEOUT
from fulgurite.strategies.sharded import ShardedStrategy, materialize, own_tensors, send_from_first

DIMENSIONS = ("data_parallel", "tensor_parallel")


class ModelParallelStrategy(ShardedStrategy):
    """Let ``configure_model`` cut the model up over ``self.device_mesh``, a mesh with two dimensions.

    Those along ``"data_parallel"`` read different data, those along ``"tensor_parallel"`` the same: there a layer's
    arithmetic is shared out, by torch's `parallelize_module`. `fully_shard` cuts over the first. "auto" sizes: as many
    machines as there are, and the processes of one machine. With ``save_distributed_checkpoint`` a checkpoint is a
    folder to which all ranks write, otherwise one file.
    """

    strategy_name = "model_parallel"

    @checked
    def __init__(
        self,
        data_parallel_size: int | Literal["auto"] = "auto",
        tensor_parallel_size: int | Literal["auto"] = "auto",
        save_distributed_checkpoint: bool = True,
        process_group_backend: str | None = None,
        timeout: timedelta = TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(process_group_backend=process_group_backend, timeout=timeout, **kwargs)
        for name, size in (("data_parallel_size", data_parallel_size), ("tensor_parallel_size", tensor_parallel_size)):
            if size != "auto" and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
                raise MisconfigurationException(f"{name}={size!r}: 'auto' or an int of at least 1 was expected.")
        self._sizes_wanted = data_parallel_size, tensor_parallel_size
        self.writes_folders = save_distributed_checkpoint
        self.device_mesh: DeviceMesh | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "device_mesh": None}

    @property
    def sizes(self) -> tuple[int, int]:
        """Processes along both dimensions. Raises ``MisconfigurationException`` where they do not make up all."""
        data, tensor = self._sizes_wanted
        world = self.world_size
        if data == "auto":
            data = world // tensor if tensor != "auto" else self.num_nodes
        tensor = world // data if tensor == "auto" else tensor
        if data * tensor != world:
            raise MisconfigurationException(
                f"data_parallel_size={self._sizes_wanted[0]!r} and tensor_parallel_size={self._sizes_wanted[1]!r} do "
                f"not make up the {world} processes: their product has to."
            )
        return data, tensor

    @property
    def data_world_size(self) -> int:
        return self.sizes[0]

    @property
    def data_rank(self) -> int:
        return self.global_rank // self.sizes[1]

    @property
    def distributed_sampler_kwargs(self) -> dict[str, int]:
        return {"num_replicas": self.data_world_size, "rank": self.data_rank}

    def setup_environment(self) -> None:
        module = self._module
        assert module is not None
        if not overrides(module, "configure_model", LightningModule):
            raise MisconfigurationException(
                f"ModelParallelStrategy lets `configure_model` cut the model up, and {type(module).__name__} has none. "
                "Define it, and call `parallelize_module` or `fully_shard` with `self.device_mesh` there; or use "
                "strategy='fsdp', which cuts any model."
            )
        super().setup_environment()
        if self.device_mesh is None:
            self.device_mesh = init_device_mesh(self.root_device.type, self.sizes, mesh_dim_names=DIMENSIONS)

    def tensor_init_context(self, empty_init: bool | None = None) -> Any:
        return torch.device("meta") if empty_init else super().tensor_init_context()

    def setup(self, trainer: Any) -> None:
        """Bring what is not cut to the device, with rank 0's values, and let all have the same buffers."""
        module = self._module
        assert module is not None
        materialize(module.modules(), self.root_device, bool(trainer.ckpt_path))
        module.to(self.root_device)
        send_from_first((each for part in module.modules() for each in own_tensors(part)), self.root_device)
        if str(trainer.state.fn) == "fit":
            self._check_exchange(module)
        super().setup(trainer)

    def reduce(self, tensor: Any, group: Any = None, reduce_op: str | None = "mean") -> Any:
        return super().reduce(tensor, self._data_group() if group is None else group, reduce_op)

    def _data_group(self) -> dist.ProcessGroup | None:
        return None if self.device_mesh is None else self.device_mesh[DIMENSIONS[0]].get_group()

    def _check_exchange(self, module: nn.Module) -> None:
        """Warn where ranks with different data would not hear of one another's gradients."""
        if self.sizes[0] == 1:
            return
        alone = [
            name
            for name, each in module.named_parameters()
            if each.requires_grad and not (is_piece(each) and DIMENSIONS[0] in (each.device_mesh.mesh_dim_names or ()))  # type: ignore[attr-defined]
        ]
        if alone:
            rank_zero_warn(
                f"Nothing brings the gradients of {', '.join(alone[:3])}{' and others' * (len(alone) > 3)} together "
                f"over the {self.sizes[0]} processes with different data, so their weights will drift apart. Call "
                "`fully_shard(self, mesh=self.device_mesh['data_parallel'])` at the end of `configure_model`."
            )
