"""ThroughputMonitor: what is counted, what the clock leaves out, and the rates."""

import time

import pytest
import torch

from fulgurite.callbacks import ThroughputMonitor
from fulgurite.callbacks.throughput_monitor import Throughput
from fulgurite.testing import TinyModule, batches
from fulgurite.trainer import Trainer
from support.counted import Counted, fit, quiet
from support.kept import Kept


def rows(logger, stage):
    return [(step, row) for step, row in logger.rows if any(name.startswith(f"{stage}/") for name in row)]


def test_rates_over_the_window():
    """Totals at once; rates once the window is full, of a device and of all; as Lightning's Throughput gives them."""
    throughput = Throughput(available_flops=50.0, world_size=2, window_size=3)
    assert throughput.compute() == {}
    seen = []
    for count in range(1, 6):
        throughput.update(time=count * 2.0, batches=count, samples=count * 3, lengths=count * 10, flops=7)
        seen.append(throughput.compute())

    assert seen[0] == {"time": 2.0, "batches": 1, "samples": 3, "lengths": 10}
    assert seen[1].keys() == seen[0].keys()
    rates = {"batches_per_sec": 0.5, "samples_per_sec": 1.5, "items_per_sec": 5.0, "flops_per_sec": 3.5}
    for found, count in zip(seen[2:], (3, 4, 5), strict=True):
        totals = {"time": count * 2.0, "batches": count, "samples": count * 3, "lengths": count * 10}
        assert found == {
            **totals,
            **{f"device/{name}": rate for name, rate in rates.items()},
            **{name: rate * 2 for name, rate in rates.items()},
            "device/mfu": 0.07,
        }
    throughput.reset()
    assert throughput.compute() == {}


def test_a_window_counts_batches_not_updates():
    """Told once in fifty batches, it still reaches back a hundred, and no further than it must."""
    throughput = Throughput(window_size=100)
    for count in (1, 50, 100, 150, 200):
        throughput.update(time=count**2, batches=count, samples=count)
        rate = throughput.compute().get("device/batches_per_sec")
        first = {100: 1, 150: 50, 200: 100}.get(count)
        assert rate == (None if first is None else pytest.approx((count - first) / (count**2 - first**2)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Throughput(window_size=1), "window_size=1"),
        (lambda: Throughput(world_size=0), "world_size=0"),
        (lambda: Throughput(available_flops=0), "available_flops=0"),
        (lambda: ThroughputMonitor(len, window_size=0), "window_size=0"),
        (lambda: updated(time=1.0, batches=9, samples=9), "time=1.0.*was 2.0"),
        (lambda: updated(time=3.0, batches=4, samples=9), "batches=4.*was 4"),
        (lambda: updated(time=3.0, batches=9, samples=8), "samples=8"),
    ],
)
def test_what_cannot_be_is_refused(call, words):
    """Windows of one, totals that do not grow, fewer samples than batches."""
    with pytest.raises(ValueError, match=words):
        call()


def updated(**totals):
    throughput = Throughput()
    throughput.update(time=2.0, batches=4, samples=5)
    throughput.update(**totals)


def test_training_rows_come_with_the_others(tmp_path):
    """At the steps of ``log_every_n_steps``, with the epoch; the last, shorter batch is counted as what it is."""
    logger = Kept()
    trainer = quiet(tmp_path, ThroughputMonitor(len, window_size=2), logger=logger, log_every_n_steps=2)
    trainer.fit(Counted(), torch.utils.data.DataLoader(torch.ones(9, 4), batch_size=2))

    found = rows(logger, "train")
    assert [step for step, _ in found] == [1, 3, 5, 7, 9]
    assert [row["train/samples"] for _, row in found] == [4, 8, 11, 15, 18]
    assert [row["epoch"] for _, row in found] == [0, 0, 1, 1, 1]
    assert all(row["train/device/samples_per_sec"] > row["train/device/batches_per_sec"] > 0 for _, row in found)


