"""``ckpt_path`` as a word: "best" and "last"."""

import os
from pathlib import Path

import pytest
import torch

from fulgurite import Trainer
from fulgurite.base.errors import CheckpointError
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.testing import TinyModule, batches


def quiet(folder: Path, **arguments) -> Trainer:
    return Trainer(
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(save_last=True)],
        **arguments,
    )


def test_last_is_found_in_the_default_folder(tmp_path):
    """A new trainer with the same settings goes on where the old one ended."""
    quiet(tmp_path, max_epochs=1).fit(TinyModule(), batches(3))
    trainer = quiet(tmp_path, max_epochs=3)

    trainer.fit(TinyModule(), batches(3), ckpt_path="last")

    assert trainer.ckpt_path == str(tmp_path / "checkpoints" / "last.ckpt")
    assert trainer.global_step == 9


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_last_file_is_passed_over(tmp_path, damage):
    """The newest whole one is taken instead, with a warning that names the damaged one."""
    saving = ModelCheckpoint(every_n_train_steps=2, save_top_k=-1, filename="{step}")
    trainer = quiet(tmp_path, max_epochs=2)
    trainer.callbacks = [saving]
    trainer.fit(TinyModule(), batches(3))
    last = tmp_path / "checkpoints" / "step=6.ckpt"
    content = last.read_bytes()
    last.write_bytes(content[:-40] if damage == "cut" else content[:3000] + bytes([content[3000] ^ 1]) + content[3001:])

    with pytest.warns(UserWarning, match="step=6.ckpt' is damaged or cut short"):
        (again := quiet(tmp_path, max_epochs=3)).fit(TinyModule(), batches(3), ckpt_path="last")

    assert again.ckpt_path == str(tmp_path / "checkpoints" / "step=4.ckpt")
    assert again.global_step == 9


def test_a_link_to_nothing_is_passed_over(tmp_path):
    """As `save_last="link"` leaves it when somebody removes the file."""
    trainer = quiet(tmp_path, max_epochs=1)
    trainer.callbacks = [ModelCheckpoint(save_last="link", save_top_k=-1, every_n_train_steps=2)]
    trainer.fit(TinyModule(), batches(4))
    folder = tmp_path / "checkpoints"
    (folder / "epoch=0-step=4.ckpt").unlink()

    with pytest.warns(UserWarning, match="last.ckpt' is damaged or cut short"):
        (again := quiet(tmp_path, max_epochs=2)).fit(TinyModule(), batches(4), ckpt_path="last")

    assert again.ckpt_path == str(folder / "epoch=0-step=2.ckpt")


def test_weights_alone_are_passed_over_where_a_whole_state_is_there(tmp_path):
    """Two callbacks, one folder; with no whole state at all the error says so, and nothing begins anew."""

    def going(epochs):
        trainer = quiet(tmp_path, max_epochs=epochs)
        weights = ModelCheckpoint(filename="weights", monitor="loss", save_weights_only=True)
        trainer.callbacks = [ModelCheckpoint(filename="state"), weights]
        return trainer

    going(1).fit(TinyModule(), batches(3))
    states = tmp_path / "checkpoints"
    os.utime(states / "weights.ckpt", (2e9, 2e9))
    with pytest.warns(UserWarning, match="weights.ckpt' holds weights alone"):
        (again := going(2)).fit(TinyModule(), batches(3), ckpt_path="last")
    assert again.global_step == 6

    (states / "state.ckpt").unlink()
    with pytest.raises(KeyError, match="weights.ckpt' holds weights, but no optimizer"):
        going(3).fit(TinyModule(), batches(3), ckpt_path="last")


def test_without_a_last_file_training_begins_anew(tmp_path):
    """The first run of a script that always says "last" is no error; it is told."""
    trainer = quiet(tmp_path, max_epochs=1)

    with pytest.warns(UserWarning, match="last"):
        trainer.fit(TinyModule(), batches(3), ckpt_path="last")

    assert trainer.global_step == 3


def test_nothing_is_predicted_by_a_file_that_is_not_there(tmp_path):
    """Untrained weights would answer, too."""
    with pytest.raises(ValueError, match=r"predict\(ckpt_path='last'\).*no checkpoint in the folders"):
        quiet(tmp_path).predict(TinyModule(), batches(3), ckpt_path="last")


def test_weights_alone_are_no_checkpoint(tmp_path):
    """The error says what to do with them."""
    torch.save(TinyModule().state_dict(), tmp_path / "weights.pt")

    with pytest.raises(
        CheckpointError, match=r"weights.pt' has no 'state_dict'.*found: 'layer.weight', 'layer.bias'.*load_state_dict"
    ):
        quiet(tmp_path, max_epochs=1).fit(TinyModule(), batches(3), ckpt_path=tmp_path / "weights.pt")


def test_training_goes_on_from_the_best(tmp_path):
    """``fit(ckpt_path="best")`` takes the file that the trainer's own callback holds best."""
    trainer = quiet(tmp_path, max_epochs=1)
    module = TinyModule()
    trainer.fit(module, batches(3))
    trainer.max_epochs = 2

    trainer.fit(module, batches(3), ckpt_path="best")

    assert "epoch=0" in str(trainer.ckpt_path)
    assert trainer.global_step == 6


def test_best_before_any_fit_says_what_is_missing(tmp_path):
    """There is nothing to choose from yet."""
    with pytest.raises(ValueError, match="saved nothing yet"):
        quiet(tmp_path, max_epochs=1).fit(TinyModule(), batches(3), ckpt_path="best")


@pytest.mark.parametrize("exact", [False, True])
def test_the_last_short_window(tmp_path, exact):
    """Three batches in windows of two: the lone third one counts half, or wholly where that is asked for."""
    torch.manual_seed(1)
    data = [torch.randn(4, 2) for _ in range(3)]

    class Square(TinyModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(2)
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch, batch_idx):
            return self.layer(batch).pow(2).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.layer.parameters(), lr=0.1)

    class Loader:
        def __iter__(self):
            return iter(data)

        def __len__(self):
            return len(data)

    module, expected = Square(), Square().layer
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1)
    for window, divisor in ((data[:2], 2), (data[2:], 1 if exact else 2)):
        optimizer.zero_grad()
        for batch in window:
            (expected(batch).pow(2).mean() / divisor).backward()
        optimizer.step()

    quiet(tmp_path, max_epochs=1, accumulate_grad_batches=2, exact_accumulation=exact).fit(module, Loader())

    assert torch.allclose(module.layer.weight, expected.weight, rtol=1e-6)
