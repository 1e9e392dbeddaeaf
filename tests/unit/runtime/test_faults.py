"""What an error says of the run that it ended, and that nothing of the run is lost by it."""

import multiprocessing
import os
import re
import signal
import time

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from fulgurite import Trainer
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.runtime.faults import memory_free, shapes
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.utilities import CombinedLoader
from support.faulty import (
    Attempt,
    Faulty,
    Net,
    broken_and_resumed,
    killed,
    leaving,
    left_behind,
    out_of_shared_memory,
    wrong_row,
)

pytestmark = pytest.mark.filterwarnings("ignore:There is a `validation_step`", "ignore:overfit_batches")


def place(error):
    """The note of where it was, which is the first."""
    return error.__notes__[0]


def samples_in(note):
    return [int(number) for number in re.findall(r"\d+", note.split("samples ")[1].split(")")[0])]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_the_dataset_names_batch_step_and_sample(workers, tmp_path):
    """The user's own type goes on, also from a worker; a run that goes on from either file ends with the same bits."""
    broken = broken_and_resumed(tmp_path, wrong_row, workers=workers)

    assert type(broken.error) is LookupError and "a row that is not there" in str(broken.error)
    assert len(broken.notes) == 1
    said = re.match(
        r"While batch (\d) of the train dataloader was fetched \((.*)\): epoch 0, step (\d).", broken.notes[0]
    )
    assert said[1] == said[3] and int(said[1]) == broken.trainer.global_step > 3
    if workers:
        assert said[2].startswith(f"worker {int(said[1]) % 2}, one of the samples ")
        assert 17 in samples_in(broken.notes[0]) and len(samples_in(broken.notes[0])) == 3
    else:
        assert said[2] == "sample 17"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (killed, ("SIGKILL", "for want of memory", "memory are free", "num_workers")),
        (out_of_shared_memory, ("SIGBUS", "/dev/shm", "--shm-size")),
        (leaving, ("exit code 3", "num_workers=0 shows where")),
    ],
)  # fmt: skip
def test_a_worker_that_died(act, words, tmp_path):
    """The error that came of it names the batches and samples it may have been at, the likely reason, the way out."""
    broken = broken_and_resumed(tmp_path, act, workers=2)

    # A batch on its way from a worker that is no more: the connection may end before torch hears of the death.
    assert "DataLoader worker (pid" in str(broken.error) or isinstance(
        broken.error, ConnectionError | EOFError | OSError
    )
    assert re.match(r"While batch \d of the train dataloader was fetched: epoch 0, step \d.", broken.notes[0])
    assert len(broken.notes) == 2 and all(word in broken.notes[1] for word in words)
    assert 17 in [
        int(number) for number in re.findall(r"\d+", " ".join(re.findall(r"\(samples (.*?)\)", broken.notes[1])))
    ]


def test_a_worker_that_dies_during_a_step_does_not_end_the_step(tmp_path):
    """The error comes where its batch is waited for, so that no optimizer's step is left half done."""
    passed, others = [], set(multiprocessing.active_children())  # of loaders that nobody has collected yet

    def kill_a_worker(module, batch_idx):
        if batch_idx == 3:
            os.kill(
                min(set(multiprocessing.active_children()) - others, key=lambda worker: worker.pid).pid, signal.SIGKILL
            )
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                sum(range(100))
            passed.append(batch_idx)

    broken = broken_and_resumed(tmp_path, None, kill_a_worker, workers=2, loader={"prefetch_factor": 1})

    assert passed == [3] and place(broken.error).startswith("While batch 4 of") and "SIGKILL" in broken.notes[1]


def test_signals_are_torchs_own_again_after_a_fit():
    """What torch set to hear of its workers comes back."""
    trainer = Trainer(max_epochs=1, **QUIET)
    next(iter(DataLoader(Faulty(), num_workers=1)))
    before = signal.getsignal(signal.SIGCHLD)

    trainer.fit(TinyModule(), batches())

    assert signal.getsignal(signal.SIGCHLD) is before


def test_memory_that_cannot_be_had(tmp_path):
    """A real allocation that the system refuses: the batch's shapes, what is free, and ways out."""

    def too_much(module, batch_idx):
        if batch_idx == 4:
            torch.empty(2**50, dtype=torch.uint8)

    broken = broken_and_resumed(tmp_path, step=too_much)

    assert "can't allocate memory" in str(broken.error)
    assert broken.notes[0] == "In `training_step`: epoch 0, batch 4, step 4."
    assert "batch of 3x3 float32" in broken.notes[1] and "memory are free" in broken.notes[1]
    assert "accumulate_grad_batches" in broken.notes[1] and "BatchSizeFinder" in broken.notes[1]


