"""Progress bars: what a terminal and a log file show, when, and at what cost."""

import io
import pickle
import sys
from time import monotonic

import pytest
import torch

from fulgurite.callbacks import ProgressBar, RichProgressBar, TQDMProgressBar
from fulgurite.callbacks.progress.timed import plain_line
from fulgurite.core.module import LightningModule
from fulgurite.trainer import Trainer

BARS = [TQDMProgressBar, RichProgressBar]
QUIET = dict(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)


class Terminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self):
        return True


class Regression(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).pow(2).mean()
        self.log("loss", loss, prog_bar=True)
        if batch_idx == 1:
            self.print("a word")
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val_loss", self.layer(batch).mean(), prog_bar=True)

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.layer(batch).mean())

    def predict_step(self, batch, batch_idx):
        return self.layer(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Endless(torch.utils.data.IterableDataset):
    """A dataset without length."""

    def __iter__(self):
        return iter(torch.ones(5, 2))


def loader(batches):
    return torch.utils.data.DataLoader(torch.ones(batches, 2))


@pytest.fixture
def open_terminal(monkeypatch):
    """Call it inside the test: pytest sets stdout itself between set-up and test."""
    monkeypatch.setenv("TERM", "xterm")

    def make():
        monkeypatch.setattr(sys, "stdout", Terminal())
        return sys.stdout

    return make


@pytest.fixture
def open_log_file(monkeypatch):
    """As ``open_terminal``, for a stdout that is a file."""

    def make():
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        return sys.stdout

    return make


def run(bar, epochs=1, batches=4, val=0, **options):
    trainer = Trainer(max_epochs=epochs, callbacks=[bar], **{**QUIET, **options})
    trainer.fit(Regression(), loader(batches), [loader(val)] if val else None)
    return trainer


@pytest.mark.parametrize("kind", BARS)
def test_a_log_file_gets_plain_lines(open_log_file, kind):
    """Without a terminal: a line at the end with counts and metrics, and no control character anywhere."""
    log_file = open_log_file()
    trainer = run(kind(), epochs=3, val=2)
    trainer.test(Regression(), loader(3), verbose=False)
    trainer.predict(Regression(), loader(3), return_predictions=False)

    lines = log_file.getvalue().splitlines()
    assert all(line.isprintable() for line in lines)
    assert lines[-3].startswith("Epoch 2") and ": 4/4 [" in lines[-3]
    assert "loss=" in lines[-3] and "val_loss=" in lines[-3]
    assert lines[-2].startswith("Testing DataLoader 0: 3/3 [")
    assert lines[-1].startswith("Predicting DataLoader 0: 3/3 [")
    assert len(lines) < 12


@pytest.mark.parametrize("kind", BARS)
def test_a_terminal_ends_on_the_last_state(open_terminal, kind):
    """The last drawing has all batches and the last metrics, and what was printed stands above."""
    terminal = open_terminal()
    run(kind(), epochs=2, batches=7, val=2)
    shown = terminal.getvalue()
    assert "7/7" in shown[shown.rindex("Epoch 1") :]
    assert "val_loss" in shown[shown.rindex("Epoch 1") :]
    assert shown.count("a word") == 2


@pytest.mark.parametrize("kind", BARS)
def test_redraws_follow_the_clock(open_terminal, kind):
    """However many steps there are, metrics are read ten times a second at most, and once at the end."""
    open_terminal()

    class Counting(kind):
        read = 0

        def get_metrics(self, trainer, pl_module):
            self.read += 1
            return super().get_metrics(trainer, pl_module)

    bar, began = Counting(), monotonic()
    run(bar, batches=400)
    assert 2 <= bar.read <= (monotonic() - began) / 0.1 + 3


@pytest.mark.parametrize("kind", BARS)
def test_a_step_between_two_redraws_costs_one_frame(kind):
    """While no redraw is due, the batch hook calls nothing of ours."""
    bar, frames = kind(), []
    bar._due = float("inf")
    sys.setprofile(lambda frame, event, arg: frames.append(frame.f_code.co_name) if event == "call" else None)
    bar.on_train_batch_end(None, None, None, None, 3)
    sys.setprofile(None)
    assert frames == ["on_train_batch_end"]


@pytest.mark.parametrize("kind", BARS)
def test_loaders_without_length_have_no_total(open_terminal, kind):
    """The count runs, and nothing pretends to know the end."""
    terminal = open_terminal()
    trainer = Trainer(max_epochs=1, callbacks=[kind()], **QUIET)
    trainer.fit(Regression(), torch.utils.data.DataLoader(Endless()))
    shown = terminal.getvalue()
    assert "5/?" in shown or "5/--" in shown


@pytest.mark.parametrize("bar", [lambda: TQDMProgressBar(refresh_rate=0), lambda: RichProgressBar(refresh_rate=0)])
def test_refresh_rate_zero_shows_nothing(open_terminal, bar):
    """A bar that is switched off writes nothing but what the user prints."""
    terminal = open_terminal()
    made = bar()
    run(made, val=2)
    assert made.is_disabled
    assert terminal.getvalue() == "a word\n"


@pytest.mark.parametrize("kind", BARS)
def test_disable_and_enable(open_terminal, kind):
    """`disable` silences a bar, `enable` brings it back."""
    terminal = open_terminal()
    bar = kind()
    bar.disable()
    run(bar)
    assert terminal.getvalue() == "a word\n"
    bar.enable()
    run(bar)
    assert "4/4" in terminal.getvalue()


@pytest.mark.parametrize("kind", BARS)
def test_an_exception_leaves_no_open_bar(open_terminal, kind):
    """After a failure the terminal is free again: a second run on the same bar works."""
    terminal = open_terminal()
    bar = kind()

    class Failing(Regression):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        Trainer(max_epochs=1, callbacks=[bar], **QUIET).fit(Failing(), loader(2))
    assert not bar._training_is_shown
    run(bar)
    assert "4/4" in terminal.getvalue()


@pytest.mark.parametrize("kind", BARS)
def test_bars_can_be_copied(open_terminal, kind):
    """Pickling takes the settings along, not the terminal; the copy works."""
    terminal = open_terminal()
    bar = kind(refresh_rate=7)
    run(bar)
    copy = pickle.loads(pickle.dumps(bar))
    assert copy.refresh_rate == 7
    run(copy, batches=5)
    assert "5/5" in terminal.getvalue()


def test_bars_may_be_made_otherwise(open_terminal):
    """`init_*_tqdm` may return any tqdm bar, and `get_metrics` may drop entries."""
    terminal = open_terminal()

    class Mine(TQDMProgressBar):
        def init_train_tqdm(self):
            bar = super().init_train_tqdm()
            bar.bar_format = "MINE {n_fmt} of {total_fmt}{postfix}"
            return bar

        def init_validation_tqdm(self):
            import tqdm

            return tqdm.tqdm(disable=True)

        def get_metrics(self, trainer, pl_module):
            return {"answer": 42}

    run(Mine(), val=2)
    assert "MINE 4 of 4, answer=42" in terminal.getvalue()
    assert "Validation" not in terminal.getvalue()


def test_descriptions_may_be_changed(open_log_file):
    """A subclass changes the words by its properties."""
    log_file = open_log_file()

    class Mine(TQDMProgressBar):
        @property
        def test_description(self):
            return "Examining"

    Trainer(callbacks=[Mine()], **QUIET).test(Regression(), loader(2), verbose=False)
    assert log_file.getvalue().startswith("Examining DataLoader 0: 2/2")


def test_leave_keeps_every_epochs_bar(open_terminal):
    """With `leave=True` each epoch ends with its own line."""
    terminal = open_terminal()
    run(TQDMProgressBar(leave=True), epochs=3)
    kept = [line for line in terminal.getvalue().split("\n") if "100%" in line]
    assert len(kept) == 3


def test_a_refresh_rate_of_batches_is_kept(open_terminal):
    """tqdm's `refresh_rate=3` redraws at multiples of three batches, however much time passes."""
    open_terminal()

    class Slow(TQDMProgressBar):
        drawn = ()

        def setup(self, trainer, pl_module, stage):
            super().setup(trainer, pl_module, stage)
            self._wait = 0.0

        def get_metrics(self, trainer, pl_module):
            self.drawn += (self._batches_done,)
            return {}

    bar = Slow(refresh_rate=3)
    run(bar, batches=8)
    assert {*bar.drawn} == {3, 6, 8}
    with pytest.raises(ValueError, match="refresh_rate=-1"):
        TQDMProgressBar(refresh_rate=-1)


def test_totals_and_standard_metrics(open_log_file):
    """The totals are those of the loaders, and `v_num` is the first logger's version."""
    open_log_file()
    seen = {}

    class Looking(TQDMProgressBar):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            seen.update(train=self.total_train_batches, val=self.total_val_batches, bar=self.train_progress_bar.total)
            seen.update(metrics=self.get_metrics(trainer, pl_module))

        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
            seen["sanity" if trainer.sanity_checking else "loader"] = self.total_val_batches_current_dataloader

    run(Looking(), batches=5, val=3, logger=True)
    assert (seen["train"], seen["val"], seen["bar"]) == (5, 3, 5)
    assert (seen["sanity"], seen["loader"]) == (2, 3)
    assert seen["metrics"]["v_num"] == 0


def test_a_logged_name_of_the_bar_itself_is_said_once(open_log_file):
    """Logging `v_num` with `prog_bar=True` wins over the bar's own, with a warning."""
    log_file = open_log_file()

    class Clash(Regression):
        def training_step(self, batch, batch_idx):
            self.log("v_num", 7.0, prog_bar=True)
            return super().training_step(batch, batch_idx)

    trainer = Trainer(max_epochs=1, callbacks=[TQDMProgressBar()], **{**QUIET, "logger": True})
    with pytest.warns(UserWarning, match="v_num"):
        trainer.fit(Clash(), loader(3))
    assert "v_num=7.000" in log_file.getvalue()


def test_a_bar_of_ones_own(open_log_file):
    """A subclass of `ProgressBar` is the trainer's bar: its `print` is the module's."""
    log_file = open_log_file()

    class Dots(ProgressBar):
        said = ()

        def disable(self):
            raise AssertionError("rank 0 is never disabled")

        def print(self, *args, **kwargs):
            self.said += args

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            sys.stdout.write("." * (self.total_train_batches > 0))

    bar = Dots()
    trainer = run(bar)
    assert trainer.progress_bar_callback is bar
    assert log_file.getvalue() == "...."
    assert bar.said == ("a word",)
    with pytest.raises(TypeError, match="no trainer yet"):
        Dots().trainer


def test_lines_of_a_log_file():
    """Counts, time, rate and metrics; very small and large numbers stay short."""
    metrics = {"loss": 0.12345, "tiny": 1.5e-9, "n": 3, "word": "abc"}
    line = plain_line("Epoch 3", 50, 200, 100.0, metrics)
    assert line == "Epoch 3: 50/200 [01:40, 0.50 it/s, loss=0.123, tiny=1.50e-09, n=3, word=abc]"
    assert plain_line("Epoch 0", 5, None, 0.0, {}) == "Epoch 0: 5 [00:00, ? it/s]"
