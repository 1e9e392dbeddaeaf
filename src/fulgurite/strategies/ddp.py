"""One process for each device, all with the whole model: torch's DistributedDataParallel."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.parallel import DistributedDataParallel

from fulgurite.base.arguments import checked, fitting, shown
from fulgurite.core.checkpoint_io import CheckpointIO
from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.strategies.parallel import TIMEOUT, ParallelStrategy

OURS = ("module", "device_ids", "output_device", "process_group")
"""What torch's class takes and the strategy gives it."""


class DDPStrategy(ParallelStrategy):
    """Each process trains on its share of the data; gradients are averaged while backward runs.

    ``find_unused_parameters``, ``static_graph``, ``bucket_cap_mb`` and all other arguments of torch's
    `DistributedDataParallel` are passed on to it. ``ddp_comm_hook`` (with ``ddp_comm_state``, ``ddp_comm_wrapper``) is
    how gradients travel, such as ``fp16_compress_hook``. ``timeout`` is how long ranks wait for one another.
    """

    strategy_name = "ddp"

    @checked
    def __init__(
        self,
        *,
        ddp_comm_state: Any = None,
        ddp_comm_hook: Callable[..., Any] | None = None,
        ddp_comm_wrapper: Callable[..., Any] | None = None,
        process_group_backend: str | None = None,
        timeout: timedelta = TIMEOUT,
        start_method: str = "popen",
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
            start_method=start_method,
        )
        self._ddp_kwargs = _of_torch(kwargs)
        self._comm = ddp_comm_state, ddp_comm_hook, ddp_comm_wrapper
        self._wrapped: DistributedDataParallel | None = None
        self._exchanged: set[Parameter] = set()
        """Those whose gradients DDP brings together: the ones that were trained as it was built."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_wrapped": None, "_exchanged": set()}

    def setup(self, trainer: Any) -> None:
        """Wrap the model where it is trained; the weights of rank 0 go to all."""
        self._wrapped, self._exchanged = None, set()
        if str(trainer.state.fn) == "fit":
            self._wrap(self._trained())

    def begin_epoch(self) -> None:
        trained = self._trained()
        assert self._module is not None
        if not self._module.automatic_optimization:
            # Parameters of the optimizer whose turn it is not are frozen for the moment.
            trained |= self._exchanged
        if trained != self._exchanged:
            self._wrap(trained)

    def _trained(self) -> set[Parameter]:
        assert self._module is not None
        return {each for each in self._module.parameters() if each.requires_grad}

    def _wrap(self, trained: set[Parameter]) -> None:
        if self._wrapped is not None:
            # Those of the new one come beside them otherwise, and gradients are averaged twice.
            self._wrapped.reducer._remove_autograd_hooks()
        self.model, self._wrapped, self._exchanged = self._module, None, trained
        if not trained:
            return
        assert self.model is not None
        device = self.root_device
        ids = [device.index] if device.type == "cuda" else None
        frozen = [each for each in trained if not each.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(True)
        self.model = self._wrapped = DistributedDataParallel(self.model, device_ids=ids, **self._ddp_kwargs)
        for parameter in frozen:
            parameter.requires_grad_(False)
        state, hook, wrapper = self._comm
        if hook is not None:
            self._wrapped.register_comm_hook(state, hook if wrapper is None else wrapper(hook))

    def bind(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        """``training_step`` goes through DDP's forward. Validation doesn't: ranks may have other numbers of batches."""
        assert self._module is not None
        fits = str(self._module.trainer.state.fn) == "fit"
        if name != "training_step" or not fits or not self._module.automatic_optimization:
            return step
        return through(self, step)

    def pre_backward(self, loss: Tensor) -> Tensor:
        """By hand, every loss goes through DDP's forward by itself, right before its backward."""
        if self._wrapped is None or not torch.is_grad_enabled():
            return loss
        return through(self, lambda given: given)(loss)

    def no_sync(self) -> AbstractContextManager[Any]:
        """The context for batches that only add to the gradients."""
        assert self._wrapped is not None
        return self._wrapped.no_sync()

    def part(self, error: BaseException) -> None:
        super().part(error)
        if "did not receive grad" in str(error) and "find_unused_parameters" in str(error):
            error.add_note(
                "Some parameters had no part in the loss. If that is meant, freeze them, or pass "
                "Trainer(strategy='ddp_find_unused_parameters_true'), which looks for them in each step."
            )

    def teardown(self) -> None:
        super().teardown()
        self.model, self._wrapped, self._exchanged = self._module, None, set()


def _of_torch(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for torch's class. Raises ``TypeError`` for one that it has not, or that is set here."""
    known = dict(inspect.signature(DistributedDataParallel).parameters)
    for name in OURS:
        del known[name]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Those are: {', '.join(known)}."
            raise TypeError(
                f"DDPStrategy({name}={shown(given[name])}): neither the strategy nor torch's DistributedDataParallel "
                f"takes it from you. {hint}"
            )
    # Torch says of its yes and no that they are, and of little else.
    flags = {name for name, each in known.items() if isinstance(each.default, bool)}
    kinds = {**dict.fromkeys(flags, bool), "bucket_cap_mb": float | None}
    return {name: fitting(value, kinds.get(name, Any), f"DDPStrategy({name}={{}})") for name, value in given.items()}


def through(strategy: Any, step: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``step``, called in the forward of ``strategy._wrapped``, which prepares the exchange of gradients.

    That calls its module's ``forward``: that is ``step`` for the moment of entering, and the user's own inside.
    """
    own: dict[str, Any] = strategy._module.__dict__

    def redirected(*args: Any, **kwargs: Any) -> Any:
        own.pop("forward", None)
        if before is not None:
            own["forward"] = before
        return step(*args, **kwargs)

    before = own.get("forward")

    def stepped(*args: Any) -> Any:
        wrapped = strategy._wrapped
        if wrapped is None:
            return step(*args)
        own["forward"] = redirected
        return wrapped(*args)

    return stepped