def test_a_device_out_of_memory(tmp_path):
    """torch's error for it, raised by hand where there is no such device; a real one is in test_gpu."""

    def too_much(module, batch_idx):
        if batch_idx == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    broken = broken_and_resumed(tmp_path, step=too_much)

    assert type(broken.error) is torch.OutOfMemoryError
    assert broken.notes[0] == "In `training_step`: epoch 0, batch 4, step 4."
    assert "batch of 3x3 float32" in broken.notes[1]


def test_detect_anomaly_names_the_batch(tmp_path):
    """And what leaves such batches out."""

    def undefined(module, batch_idx):
        if batch_idx == 4:
            (module.net[0].weight * 0).sqrt().mul(0).sum().backward()

    with pytest.warns(UserWarning, match="Error detected in SqrtBackward0"):
        broken = broken_and_resumed(tmp_path, step=undefined, detect_anomaly=True)

    assert "returned nan values" in str(broken.error)
    assert broken.notes[0] == "In `training_step`: epoch 0, batch 4, step 4."
    assert "`detect_anomaly` found it" in broken.notes[1] and "NonFiniteGuard" in broken.notes[1]


class Undefined(TinyModule):
    """Its loss has no gradient in batch 2."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return (loss * 0).sqrt() * 0 if batch_idx == 2 else loss


@pytest.mark.filterwarnings("ignore:Error detected")
def test_a_part_of_the_step_that_is_no_hook():
    """Backward and the optimizer are named by what they are."""
    with pytest.raises(RuntimeError) as caught:
        Trainer(max_epochs=1, detect_anomaly=True, **QUIET).fit(Undefined(), batches())

    assert place(caught.value) == "In the backward pass: epoch 0, batch 2, step 2."


@pytest.mark.parametrize(
    ("hook", "note"),
    [
        ("training_step", "In `training_step`: epoch 0, batch 0, step 0."),
        ("on_train_batch_end", "In `on_train_batch_end`: epoch 0, batch 0, step 1."),
        ("transfer_batch_to_device", "In `transfer_batch_to_device`: epoch 0, batch 0, step 0."),
        ("validation_step", "In `validation_step`: epoch 0, validation batch 0, step 4."),
        ("on_train_epoch_end", "In `on_train_epoch_end`: epoch 0, step 4."),
        ("on_validation_epoch_end", "In `on_validation_epoch_end`: epoch 0, step 4."),
    ],
)
def test_every_error_says_where_it_was(hook, note):
    """In a line, for each hook of the loop."""
    module, error = TinyModule(), ValueError("x")

    def broken(*args, **kwargs):
        # The sanity check knows no step.
        if module.trainer.sanity_checking:
            return args[0]
        raise error

    setattr(module, hook, broken)
    with pytest.raises(ValueError):
        Trainer(max_epochs=1, num_sanity_val_steps=0, **QUIET).fit(module, batches(4), batches(2))

    assert error.__notes__ == [note]


def test_the_way_to_the_device_names_the_batch_that_is_on_it():
    """The counter of batches is one behind there."""
    module, calls = TinyModule(), []

    def moved(batch, device, dataloader_idx):
        calls.append(batch)
        if len(calls) == 3:
            raise MemoryError
        return batch.to(device)

    module.transfer_batch_to_device = moved
    with pytest.raises(MemoryError) as caught:
        Trainer(max_epochs=1, **QUIET).fit(module, batches(4))

    assert place(caught.value) == "In `transfer_batch_to_device`: epoch 0, batch 2, step 2."
    assert "batch of 2x4 float32" in caught.value.__notes__[1]


@pytest.mark.parametrize("hook", ["setup", "configure_optimizers", "on_fit_start", "on_train_start", "teardown"])
def test_nothing_is_said_where_there_is_no_batch(hook):
    """Before the data is read, and when all is closed."""
    module, error = TinyModule(), ValueError("x")

    def broken(*args, **kwargs):
        raise error

    setattr(module, hook, broken)
    with pytest.raises(ValueError):
        Trainer(max_epochs=1, **QUIET).fit(module, batches(4))

    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=["ctrl-c", "exit"])
def test_nothing_is_said_of_an_end_that_was_asked_for(error):
    module = TinyModule()

    def broken(*args):
        raise error

    module.training_step = broken
    with pytest.raises(type(error)):
        Trainer(max_epochs=1, **QUIET).fit(module, batches(4))

    assert not hasattr(error, "__notes__")


def test_an_error_that_ends_two_runs_says_each_place_once():
    """The same object, raised again at the same place, is not told twice."""
    module, error = TinyModule(), ValueError("x")

    def broken(*args):
        raise error

    module.training_step = broken
    for _ in range(2):
        with pytest.raises(ValueError):
            Trainer(max_epochs=1, **QUIET).fit(module, batches(4))

    assert error.__notes__ == ["In `training_step`: epoch 0, batch 0, step 0."]


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_evaluation_names_loader_and_batch(verb):
    """Without epoch and step, which it has not."""
    loaders = [batches(3), DataLoader(Faulty(wrong_row, at=5, length=8), 2)]

    class Module(TinyModule):
        def forward(self, batch):
            return self.layer(torch.ones(1, 4, device=self.device))

        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return batch

    with pytest.raises(LookupError) as caught:
        getattr(Trainer(**QUIET), verb)(Module(), loaders)

    stage = "val" if verb == "validate" else verb
    assert caught.value.__notes__ == [f"While batch 2 of the {stage} dataloader 1 was fetched (sample 5): {verb}."]


def test_a_validation_in_training_names_its_batch():
    """Of the second loader, whose workers are new in each pass."""
    loaders = [DataLoader(Faulty(), 3), DataLoader(Faulty(wrong_row, at=5, length=8), 2, num_workers=1)]
    with pytest.raises(LookupError) as caught:
        Trainer(max_epochs=1, num_sanity_val_steps=0, **QUIET).fit(Net(), DataLoader(Faulty(), 3), loaders)

    assert place(caught.value) == (
        "While batch 2 of the val dataloader 1 was fetched (worker 0, one of the samples 4, 5): epoch 0, step 8."
    )


def test_one_of_several_train_loaders():
    """The number of the loader whose worker failed."""
    good, bad = DataLoader(Faulty(), 3, num_workers=1), DataLoader(Faulty(wrong_row), 3, num_workers=1)

    class Module(Net):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch["a"], batch_idx)

    with pytest.raises(LookupError) as caught:
        Trainer(max_epochs=1, **QUIET).fit(Module(), CombinedLoader({"a": good, "b": bad}))

    assert place(caught.value) == (
        "While batch 5 of the train dataloaders was fetched (dataloader 1, worker 0): epoch 0, step 5."
    )


def test_a_stream_names_the_batch_that_it_looked_ahead_for():
    """Without a length one more is read before the one in hand is trained on."""

    class Stream(IterableDataset):
        def __iter__(self):
            yield from torch.ones(5, 4)
            raise ConnectionError("gone")

    with pytest.raises(ConnectionError) as caught:
        Trainer(max_epochs=1, **QUIET).fit(TinyModule(), DataLoader(Stream(), 1))

    assert caught.value.__notes__ == ["While batch 5 of the train dataloader was fetched: epoch 0, step 4."]


def test_an_error_while_a_run_goes_on_names_where_it_was_going(tmp_path):
    """What was seen of a stream is read again; the error says which batch it was on the way to."""

    class Stream(IterableDataset):
        def __init__(self, length):
            self.length = length

        def __iter__(self):
            yield from torch.ones(self.length, 4)
            raise ConnectionError("gone")

    saves = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    arguments = {**QUIET, "enable_checkpointing": True, "max_epochs": 1}
    with pytest.raises(ConnectionError):
        Trainer(callbacks=saves, **arguments).fit(TinyModule(), DataLoader(Stream(5), 1))
    with pytest.raises(ConnectionError) as caught, pytest.warns(UserWarning, match="read again"):
        Trainer(callbacks=ModelCheckpoint(tmp_path), **arguments).fit(
            TinyModule(), DataLoader(Stream(2), 1), ckpt_path=saves._last_checkpoint_saved
        )

    assert place(caught.value) == "While batch 3 of the train dataloader was fetched: epoch 0, step 3."


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_end_with_a_run_that_failed(persistent):
    """Also while somebody keeps the error; the same loaders then work in another run."""
    loaders = [DataLoader(Faulty(), 3, num_workers=2, persistent_workers=persistent) for _ in range(2)]

    def broken(module, batch_idx):
        if batch_idx == 2 and module.trainer.current_epoch == 1:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as kept:
        Trainer(max_epochs=2, **QUIET).fit(Net(broken), *loaders)
    assert left_behind() == []
    trainer = Trainer(max_epochs=2, **QUIET)
    trainer.fit(Net(), *loaders)

    assert kept.value is not None and trainer.global_step == 16


def test_samples_are_named_in_the_middle_of_an_epoch_that_went_on(tmp_path):
    """torch counts its batches anew there; ours go on."""
    first = Attempt(tmp_path, workers=2, max_steps=4)
    (tmp_path / "armed").touch()
    again = Attempt(tmp_path, wrong_row, workers=2, ckpt_path=first.every._last_checkpoint_saved)

    assert first.error is None and 17 in samples_in(place(again.error))


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"x": torch.ones(2, 3), "y": [torch.zeros(2, dtype=torch.int64), "name"]}, "2x3 float32, 2 int64"),
        (torch.tensor(1.0), "a number float32"),
        ([torch.ones(1)] * 9, ", ".join(["1 float32"] * 8) + ", …"),
        ("text", "str"),
    ],
)
def test_shapes_of_a_batch(batch, said):
    assert shapes(batch) == said


def test_free_memory_is_in_words():
    """Of the host and of what workers share, on Linux."""
    assert re.match(r"[\d.]+ [GM]iB of [\d.]+ [GM]iB memory are free, ", memory_free()) and "/dev/shm" in memory_free()
