"""What callbacks that watch a run write: at which steps, under which names. The measured values differ by nature."""

from functools import partial
from typing import Any

from parity.scenarios.kit import Bench, Scenarios, batches

SCENARIOS = Scenarios()
COUNTED = ("batches", "samples", "lengths", "epoch")


def watched(pl, folder, *, make, flops=None, test=False, **options) -> dict[str, Any]:
    """Fit with a callback; return each row's step, names, and what can be counted."""
    bench = Bench(pl, folder)
    module = bench.Tiny()
    if flops is not None:
        module.flops_per_batch = flops
    trainer = bench.trainer(callbacks=[make(pl)], num_sanity_val_steps=0, **options)
    trainer.fit(module, batches(5), batches(3, seed=1) if test else None)
    if test:
        trainer.test(module, batches(3), verbose=False)
    return {"rows": [[step, _counted(row)] for step, row in bench.logger.rows]}


def _counted(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value if name.split("/")[-1] in COUNTED else "measured" for name, value in row.items()}


def _size(batch) -> int:
    return batch[0].size(0)


def _length(batch) -> int:
    return batch[0].numel()


def throughput(pl, **settings):
    return pl.callbacks.ThroughputMonitor(_size, **settings)


def device_stats(pl, **settings):
    return pl.callbacks.DeviceStatsMonitor(**settings)


for _name, _options in {
    "plain": {},
    "window": {"settings": {"window_size": 3}, "log_every_n_steps": 2, "max_epochs": 2},
    "lengths": {"settings": {"window_size": 2, "length_fn": _length}},
    "separator": {"settings": {"window_size": 2, "separator": "|"}},
    "flops": {"settings": {"window_size": 2}, "flops": 100},
    "accumulating": {"settings": {"window_size": 2}, "accumulate_grad_batches": 2},
    "never": {"log_every_n_steps": 0},
}.items():
    _settings = _options.pop("settings", {})
    SCENARIOS[f"throughput_{_name}"] = partial(watched, make=partial(throughput, **_settings), **_options)

for _name, _options in {
    "plain": {},
    "every_2": {"log_every_n_steps": 2},
    "accumulating": {"accumulate_grad_batches": 2},
    "without_cpu": {"settings": {"cpu_stats": False}},
}.items():
    _settings = _options.pop("settings", {})
    _make = partial(device_stats, **_settings)
    SCENARIOS[f"device_stats_{_name}"] = partial(watched, make=_make, test=True, **_options)
