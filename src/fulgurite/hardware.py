"""Which devices a Trainer computes on, in how many processes, and how numbers are held there."""

import difflib
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch

import fulgurite.base.start  # noqa: F401  # as early as the package is used
from fulgurite.base.arguments import shown
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn
from fulgurite.core.checkpoint_io import CheckpointIO, TorchCheckpointIO
from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.core.precision import Precision
from fulgurite.core.strategy import Strategy
from fulgurite.plugins.layer_sync import LayerSync
from fulgurite.precision.choose import choose as choose_precision
from fulgurite.runtime.devices import MOST, Accelerator, pick
from fulgurite.strategies.single import SingleDeviceStrategy

Arguments = Mapping[str, Any]

PLUGINS = (Precision, CheckpointIO, LayerSync, ClusterEnvironment)
STARTS = {"ddp": "popen", "ddp_spawn": "spawn", "ddp_fork": "fork", "ddp_notebook": "fork"}
"""How the processes of each kind of DDP begin."""
STRATEGIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    name + suffix: ("fulgurite.strategies.ddp", "DDPStrategy", {"start_method": start, **unused})
    for name, start in STARTS.items()
    for suffix, unused in {
        "": {},
        "_find_unused_parameters_true": {"find_unused_parameters": True},
        "_find_unused_parameters_false": {"find_unused_parameters": False},
    }.items()
}
STRATEGIES |= {
    "fsdp": ("fulgurite.strategies.fsdp", "FSDPStrategy", {}),
    "fsdp_cpu_offload": ("fulgurite.strategies.fsdp", "FSDPStrategy", {"cpu_offload": True}),
    "model_parallel": ("fulgurite.strategies.model_parallel", "ModelParallelStrategy", {}),
}
STRATEGIES |= {
    "deepspeed" + suffix: ("fulgurite.strategies.deepspeed", "DeepSpeedStrategy", arguments)
    for suffix, arguments in {
        "": {},
        "_stage_1": {"stage": 1},
        "_stage_2": {"stage": 2},
        "_stage_2_offload": {"stage": 2, "offload_optimizer": True},
        "_stage_3": {"stage": 3},
        "_stage_3_offload": {"stage": 3, "offload_optimizer": True, "offload_parameters": True},
    }.items()
}
"""By name: module, class and arguments. Modules are imported when they are asked for."""
OTHERS = ("auto", "single_device")
LATER = ("xla", "single_xla", "single_tpu", "xla_debug")
FORMER = {
    "ddp2": "ddp", "ddp_cpu": "ddp", "dp": "ddp", "ddp_fully_sharded": "fsdp", "ddp_sharded": "fsdp",
    "ddp_sharded_spawn": "fsdp", "fsdp_native": "fsdp", "fsdp_native_full_shard_offload": "fsdp_cpu_offload",
    "ddp_sharded_find_unused_parameters_false": "fsdp", "horovod": "ddp", "bagua": "ddp", "hivemind": "ddp",
    "colossalai": "fsdp",
}  # fmt: skip
"""Names of earlier releases of Lightning, with what does the same today."""


def hardware(given: Arguments) -> tuple[Accelerator, Strategy, Precision]:
    """Choose device, strategy and precision."""
    nodes, wanted, plugins = _checked_nodes(given["num_nodes"]), given["strategy"], _plugins(given["plugins"])
    if not isinstance(wanted, Strategy):
        _check_strategy(wanted)
    accelerator, devices = pick(given["accelerator"], given["devices"])
    environment = _environment(plugins, wanted)
    devices, nodes = _of_environment(environment, devices, nodes, given)
    precision = choose_precision(_precision_wanted(given["precision"], plugins.get(Precision)), devices[0])
    strategy = _strategy(wanted, devices, nodes, environment)
    if type(strategy) is SingleDeviceStrategy and wanted not in ("single_device", strategy):
        _check_alone(environment, given["devices"])
    _hand_over(strategy, plugins)
    if strategy.cluster_environment is None:
        strategy.cluster_environment = environment
    if hasattr(strategy, "place"):
        strategy.place(devices, nodes, environment)
    if given["sync_batchnorm"] or LayerSync in plugins:
        from fulgurite.plugins.layer_sync import TorchSyncBatchNorm

        strategy.layer_sync = plugins.get(LayerSync) or TorchSyncBatchNorm()
    return accelerator, strategy, strategy.precision_for(precision)


def _environment(plugins: Mapping[type, Any], strategy: Any) -> ClusterEnvironment:
    own = plugins.get(ClusterEnvironment) or getattr(strategy, "cluster_environment", None)
    if own is not None:
        return own
    from fulgurite.plugins.environments.choose import choose_environment

    return choose_environment()


