"""Which sizes BatchSizeFinder and `Tuner.scale_batch_size` try and what they take."""

import logging

import pytest
import torch
from torch.utils.data import DataLoader

from fulgurite import LightningModule
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import BatchSizeFinder
from fulgurite.tuner import Tuner
from fulgurite.tuner.batch_size import is_out_of_memory
from support.noisy import Noisy, rows, trainer


class Limited(Noisy):
    """Has memory for ``memory`` samples; notes the sizes of its batches in ``sizes``."""

    memory, error = 20, RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        type(self).sizes = []

    def training_step(self, batch, batch_idx):
        self.sizes.append(len(batch[0]))
        if len(batch[0]) > self.memory:
            raise self.error
        return super().training_step(batch, batch_idx)


def scaled(module, folder, **options):
    return Tuner(trainer(folder)).scale_batch_size(module, **{"steps_per_trial": 1, **options})


@pytest.mark.parametrize("mode, found", [("power", 16), ("binsearch", 20)])
def test_a_first_size_that_is_too_large_is_halved(mode, found, tmp_path):
    """Until one fits; the search by halves then goes on between it and the one before."""
    module = Limited()

    assert scaled(module, tmp_path, init_val=32, mode=mode, margin=0.0) == found
    assert module.sizes[:2] == [32, 16]


@pytest.mark.parametrize("options, told", [
    ({"mode": "binsearch"}, "Batch size set to 19: 20 fits, and a margin of 5% was taken off"),
    ({"mode": "binsearch", "margin": 0.0}, "Batch size set to 20"),
    ({"mode": "power"}, "Batch size set to 16"),
])  # fmt: skip
def test_it_says_why_the_size_is_not_the_largest_that_fits(options, told, tmp_path, caplog):
    """Where a margin was taken off."""
    with caplog.at_level(logging.INFO):
        scaled(Limited(), tmp_path, **options)

    assert caplog.messages[-1] == told


def test_a_warning_stands_at_the_users_line(tmp_path):
    """Though the search is opened by a context manager, whose frames are Python's own."""

    class Unvalidated(Limited):
        val_dataloader = LightningModule.val_dataloader

    with pytest.warns(UserWarning, match="no `val_dataloader`") as told:
        scaled(Unvalidated(), tmp_path)

    assert {warning.filename for warning in told} == {__file__}


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED."), RuntimeError("MPS backend out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
])  # fmt: skip
def test_the_ways_in_which_memory_ends(error, tmp_path):
    """On a GPU, on the CPU, and inside the libraries."""
    module = Limited()
    module.error = error

    assert is_out_of_memory(error)
    assert scaled(module, tmp_path) == 16


def test_memory_of_the_cpu_really_ends(tmp_path):
    """torch's own error for a tensor that no machine holds is taken for what it is."""

    class Huge(Noisy):
        def after(self, loss):
            if self.batch_size > 4:
                torch.empty(2**60, dtype=torch.uint8)

    assert scaled(Huge(), tmp_path) == 4


def test_other_errors_are_raised(tmp_path):
    """And the size is what it was."""
    module = Limited()
    module.error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        scaled(module, tmp_path)
    assert module.batch_size == module.hparams.batch_size == 4


def test_not_even_one_sample_fits(tmp_path):
    """It is an error with the one of the memory as its cause; the size is what it was."""
    module = Limited()
    module.memory = 0

    with pytest.raises(MisconfigurationException, match="even `batch_size`=1 failed") as raised:
        scaled(module, tmp_path)
    assert "out of memory" in str(raised.value.__cause__)
    assert module.batch_size == 4


def test_loaders_that_drop_what_is_short_have_no_batch_at_all(tmp_path):
    """A size without a batch does not fit."""

    class Dropping(Noisy):
        def train_dataloader(self):
            return DataLoader(rows(), batch_size=self.batch_size, drop_last=True)

    assert scaled(Dropping(), tmp_path, init_val=3) == 24
    assert scaled(Dropping(), tmp_path, init_val=64) == 32


def test_loaders_that_do_not_follow_are_named(tmp_path):
    """A size written into the loader could be doubled for ever."""

    class Fixed(Noisy):
        def train_dataloader(self):
            return DataLoader(rows(), batch_size=2)

    module = Fixed()
    with pytest.raises(MisconfigurationException, match=r"batches of 2 whatever `batch_size`"):
        scaled(module, tmp_path)
    assert module.batch_size == 4


def test_several_loaders_grow_together(tmp_path):
    """What counts is the memory that they take in one step."""

    class Both(Noisy):
        def train_dataloader(self):
            return {name: DataLoader(rows(), batch_size=self.batch_size) for name in "ab"}

        def training_step(self, batch, batch_idx):
            if len(batch["a"][0]) + len(batch["b"][0]) > 20:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().training_step(batch["a"], batch_idx)

    assert scaled(Both(), tmp_path) == 8


def test_an_accumulating_trial_steps_the_optimizer(tmp_path):
    """Its memory counts: a step is one of the optimizer."""
    stepped = []

    class Watched(Noisy):
        def on_before_zero_grad(self, optimizer):
            stepped.append(bool(optimizer.state))

    Tuner(trainer(tmp_path, accumulate_grad_batches=2)).scale_batch_size(Watched(), steps_per_trial=2, max_trials=1)

    assert stepped == [False, True]


def test_the_fit_after_a_search_reads_the_new_size(tmp_path):
    """Also on a trainer that has fitted before, and in the epoch in which the callback searches."""
    module, running = Limited(), trainer(tmp_path, max_epochs=1)
    running.fit(module)
    Tuner(running).scale_batch_size(module, steps_per_trial=1)
    module.sizes.clear()
    running.max_epochs = 2
    running.fit(module)
    assert module.sizes == [16, 16, 8]

    class Later(BatchSizeFinder):
        def on_fit_start(self, trainer, pl_module):
            return

        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                self.scale_batch_size(trainer, pl_module)
                pl_module.sizes.clear()

    module = Limited()
    again = trainer(tmp_path, Later(steps_per_trial=1), max_epochs=2)
    again.fit(module)
    assert module.sizes == [16, 16, 8] and again.num_training_batches == 3 and again.num_val_batches == [3]


def test_a_run_that_goes_on_keeps_its_size(tmp_path):
    """From a checkpoint nothing is searched; the loaders have the size that was found before."""
    first = trainer(tmp_path, BatchSizeFinder(steps_per_trial=1), max_epochs=1)
    first.fit(Limited())
    first.save_checkpoint(tmp_path / "kept.ckpt")
    module = Limited()

    trainer(tmp_path, BatchSizeFinder(), max_epochs=2).fit(module, ckpt_path=tmp_path / "kept.ckpt")

    assert module.sizes == [16, 16, 8]


def test_a_trial_run_searches_nothing(tmp_path):
    """``fast_dev_run`` warns and goes on with the size that is there."""
    with pytest.warns(UserWarning, match="fast_dev_run"):
        assert Tuner(trainer(tmp_path, fast_dev_run=True)).scale_batch_size(Noisy()) is None
    with pytest.warns(UserWarning, match="fast_dev_run"):
        trainer(tmp_path, BatchSizeFinder(), fast_dev_run=True).fit(Noisy(), DataLoader(rows(), batch_size=4))


@pytest.mark.parametrize("options", [
    {"mode": "cubic"}, {"margin": 1.0}, {"margin": -0.1}, {"steps_per_trial": 0}, {"init_val": 0}, {"max_trials": 0},
    {"max_val": 2.5},
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(options):
    """At construction, by its name."""
    with pytest.raises(ValueError, match=next(iter(options))):
        BatchSizeFinder(**options)