def test_the_clock_stands_still_while_it_is_validated(tmp_path):
    """Validation takes longer than all of the training, and the training's time does not hold it."""

    class Slow(Counted):
        def validation_step(self, batch, batch_idx):
            time.sleep(0.3)

    logger = Kept()
    fit(tmp_path, ThroughputMonitor(len, window_size=2), model=Slow(), logger=logger, log_every_n_steps=1)

    assert rows(logger, "train")[-1][1]["train/time"] < 0.6
    ((step, first), second) = rows(logger, "validate")
    assert (step, first["validate/batches"], first["validate/samples"]) == (4, 2, 2)
    assert first["validate/time"] >= 0.6 and 1 < first["validate/device/batches_per_sec"] <= 1 / 0.3
    assert second[1]["validate/batches"] == 2


def test_other_passes_are_measured_when_they_end(tmp_path):
    """One row each, at the training's step, with rates although they are shorter than the window."""
    logger = Kept()
    trainer = fit(tmp_path, ThroughputMonitor(len), logger=logger, max_epochs=1)
    model = TinyModule()
    trainer.validate(model, batches(3), verbose=False)
    trainer.test(model, batches(3), verbose=False)
    trainer.predict(model, batches(3))

    for stage in ("validate", "test", "predict"):
        step, row = rows(logger, stage)[-1]
        assert (step, row[f"{stage}/batches"], row[f"{stage}/samples"]) == (5, 3, 6)
        assert row[f"{stage}/device/samples_per_sec"] > 0


def test_the_host_waits_for_the_device_at_rows_only(tmp_path, monkeypatch):
    """Once for the first batch, which opens the window, and once a row."""
    waits = []
    monkeypatch.setattr(
        "fulgurite.callbacks.throughput_monitor._wait", lambda trainer: waits.append(trainer.is_last_batch)
    )
    monitor = ThroughputMonitor(len)
    trainer = quiet(tmp_path, monitor, logger=Kept(), log_every_n_steps=10, max_epochs=1)
    trainer.fit(Counted(), torch.utils.data.DataLoader(torch.ones(40, 4), batch_size=1))

    assert len(waits) == 5


def test_operations_are_counted_by_the_module(tmp_path):
    """``flops_per_batch`` gives rates, ``available_flops`` the share of them that is used."""

    class Known(Counted):
        flops_per_batch = 1000

    logger = Kept()
    monitor = ThroughputMonitor(len, window_size=2, available_flops=1e6)
    fit(tmp_path, monitor, model=Known(), logger=logger, log_every_n_steps=2, max_epochs=1)

    row = rows(logger, "train")[-1][1]
    assert row["train/device/flops_per_sec"] == pytest.approx(1000 * row["train/device/batches_per_sec"])
    assert row["train/device/mfu"] == pytest.approx(row["train/device/flops_per_sec"] / 1e6)


def test_without_a_logger_there_is_a_warning(tmp_path):
    """Training goes on, as in Lightning."""
    with pytest.warns(UserWarning, match="ThroughputMonitor has no logger"):
        fit(tmp_path, ThroughputMonitor(len), logger=False, max_epochs=1)


def test_a_broken_run_leaves_nothing_behind(tmp_path):
    """The next one begins anew."""

    class Broken(Counted):
        def training_step(self, batch, batch_idx):
            raise ZeroDivisionError

    logger, monitor = Kept(), ThroughputMonitor(len)
    with pytest.raises(ZeroDivisionError):
        fit(tmp_path, monitor, model=Broken(), logger=logger)
    Trainer(max_epochs=1, default_root_dir=tmp_path, logger=logger, callbacks=[monitor], log_every_n_steps=5,
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            accelerator="cpu").fit(Counted(), batches(5))  # fmt: skip

    assert rows(logger, "train")[-1][1]["train/batches"] == 5