def _of_environment(
    environment: ClusterEnvironment, devices: list[torch.device], nodes: int, given: Arguments
) -> tuple[list[torch.device], int]:
    """Where somebody else started the processes and nobody said how many, it is as many as there are."""
    one = devices[:1] if given["devices"] == "auto" and "ipykernel" in sys.modules else devices
    if not environment.creates_processes_externally or given["devices"] != "auto":
        return one, nodes
    world = _started(environment)
    if world is None:
        return one, nodes
    machines = int(os.environ.get("SLURM_NNODES") or nodes) if nodes == 1 else nodes
    here = int(os.environ.get("LOCAL_WORLD_SIZE") or max(world // machines, 1))
    kind = devices[0].type
    spread = devices if len(devices) >= here else [devices[at % len(devices)] for at in range(here)]
    return ([torch.device(kind)] * here if kind == "cpu" else spread[:here]), max(world // here, 1)


def _check_alone(environment: ClusterEnvironment, devices: Any) -> None:
    """Warn where each of several processes would train the same by itself."""
    from fulgurite.plugins.environments.choose import processes_started

    world = processes_started(environment)
    if world > 1:
        rank_zero_warn(
            f"{world} processes were started ({type(environment).__name__}), but with devices={devices!r} on one node "
            "each of them trains alone, on all the data, and writes into the same folders. Leave devices out, or give "
            "the number of processes on each machine, to let them train together; ignore this if each does something "
            "of its own."
        )


def _started(environment: ClusterEnvironment) -> int | None:
    """How many processes were started; None where the environment itself only has it from the Trainer."""
    from fulgurite.plugins.environments.lightning import LightningEnvironment

    return None if isinstance(environment, LightningEnvironment) else environment.world_size()


def _strategy(wanted: Any, devices: list[torch.device], nodes: int, environment: ClusterEnvironment) -> Strategy:
    if isinstance(wanted, Strategy):
        return wanted
    cuts_alone = wanted.startswith("deepspeed")  # one device, too: its memory may go to the computer's
    if wanted == "single_device" or (len(devices) * nodes == 1 and not cuts_alone):
        return SingleDeviceStrategy(devices[0])
    if wanted == "auto":
        interactive = hasattr(sys, "ps1") or "ipykernel" in sys.modules
        wanted = "ddp_notebook" if interactive and not environment.creates_processes_externally else "ddp"
    module, kind, arguments = STRATEGIES[wanted]
    return getattr(import_module(module), kind)(**arguments)


def _checked_nodes(nodes: Any) -> int:
    if isinstance(nodes, bool) or not isinstance(nodes, int) or not 1 <= nodes <= MOST:
        raise ValueError(f"num_nodes={nodes!r}: an int of at least 1 was expected.")
    return nodes


def _check_strategy(strategy: Any) -> None:
    known = [*OTHERS, *STRATEGIES]
    if isinstance(strategy, str) and strategy in known:
        return
    if isinstance(strategy, str) and strategy in LATER:
        raise MisconfigurationException(f"strategy={strategy!r} is not supported yet.")
    near = difflib.get_close_matches(str(strategy), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if isinstance(strategy, str) and strategy in FORMER:
        hint = f" In place of {strategy!r} use {FORMER[strategy]!r}."
    plain = [name for name in known if not name.endswith(("_true", "_false"))]
    raise ValueError(f"strategy={shown(strategy)} is unknown. Choose one of {', '.join(map(repr, plain))}.{hint}")


def _plugins(wanted: Any) -> dict[type, Any]:
    """Return the plugins by kind, one of each at most."""
    found: dict[type, Any] = {}
    for plugin in [] if wanted is None else wanted if isinstance(wanted, list | tuple) else [wanted]:
        kind = next((kind for kind in PLUGINS if isinstance(plugin, kind)), None)
        if kind is None:
            kinds = ", ".join(kind.__name__ for kind in PLUGINS)
            raise MisconfigurationException(
                f"plugins={shown(wanted)}: an object of a subclass of one of these was expected: {kinds}."
            )
        if kind in found:
            raise MisconfigurationException(
                f"plugins has more than one {kind.__name__}: {found[kind]!r} and {plugin!r}. There is room for one."
            )
        found[kind] = plugin
    return found


def _hand_over(strategy: Strategy, plugins: Mapping[type, Any]) -> None:
    """Give the strategy those plugins that it works with, unless it has its own."""
    writes, started = type(strategy.checkpoint_io) is not TorchCheckpointIO, strategy.cluster_environment is not None
    own = {CheckpointIO: ("checkpoint_io", writes), ClusterEnvironment: ("cluster_environment", started)}
    for kind, (name, has) in own.items():
        if has and kind in plugins:
            raise MisconfigurationException(
                f"The strategy has a {name}, {getattr(strategy, name)!r}, and plugins has one. Leave one of them out."
            )
        setattr(strategy, name, plugins.get(kind, getattr(strategy, name)))


def _precision_wanted(word: Any, own: Precision | None) -> Any:
    if own is not None and word is not None:
        raise ValueError(f"precision={word!r} and the plugin {own!r} were both given. Leave one of them out.")
    return word if own is None else own
